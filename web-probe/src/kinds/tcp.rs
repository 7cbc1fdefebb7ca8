//! `tcp://host:port`: a connection, what is sent over it, and what comes back.

use std::sync::Arc;

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Host;

use crate::base::pattern::Pattern;
use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting, host_of, only_host};
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::http::charset::plain_text;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["tcp"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[Setting::Body, Setting::Send],
    make: |url, ask| {
        only_host(&url)?;
        let port = url.port().ok_or("a port is missing, as in tcp://host:22")?;
        let bytes = ask.expect.body.as_ref().map(|pattern| Regex::new(pattern.as_str()));
        let bytes = bytes.transpose().map_err(|error| format!("expect.body: {error}"))?;
        let expect = ask.expect.body.zip(bytes);
        Ok(Arc::new(TcpCheck { host: host_of(&url)?, port, send: ask.send, expect }))
    },
};

/// How much of what comes back is kept in the field `banner`.
const BANNER_BYTES: usize = 256;
/// How much of it a pattern is looked for in.
const SEARCHED_BYTES: usize = 64 * 1024;

/// A connection to a port.
#[derive(Debug)]
pub(crate) struct TcpCheck {
    pub host: Host<String>,
    pub port: u16,
    /// What is sent once connected.
    pub send: Option<String>,
    /// What has to come back, for its text and for its bytes. Without it the connection is enough.
    pub expect: Option<(Pattern, Regex)>,
}

impl Check for TcpCheck {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let mut stream = network.connect(terms, &self.host, self.port, findings).await?;
            let failed = |error: std::io::Error| {
                crate::found::failure::of_exchange(&error).unwrap_or(Class::Protocol).because(format!("tcp: {error}"))
            };
            if let Some(text) = &self.send {
                stream.write_all(text.as_bytes()).await.map_err(failed)?;
            }
            let Some((pattern, of_bytes)) = &self.expect else { return Ok(()) };
            // The first bytes are what is waited for, the rest comes behind them.
            let mut answer = Vec::new();
            let mut start = findings.begin(Phase::Wait);
            loop {
                let read = stream.read_buf(&mut answer).await;
                findings.end(start);
                if findings.phase == Phase::Wait {
                    start = findings.begin(Phase::Transfer);
                }
                findings.bytes = Some(answer.len() as u64);
                findings.fields.retain(|(name, _)| *name != "banner");
                findings.fields.push(("banner", Field::Str(banner(&answer))));
                if of_bytes.is_match(&answer) || pattern.is_match(&plain_text(&answer)) {
                    return Ok(());
                }
                if read.map_err(failed)? == 0 || answer.len() >= SEARCHED_BYTES {
                    return Err(does_not_contain(pattern));
                }
            }
        })
    }
}

fn does_not_contain(pattern: &Pattern) -> Failure {
    Class::Body.because(format!("what came back does not contain '{pattern}'"))
}

/// The start of what came back, as text.
fn banner(answer: &[u8]) -> String {
    plain_text(&answer[..answer.len().min(BANNER_BYTES)])
}
