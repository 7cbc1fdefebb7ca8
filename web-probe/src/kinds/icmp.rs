//! `icmp:host`: some pings, how many of them came back, and how fast.
//!
//! Over the ping sockets that Linux gives to unprivileged programs (`net.ipv4.ping_group_range`); the kernel fills in
//! identifier and checksum.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use url::Host;

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting, host_of, only_host};
use crate::found::failure::{Class, Failure, is_own};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["icmp"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[Setting::Pings],
    make: |url, ask| {
        only_host(&url)?;
        let pings = ask.pings.unwrap_or(1);
        if !(1..=100).contains(&pings) {
            return Err(format!("pings is {pings}, expected 1 to 100"));
        }
        Ok(Arc::new(IcmpCheck { host: host_of(&url)?, pings }))
    },
};

/// Type, code, checksum, identifier, sequence number (RFC 792, RFC 4443).
const HEADER_BYTES: usize = 8;
/// As much as `ping` sends.
const PAYLOAD_BYTES: usize = 56;
/// How long a ping is waited for before the next one is sent.
const APART: Duration = Duration::from_millis(200);

/// Pings to a host.
#[derive(Debug)]
pub(crate) struct IcmpCheck {
    pub host: Host<String>,
    /// How many.
    pub pings: u16,
}

impl Check for IcmpCheck {
    fn kind(&self) -> &'static str {
        "icmp"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let address = network.resolve(terms, &self.host, findings).await?;
            let socket = open(address)?;
            // All pings within the timeout, the last one with a share of its own.
            let patience = terms.timeout / (u32::from(self.pings) + 1);
            let mut times = Vec::new();
            findings.phase = Phase::Wait;
            for sequence in 0..self.pings {
                let start = Instant::now();
                let came = tokio::time::timeout(patience, ping(&socket, address, sequence)).await;
                if let Ok(came) = came {
                    came.map_err(|error| Class::ConnectUnreachable.because(format!("ping {address}: {error}")))?;
                    times.push(start.elapsed().as_secs_f64() * 1e3);
                }
                report(&times, sequence + 1, findings);
                if sequence + 1 < self.pings {
                    tokio::time::sleep(APART.min(patience).saturating_sub(start.elapsed())).await;
                }
            }
            match times.is_empty() {
                true => Err(Class::PingLost.because(format!("ping {address}: none of {} came back", self.pings))),
                false => Ok(()),
            }
        })
    }
}

/// A ping socket, connected to an address so that only its answers come.
fn open(address: IpAddr) -> Result<UdpSocket, Failure> {
    let (domain, protocol) = match address {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let opened = Socket::new(domain, Type::DGRAM, Some(protocol)).and_then(|socket| {
        socket.set_nonblocking(true)?;
        socket.connect(&SocketAddr::new(address, 0).into())?;
        UdpSocket::from_std(socket.into())
    });
    opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => Class::PingNotAllowed.because(format!(
            "ping {address}: {error}; this program's group has to be within the sysctl net.ipv4.ping_group_range"
        )),
        _ if is_own(&error) => Class::Prober.because(format!("ping {address}: {error}")),
        _ => Class::ConnectUnreachable.because(format!("ping {address}: {error}")),
    })
}

/// Sends a ping and waits for its answer.
async fn ping(socket: &UdpSocket, address: IpAddr, sequence: u16) -> std::io::Result<()> {
    let (request, reply) = if address.is_ipv4() { (8, 0) } else { (128, 129) };
    let mut packet = [0; HEADER_BYTES + PAYLOAD_BYTES];
    packet[0] = request;
    packet[6..8].copy_from_slice(&sequence.to_be_bytes());
    socket.send(&packet).await?;
    let mut answer = [0; HEADER_BYTES + PAYLOAD_BYTES];
    loop {
        let length = socket.recv(&mut answer).await?;
        // Answers to earlier pings may come late.
        if length >= HEADER_BYTES && answer[0] == reply && answer[6..8] == sequence.to_be_bytes() {
            return Ok(());
        }
    }
}

/// What is known after some pings.
fn report(times: &[f64], sent: u16, findings: &mut Findings) {
    let us = |ms: f64| (ms * 1e3).round() / 1e3;
    let mean = times.iter().sum::<f64>() / times.len() as f64;
    findings.fields.clear();
    findings.fields.push(("ping_loss", Field::F64(1.0 - times.len() as f64 / f64::from(sent))));
    if !times.is_empty() {
        // How much one differs from the one before, in the mean (RFC 3550 smooths the same).
        let steps: Vec<f64> = times.windows(2).map(|pair| (pair[1] - pair[0]).abs()).collect();
        let jitter = steps.iter().sum::<f64>() / steps.len().max(1) as f64;
        findings.fields.extend([
            ("ping_min_ms", Field::F64(us(times.iter().copied().fold(f64::INFINITY, f64::min)))),
            ("ping_mean_ms", Field::F64(us(mean))),
            ("ping_max_ms", Field::F64(us(times.iter().copied().fold(0.0, f64::max)))),
            ("ping_jitter_ms", Field::F64(us(jitter))),
        ]);
    }
}
