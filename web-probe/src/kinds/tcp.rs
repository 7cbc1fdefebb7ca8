//! `tcp://host:port`: a connection, what is said over it, and what comes back; turn by turn, and over TLS from a turn
//! on.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::Host;

use crate::base::terms::Terms;
use crate::checks::ask::Ask;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting, host_of, only_host};
use crate::found::failure::{Class, Failure, of_exchange};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::http::charset::plain_text;
use crate::kinds::sought::Sought;
use crate::kinds::tls;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["tcp"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[Setting::Body, Setting::BodyBytes, Setting::Send, Setting::SendBytes, Setting::Exchange],
    make: |url, ask| {
        only_host(&url)?;
        let port = url.port().ok_or("a port is missing, as in tcp://host:22")?;
        Ok(Arc::new(TcpCheck { host: host_of(&url)?, port, turns: turns(ask)? }))
    },
};

/// How much of what comes back is kept in the field `banner`.
const BANNER_BYTES: usize = 256;
/// How much of it is looked through.
const SEARCHED_BYTES: usize = 64 * 1024;

/// A connection to a port.
#[derive(Debug)]
struct TcpCheck {
    host: Host<String>,
    port: u16,
    /// Without one the connection is enough.
    turns: Vec<Turn>,
}

/// What has to come, then what is said, then TLS.
#[derive(Debug)]
struct Turn {
    expect: Option<Sought>,
    send: Vec<u8>,
    starttls: bool,
}

/// The turns that are asked for: those of an exchange, or what is said and then has to come back.
fn turns(ask: Ask) -> Result<Vec<Turn>, String> {
    let Ask { send, send_bytes, expect, body_bytes, exchange, .. } = ask;
    let body = Sought::new(expect.body, body_bytes).map_err(|error| format!("expect.body: {error}"))?;
    let send = match (send, send_bytes) {
        (Some(_), Some(_)) => return Err("send and send_hex exclude each other".into()),
        (text, bytes) => text.map(String::into_bytes).or(bytes),
    };
    if exchange.is_empty() {
        let say = send.into_iter().map(|send| Turn { expect: None, send, starttls: false });
        let hear = body.into_iter().map(|body| Turn { expect: Some(body), send: Vec::new(), starttls: false });
        return Ok(say.chain(hear).collect());
    }
    if send.is_some() || body.is_some() {
        return Err("send and expect.body belong to the turns of the exchange".into());
    }
    if exchange.iter().filter(|turn| turn.starttls).count() > 1 {
        return Err("exchange: starttls stands twice, and TLS begins once".into());
    }
    let turn = |(at, turn): (usize, crate::checks::turn::Turn)| {
        let expect = Sought::new(turn.expect, turn.expect_bytes);
        let expect = expect.map_err(|error| format!("exchange {}: expect: {error}", at + 1))?;
        Ok(Turn { expect, send: turn.send, starttls: turn.starttls })
    };
    exchange.into_iter().enumerate().map(turn).collect()
}

impl Check for TcpCheck {
    fn kind(&self) -> &'static str {
        "tcp"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let stream = network.connect(terms, &self.host, self.port, findings).await?;
            let before = self.turns.iter().position(|turn| turn.starttls).map_or(self.turns.len(), |at| at + 1);
            let (before, behind) = self.turns.split_at(before);
            let mut plain = Spoken { stream, came: Vec::new() };
            plain.converse(before, findings).await?;
            if !before.last().is_some_and(|turn| turn.starttls) {
                return Ok(());
            }
            // What came with the answer came before TLS, from anybody.
            if !plain.came.is_empty() {
                return Err(Class::Protocol.because("it says something between its answer and TLS"));
            }
            let stream = tls::shake_hands_and_report(terms, network, &self.host, plain.stream, findings).await?;
            Spoken { stream, came: Vec::new() }.converse(behind, findings).await
        })
    }
}

/// A conversation.
struct Spoken<S> {
    stream: S,
    /// What came and was not looked for yet.
    came: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Spoken<S> {
    async fn converse(&mut self, turns: &[Turn], findings: &mut Findings) -> Result<(), Failure> {
        for turn in turns {
            if let Some(expect) = &turn.expect {
                let before = [findings.phases.wait.take(), findings.phases.transfer.take()];
                let heard = self.hear(expect, findings).await;
                let phases = [&mut findings.phases.wait, &mut findings.phases.transfer];
                phases.into_iter().zip(before).for_each(|(own, before)| *own = sum(*own, before));
                heard?;
            }
            if !turn.send.is_empty() {
                self.stream.write_all(&turn.send).await.map_err(|error| failed(&error))?;
                self.stream.flush().await.map_err(|error| failed(&error))?;
            }
        }
        Ok(())
    }

    /// Waits for something: the first bytes are what is waited for, the rest comes behind them. What stands on the
    /// lines behind it is left for the next turn.
    async fn hear(&mut self, expect: &Sought, findings: &mut Findings) -> Result<(), Failure> {
        let mut start = findings.begin(Phase::Wait);
        let mut is_over = false;
        loop {
            if !self.came.is_empty() {
                findings.bytes = Some(self.came.len() as u64);
                findings.fields.retain(|(name, _)| *name != "banner");
                findings.fields.push(("banner", Field::Str(banner(&self.came))));
            }
            if let Some(end) = expect.end_in(&self.came) {
                let line = self.came[end..].iter().position(|byte| *byte == b'\n').map(|at| end + at + 1);
                self.came.drain(..line.unwrap_or(self.came.len()));
                findings.end(start);
                return Ok(());
            }
            if is_over || self.came.len() >= SEARCHED_BYTES {
                return Err(expect.missing());
            }
            let read = self.stream.read_buf(&mut self.came).await;
            findings.end(start);
            if findings.phase == Phase::Wait {
                start = findings.begin(Phase::Transfer);
            }
            is_over = read.map_err(|error| failed(&error))? == 0;
        }
    }
}

fn sum(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}

fn failed(error: &std::io::Error) -> Failure {
    of_exchange(error).unwrap_or(Class::Protocol).because(format!("tcp: {error}"))
}

/// The start of what came back, as text.
fn banner(answer: &[u8]) -> String {
    plain_text(&answer[..answer.len().min(BANNER_BYTES)])
}
