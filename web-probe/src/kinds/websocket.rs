//! `ws://` and `wss://`: a web address that becomes a WebSocket (RFC 6455).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{self, HeaderValue};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::{SecureRandom, SystemRandom};
use url::Url;

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::found::failure::Class;
use crate::found::findings::Findings;
use crate::http::{HttpAsk, hop};
use crate::net::identity::HttpVersion;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["ws"],
    aliases: &["wss"],
    is_asked: |_| true,
    takes: &[Setting::Request],
    make: |url, ask| {
        let scheme = if url.scheme() == "wss" { "https" } else { "http" };
        let address = format!("{scheme}{}", &url.as_str()[url.scheme().len()..]);
        let url = Url::parse(&address).map_err(|error| error.to_string())?;
        let ask = HttpAsk { version: HttpVersion::Http1, redirects_max: 0, ..ask.http };
        Ok(Arc::new(WebSocketCheck { url, ask }))
    },
};

/// What is put behind a key before it is hashed (section 1.3).
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// An address that takes WebSockets. Nothing is said over it.
#[derive(Debug)]
struct WebSocketCheck {
    url: Url,
    ask: HttpAsk,
}

impl Check for WebSocketCheck {
    fn kind(&self) -> &'static str {
        "websocket"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let mut key = [0; 16];
            if SystemRandom::new().fill(&mut key).is_err() {
                return Err(Class::Prober.because("the system gives no random numbers"));
            }
            let key = STANDARD.encode(key);
            let mut ask = self.ask.clone();
            let own = [("connection", "Upgrade"), ("upgrade", "websocket"), ("sec-websocket-version", "13")];
            own.into_iter().for_each(|(name, value)| drop(ask.headers.insert(name, HeaderValue::from_static(value))));
            let value = HeaderValue::from_str(&key).expect("base64 can stand in a header");
            ask.headers.insert(header::SEC_WEBSOCKET_KEY, value);
            let answer = hop(terms, network, &self.url, &ask, findings).await?;
            if answer.status != 101 {
                return Err(Class::Status.because(format!("the status is {}, expected 101", answer.status)));
            }
            let expected = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
            let accepted = answer.headers.get(header::SEC_WEBSOCKET_ACCEPT);
            match accepted.is_some_and(|value| value.as_bytes() == expected.as_bytes()) {
                true => Ok(()),
                false => Err(Class::Protocol.because("its Sec-WebSocket-Accept does not belong to the key")),
            }
        })
    }
}
