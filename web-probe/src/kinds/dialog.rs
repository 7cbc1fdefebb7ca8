//! `smtp://`, `imap://`, `pop3://`, `ftp://` and `ssh://`: a connection, what the server says first, and, where it is
//! asked, the way into TLS in the words of the protocol (STARTTLS), with the certificate that is shown there.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use url::{Host, Url};

use crate::base::pattern::Pattern;
use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting, host_of};
use crate::found::failure::{Class, Failure, of_exchange};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::http::charset::plain_text;
use crate::kinds::tls;
use crate::net::network::Network;

/// The kinds.
pub(crate) const SMTP: Kind = kind(&["smtp"], &["smtps"], |url, ask| make(&protocols::SMTP, url, ask.expect.body));
pub(crate) const IMAP: Kind = kind(&["imap"], &["imaps"], |url, ask| make(&protocols::IMAP, url, ask.expect.body));
pub(crate) const POP3: Kind = kind(&["pop3"], &["pop3s"], |url, ask| make(&protocols::POP3, url, ask.expect.body));
pub(crate) const FTP: Kind = kind(&["ftp"], &["ftps"], |url, ask| make(&protocols::FTP, url, ask.expect.body));
pub(crate) const SSH: Kind = kind(&["ssh"], &[], |url, ask| make(&protocols::SSH, url, ask.expect.body));

type Make = fn(Url, crate::checks::ask::Ask) -> Result<Arc<dyn Check>, String>;

const fn kind(schemes: &'static [&'static str], aliases: &'static [&'static str], make: Make) -> Kind {
    Kind { schemes, aliases, is_asked: |_| true, takes: &[Setting::Body], make }
}

/// How much of what a server says first is kept in the field `banner`.
const BANNER_BYTES: usize = 256;
/// A reply that is longer is none.
const REPLY_BYTES_MAX: usize = 64 << 10;

/// What a protocol says at the start.
#[derive(Debug)]
struct Protocol {
    name: &'static str,
    port: u16,
    /// Where TLS is spoken from the first byte on; 0 where there is no such port.
    tls_port: u16,
    /// What a greeting begins with.
    greets: &'static str,
    /// Lines that go on have a `-` behind a code of three digits, as `250-`.
    has_codes: bool,
    /// What is said first, and what its answer begins with; nothing where the way into TLS is asked for at once.
    hello: Option<(&'static str, &'static str)>,
    /// What asks for TLS, and what its answer begins with; nothing where there is no such thing.
    starts_tls: Option<(&'static str, &'static str)>,
}

mod protocols {
    use super::Protocol;

    /// RFC 5321, RFC 3207.
    pub(super) const SMTP: Protocol = Protocol {
        name: "smtp",
        port: 25,
        tls_port: 465,
        greets: "220",
        has_codes: true,
        hello: Some(("EHLO fournines.invalid", "250")),
        starts_tls: Some(("STARTTLS", "220")),
    };
    /// RFC 9051.
    pub(super) const IMAP: Protocol = Protocol {
        name: "imap",
        port: 143,
        tls_port: 993,
        greets: "* OK",
        has_codes: false,
        hello: None,
        starts_tls: Some(("a STARTTLS", "a OK")),
    };
    /// RFC 1939, RFC 2595.
    pub(super) const POP3: Protocol = Protocol {
        name: "pop3",
        port: 110,
        tls_port: 995,
        greets: "+OK",
        has_codes: false,
        hello: None,
        starts_tls: Some(("STLS", "+OK")),
    };
    /// RFC 959, RFC 4217.
    pub(super) const FTP: Protocol = Protocol {
        name: "ftp",
        port: 21,
        tls_port: 990,
        greets: "220",
        has_codes: true,
        hello: None,
        starts_tls: Some(("AUTH TLS", "234")),
    };
    /// RFC 4253, section 4.2.
    pub(super) const SSH: Protocol = Protocol {
        name: "ssh",
        port: 22,
        tls_port: 0,
        greets: "SSH-2.0-",
        has_codes: false,
        hello: None,
        starts_tls: None,
    };
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Never,
    AtOnce,
    WhenAsked,
}

