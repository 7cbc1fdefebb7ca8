//! `tcp://host:port`: a connection, what is sent over it, and what comes back.

use regex::bytes::Regex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use url::Host;

use crate::check::{Check, Checking, Findings, Phase};
use crate::failure::{Class, Failure};
use crate::network::Network;
use crate::recorder::Field;
use crate::target::Target;

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
    /// What has to come back. Without it the connection is enough.
    pub expect: Option<Regex>,
}

impl Check for TcpCheck {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn run<'a>(&'a self, target: &'a Target, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let mut stream = network.connect(target, &self.host, self.port, findings).await?;
            let failed = |error: std::io::Error| {
                crate::failure::of_exchange(&error).unwrap_or(Class::Protocol).because(format!("tcp: {error}"))
            };
            if let Some(text) = &self.send {
                stream.write_all(text.as_bytes()).await.map_err(failed)?;
            }
            let Some(pattern) = &self.expect else { return Ok(()) };
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
                if pattern.is_match(&answer) {
                    return Ok(());
                }
                if read.map_err(failed)? == 0 || answer.len() >= SEARCHED_BYTES {
                    return Err(does_not_contain(pattern));
                }
            }
        })
    }
}

fn does_not_contain(pattern: &Regex) -> Failure {
    Class::Body.because(format!("what came back does not contain '{pattern}'"))
}

/// The start of what came back, as text.
fn banner(answer: &[u8]) -> String {
    String::from_utf8_lossy(&answer[..answer.len().min(BANNER_BYTES)]).into_owned()
}
