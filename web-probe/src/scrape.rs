//! `kind = "scrape"`: a page of metrics, fetched as Prometheus does. It is checked like every other web address; what is on the page goes to
//! who stores pages, as this crate does not read them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::BoxFuture;
use hyper::HeaderMap;
use hyper::header::{self, HeaderValue};
use url::Url;

use crate::check::{Check, Checking, Findings};
use crate::failure::Class;
use crate::http::{HttpAsk, follow};
use crate::network::Network;
use crate::target::Target;

/// What is asked for, OpenMetrics first.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
/// The largest page, as it arrives.
const PAGE_BYTES_MAX: usize = 64 << 20;

/// A page as it arrived.
#[derive(Debug, Clone)]
pub struct Page {
    /// The head of the answer.
    pub headers: HeaderMap,
    /// The body, packed if the head says so.
    pub body: Bytes,
}

/// A scrape that is over, for who stores it.
#[derive(Debug)]
pub struct Scrape {
    /// The tags of its rows: `job`, `instance` and, if it has one, `group`.
    pub tags: Vec<(&'static str, String)>,
    /// The start of its slot, in ns since the epoch.
    pub time_ns: i64,
    /// How long it took.
    pub taken: Duration,
    /// The page, if there was one.
    pub page: Option<Page>,
}

/// What was made of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Samples that are stored.
    pub samples: usize,
    /// Lines that are not, and why.
    pub refused: usize,
    /// What was wrong, in words.
    pub trouble: Option<String>,
}

type Store = dyn Fn(Scrape) -> BoxFuture<'static, Result<Stored, String>> + Send + Sync;

/// Who stores what is scraped. It is told of scrapes without a page, too.
#[derive(Clone)]
pub struct Pages(Arc<Store>);

impl Pages {
    /// Stores by this; its error is why a page is no page of metrics.
    pub fn new(store: impl Fn(Scrape) -> BoxFuture<'static, Result<Stored, String>> + Send + Sync + 'static) -> Pages {
        Pages(Arc::new(store))
    }

    pub(crate) async fn store(&self, scrape: Scrape) -> Result<Stored, String> {
        (self.0)(scrape).await
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

/// What a scrape found.
#[derive(Debug, Clone)]
pub struct Scraped {
    /// The tag `instance`: host and port.
    pub instance: String,
    /// The page, if there was one.
    pub page: Option<Page>,
}

/// A page of metrics.
#[derive(Debug)]
pub(crate) struct ScrapeCheck {
    pub url: Url,
    pub ask: HttpAsk,
}

impl ScrapeCheck {
    fn instance(&self) -> String {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default());
        port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }

    /// The request, in which what is configured stands before what every scrape says.
    fn ask(&self, timeout: Duration) -> HttpAsk {
        let mut ask = HttpAsk { body_bytes_kept: PAGE_BYTES_MAX, ..self.ask.clone() };
        let timeout = HeaderValue::from_str(&timeout.as_secs_f64().to_string()).expect("digits and a point");
        ask.headers.entry(header::ACCEPT).or_insert(HeaderValue::from_static(ACCEPT));
        ask.headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("gzip"));
        ask.headers.entry("x-prometheus-scrape-timeout-seconds").or_insert(timeout);
        ask
    }
}

impl Check for ScrapeCheck {
    fn kind(&self) -> &'static str {
        "scrape"
    }

    fn run<'a>(&'a self, target: &'a Target, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            findings.scraped = Some(Scraped { instance: self.instance(), page: None });
            let (answer, _) = follow(target, network, &self.url, &self.ask(target.timeout), None, findings).await?;
            if !(200..=299).contains(&answer.status) {
                return Err(Class::Status.because(format!("the status is {}, expected 200 to 299", answer.status)));
            }
            if answer.bytes > answer.body.len() as u64 {
                let most = PAGE_BYTES_MAX >> 20;
                return Err(
                    Class::BodyTooLarge.because(format!("the page has {} bytes, {most} MiB are taken", answer.bytes))
                );
            }
            let page = Page { headers: answer.headers, body: answer.body.into() };
            findings.scraped = Some(Scraped { instance: self.instance(), page: Some(page) });
            Ok(())
        })
    }
}