/// A server that is greeted.
#[derive(Debug)]
struct DialogCheck {
    protocol: &'static Protocol,
    host: Host<String>,
    port: u16,
    tls: Tls,
    /// What its greeting has to contain.
    expect: Option<Pattern>,
}

fn make(protocol: &'static Protocol, url: Url, expect: Option<Pattern>) -> Result<Arc<dyn Check>, String> {
    let is_tls = url.scheme() != protocol.name;
    let mut tls = if is_tls { Tls::AtOnce } else { Tls::Never };
    for (key, value) in url.query_pairs() {
        tls = match (&*key, &*value) {
            ("starttls", "true") if protocol.starts_tls.is_some() && !is_tls => Tls::WhenAsked,
            ("starttls", "false") => tls,
            _ => {
                return Err(format!(
                    "'{key}={value}' is not known here; starttls=true is, where TLS is not spoken at once"
                ));
            }
        };
    }
    if !matches!(url.path(), "" | "/") || !url.username().is_empty() || url.password().is_some() {
        return Err(format!("expected {}://host:port and nothing else: nobody logs in", url.scheme()));
    }
    let port = if is_tls { protocol.tls_port } else { protocol.port };
    Ok(Arc::new(DialogCheck { protocol, host: host_of(&url)?, port: url.port().unwrap_or(port), tls, expect }))
}

impl Check for DialogCheck {
    fn kind(&self) -> &'static str {
        self.protocol.name
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let stream = network.connect(terms, &self.host, self.port, findings).await?;
            match self.tls {
                Tls::Never => self.greet(&mut Lines::new(stream), findings).await,
                Tls::AtOnce => {
                    let stream = tls::shake_hands_and_report(terms, network, &self.host, stream, findings).await?;
                    self.greet(&mut Lines::new(stream), findings).await
                }
                Tls::WhenAsked => {
                    let mut lines = Lines::new(stream);
                    self.greet(&mut lines, findings).await?;
                    let waited = findings.phases.wait;
                    self.start_tls(&mut lines, findings).await?;
                    findings.phases.wait = waited.zip(findings.phases.wait).map(|(before, behind)| before + behind);
                    // What came with the answer came before TLS, from anybody.
                    if !lines.buffer.is_empty() {
                        return Err(Class::Protocol.because("it says something between its answer and TLS"));
                    }
                    tls::shake_hands_and_report(terms, network, &self.host, lines.stream, findings).await.map(drop)
                }
            }
        })
    }
}

impl DialogCheck {
    /// Waits for the greeting, and holds it to what is expected.
    async fn greet<S: AsyncRead + Unpin>(&self, lines: &mut Lines<S>, findings: &mut Findings) -> Result<(), Failure> {
        let name = self.protocol.name;
        let read = findings.time(Phase::Wait, lines.reply(self.protocol.has_codes)).await;
        let greeting = read.map_err(|failure| failure.class.because(format!("{name}: {}", failure.message)))?;
        let banner: String = greeting.chars().take(BANNER_BYTES).collect();
        findings.fields.push(("banner", Field::Str(banner.clone())));
        findings.bytes = Some(greeting.len() as u64);
        if !greeting.starts_with(self.protocol.greets) {
            let expected = self.protocol.greets;
            return Err(Class::Protocol.because(format!("{name}: it greets with '{banner}', expected '{expected}'")));
        }
        match self.expect.as_ref().filter(|pattern| !pattern.is_match(&greeting)) {
            Some(pattern) => Err(Class::Body.because(format!("{name}: its greeting does not contain '{pattern}'"))),
            None => Ok(()),
        }
    }

