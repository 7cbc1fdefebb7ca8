//! `udp://host:port`: a datagram that is sent, and what comes back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use tokio::net::UdpSocket;
use url::Host;

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting, host_of, only_host};
use crate::found::failure::of_connect;
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::http::charset::plain_text;
use crate::kinds::sought::Sought;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["udp"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[Setting::Body, Setting::BodyBytes, Setting::Send, Setting::SendBytes],
    make: |url, ask| {
        only_host(&url)?;
        let port = url.port().ok_or("a port is missing, as in udp://host:123")?;
        let send = ask.send.map(String::into_bytes).or(ask.send_bytes);
        let send = send.ok_or("send is missing: only what answers a datagram is known to be there")?;
        let expect = Sought::new(ask.expect.body, ask.body_bytes).map_err(|error| format!("expect.body: {error}"))?;
        Ok(Arc::new(UdpCheck { host: host_of(&url)?, port, send, expect }))
    },
};

/// The largest datagram.
const DATAGRAM_BYTES_MAX: usize = 64 << 10;
/// How much of what comes back is kept in the field `banner`.
const BANNER_CHARS: usize = 256;

/// A port that answers datagrams.
#[derive(Debug)]
struct UdpCheck {
    host: Host<String>,
    port: u16,
    send: Vec<u8>,
    /// What the answer has to contain.
    expect: Option<Sought>,
}

impl Check for UdpCheck {
    fn kind(&self) -> &'static str {
        "udp"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let address = SocketAddr::new(network.resolve(terms, &self.host, findings).await?, self.port);
            let any = match address.ip() {
                IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            // A port where nobody listens is told by ICMP, as an error of what is read.
            let failed = |error: std::io::Error| of_connect(&error).because(format!("udp {address}: {error}"));
            let mut answer = vec![0; DATAGRAM_BYTES_MAX];
            let asked = async {
                let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
                socket.connect(address).await?;
                socket.send(&self.send).await?;
                socket.recv(&mut answer).await
            };
            let length = findings.time(Phase::Wait, asked).await.map_err(failed)?;
            let text = plain_text(&answer[..length]);
            findings.bytes = Some(length as u64);
            findings.fields.push(("banner", Field::Str(text.chars().take(BANNER_CHARS).collect())));
            match self.expect.as_ref().filter(|sought| sought.end_in(&answer[..length]).is_none()) {
                Some(sought) => Err(sought.missing()),
                None => Ok(()),
            }
        })
    }
}
