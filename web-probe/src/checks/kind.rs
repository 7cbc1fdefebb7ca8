//! A kind of check, as the list of kinds has it, and what kinds can be told.

use std::sync::Arc;

use url::{Host, Url};

use super::ask::Ask;
use super::check::Check;
use crate::http::{Expect, HttpAsk};

/// A kind of check. Its file has one, and `kinds/list.rs` names it.
pub(crate) struct Kind {
    /// The schemes of the addresses that it is for.
    pub schemes: &'static [&'static str],
    /// Schemes that mean the same, and are not named to anybody.
    pub aliases: &'static [&'static str],
    /// Of several kinds for a scheme the first one of which this holds is taken.
    pub is_asked: fn(&Ask) -> bool,
    /// What it can be told beside its address.
    pub takes: &'static [Setting],
    /// The check of an address.
    pub make: fn(Url, Ask) -> Result<Arc<dyn Check>, String>,
}

impl Kind {
    /// Is it for addresses with this scheme?
    pub(crate) fn is_for(&self, scheme: &str) -> bool {
        self.schemes.iter().chain(self.aliases).any(|own| *own == scheme)
    }
}

/// Something that only some kinds can be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    Request,
    Status,
    Headers,
    FinalUrl,
    Protocol,
    Bytes,
    Json,
    Content,
    BodyNot,
    Body,
    BodyBytes,
    Send,
    SendBytes,
    Exchange,
    Value,
    Answers,
    Rcodes,
    Pings,
    Cdn,
    Steps,
    Links,
    Scrape,
}

impl Setting {
    /// All of them, in the order in which they are complained about.
    pub(crate) const ALL: [Setting; 22] = [
        Setting::Request,
        Setting::Status,
        Setting::Headers,
        Setting::FinalUrl,
        Setting::Protocol,
        Setting::Bytes,
        Setting::Json,
        Setting::Content,
        Setting::BodyNot,
        Setting::Body,
        Setting::BodyBytes,
        Setting::Send,
        Setting::SendBytes,
        Setting::Exchange,
        Setting::Value,
        Setting::Answers,
        Setting::Rcodes,
        Setting::Pings,
        Setting::Cdn,
        Setting::Steps,
        Setting::Links,
        Setting::Scrape,
    ];
    /// Those of every web address.
    pub(crate) const WEB: [Setting; 14] = [
        Setting::Request,
        Setting::Status,
        Setting::Headers,
        Setting::FinalUrl,
        Setting::Protocol,
        Setting::Bytes,
        Setting::Json,
        Setting::Content,
        Setting::BodyNot,
        Setting::Body,
        Setting::Cdn,
        Setting::Steps,
        Setting::Links,
        Setting::Scrape,
    ];

    /// What the configuration calls it.
    pub(crate) fn keys(self) -> &'static str {
        match self {
            Setting::Request => "method, headers, body, authorization, redirects, http, proxy or a client certificate",
            Setting::Status => "expect.status",
            Setting::Headers => "expect.headers",
            Setting::FinalUrl => "expect.final_url",
            Setting::Protocol => "expect.protocol",
            Setting::Bytes => "expect.bytes_min or bytes_max",
            Setting::Json => "expect.json",
            Setting::Content => "expect.sha256, masks or watch_content",
            Setting::BodyNot => "expect.body_not",
            Setting::Body => "expect.body",
            Setting::BodyBytes => "expect.body_hex",
            Setting::Send => "send",
            Setting::SendBytes => "send_hex",
            Setting::Exchange => "exchange",
            Setting::Value => "expect.value_min or value_max",
            Setting::Answers => "expect.answers",
            Setting::Rcodes => "expect.rcodes",
            Setting::Pings => "pings",
            Setting::Cdn => "kind = \"cdn\"",
            Setting::Steps => "kind = \"steps\"",
            Setting::Links => "kind = \"links\"",
            Setting::Scrape => "kind = \"scrape\"",
        }
    }

    /// Is something said of it?
    pub(crate) fn is_given(self, ask: &Ask) -> bool {
        let Ask { http, expect, send, send_bytes, body_bytes, exchange, value, answers, rcodes, .. } = ask;
        let Ask { resolvers: _, cdn, steps, links, scrape, pings, .. } = ask;
        match self {
            Setting::Request => *http != HttpAsk::default(),
            Setting::Status => expect.status != Expect::default().status,
            Setting::Headers => !expect.headers.is_empty(),
            Setting::FinalUrl => expect.final_url.is_some(),
            Setting::Protocol => expect.protocol.is_some(),
            Setting::Bytes => expect.bytes != (0..=u64::MAX),
            Setting::Json => !expect.json.is_empty(),
            Setting::Content => expect.hashes_body() || !expect.masks.is_empty(),
            Setting::BodyNot => expect.body_not.is_some(),
            Setting::Body => expect.body.is_some(),
            Setting::BodyBytes => body_bytes.is_some(),
            Setting::Send => send.is_some(),
            Setting::SendBytes => send_bytes.is_some(),
            Setting::Exchange => !exchange.is_empty(),
            Setting::Value => value.is_some(),
            Setting::Answers => !answers.is_empty(),
            Setting::Rcodes => !rcodes.is_empty(),
            Setting::Pings => pings.is_some(),
            Setting::Cdn => cdn.is_some(),
            Setting::Steps => steps.is_some(),
            Setting::Links => links.is_some(),
            Setting::Scrape => *scrape,
        }
    }
}

/// Refuses what an address has beside a host and a port: nobody would heed it.
pub(crate) fn only_host(url: &Url) -> Result<(), String> {
    let path = if url.cannot_be_a_base() { "" } else { url.path() };
    let rest = match (url.query(), url.fragment()) {
        _ if !matches!(path, "" | "/") => path,
        (Some(query), _) => query,
        (_, Some(fragment)) => fragment,
        _ if !url.username().is_empty() || url.password().is_some() => "a user",
        _ => return Ok(()),
    };
    Err(format!("'{rest}' in the address is not known to {}, which takes a host and a port", url.scheme()))
}

/// The host of an address; one without a web scheme has a path for it.
pub(crate) fn host_of(url: &Url) -> Result<Host<String>, String> {
    let text = url.host_str().unwrap_or_else(|| url.path());
    Host::parse(text).map_err(|error| format!("'{text}' is not a host: {error}"))
}