    /// Asks for TLS.
    async fn start_tls<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        lines: &mut Lines<S>,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let Protocol { name, has_codes, hello, starts_tls, .. } = self.protocol;
        for (said, expected) in hello.iter().chain(starts_tls) {
            let asked = findings.time(Phase::Wait, lines.ask(said, *has_codes)).await;
            let reply = asked.map_err(|failure| failure.class.because(format!("{name}: {}", failure.message)))?;
            if !reply.starts_with(expected) {
                let reply: String = reply.chars().take(BANNER_BYTES).collect();
                return Err(Class::TlsOther.because(format!("{name}: it answers '{reply}' to {said}")));
            }
        }
        Ok(())
    }
}

/// A stream of lines.
struct Lines<S> {
    stream: S,
    /// What came and was not taken yet.
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Lines<S> {
    fn new(stream: S) -> Lines<S> {
        Lines { stream, buffer: Vec::new() }
    }

    /// A line, or several that go on; without what ends them.
    async fn reply(&mut self, has_codes: bool) -> Result<String, Failure> {
        let mut reply = Vec::new();
        loop {
            let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') else {
                let failed =
                    |error: std::io::Error| of_exchange(&error).unwrap_or(Class::Protocol).because(error.to_string());
                if self.stream.read_buf(&mut self.buffer).await.map_err(failed)? == 0 {
                    return Err(Class::ConnectionClosed.because("it hangs up in the middle of a reply"));
                }
                if self.buffer.len() > REPLY_BYTES_MAX {
                    return Err(Class::Protocol.because("its reply has no end"));
                }
                continue;
            };
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            reply.extend_from_slice(line.trim_ascii_end());
            // `220-` goes on up to `220 `, whatever stands between.
            let goes_on = has_codes && reply.get(3) == Some(&b'-') && !is_last(&line, &reply[..3]);
            if !goes_on || reply.len() > REPLY_BYTES_MAX {
                return Ok(plain_text(&reply));
            }
            reply.push(b'\n');
        }
    }
}

/// Is this the last line of a reply with a code?
fn is_last(line: &[u8], code: &[u8]) -> bool {
    line.starts_with(code) && line.get(3) != Some(&b'-')
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lines<S> {
    async fn ask(&mut self, said: &str, has_codes: bool) -> Result<String, Failure> {
        let failed = |error: std::io::Error| of_exchange(&error).unwrap_or(Class::Protocol).because(error.to_string());
        self.stream.write_all(format!("{said}\r\n").as_bytes()).await.map_err(failed)?;
        self.reply(has_codes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn replies_of_several_lines_are_one() {
        for (said, has_codes, expected) in [
            ("220 ready\r\nrest", true, "220 ready"),
            ("220-one\r\ntwo\r\n220-three\r\n220 four\r\n", true, "220-one\ntwo\n220-three\n220 four"),
            ("* OK ready\n", false, "* OK ready"),
        ] {
            assert_eq!(Lines::new(said.as_bytes()).reply(has_codes).await.unwrap(), expected);
        }
        let class = |said: &'static [u8]| async move { Lines::new(said).reply(true).await.unwrap_err().class };
        assert_eq!(class(b"220 rea").await, Class::ConnectionClosed);
        let endless: &'static [u8] = vec![b'x'; REPLY_BYTES_MAX + 1].leak();
        assert_eq!(class(endless).await, Class::Protocol);
    }

    #[test]
    fn what_is_no_greeting_is_refused() {
        let made = |address: &str| {
            make(&protocols::SMTP, Url::parse(address).unwrap(), None).map(|check| format!("{check:?}"))
        };
        assert!(made("smtp://mail.example").unwrap().contains("port: 25"));
        assert!(made("smtps://mail.example").unwrap().contains("port: 465"));
        assert!(made("smtp://mail.example:587?starttls=true").unwrap().contains("WhenAsked"));
        for address in
            ["smtp://me@mail.example", "smtp://mail.example/x", "smtps://mail.example?starttls=true", "smtp://a?tls=1"]
        {
            assert!(made(address).is_err(), "{address}");
        }
        assert!(make(&protocols::SSH, Url::parse("ssh://a?starttls=true").unwrap(), None).is_err());
    }
}
