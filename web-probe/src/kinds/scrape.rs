//! `kind = "scrape"`: a page of metrics, fetched as Prometheus does. It is checked like every other web address; what
//! is on the page goes to who stores pages, as this crate does not read them.

use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderValue};
use url::Url;

use super::web;
use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::found::failure::Class;
use crate::found::findings::Findings;
use crate::found::page::{Page, Scraped};
use crate::http::{HttpAsk, follow};
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: web::SCHEMES,
    aliases: &[],
    is_asked: |ask| ask.scrape,
    takes: &Setting::WEB,
    make: |url, ask| {
        web::check(&url, &ask)?;
        Ok(Arc::new(ScrapeCheck { url, ask: ask.http }))
    },
};

/// What is asked for, OpenMetrics first.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
/// The largest page, as it arrives.
const PAGE_BYTES_MAX: usize = 64 << 20;

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

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            findings.scraped = Some(Scraped { instance: self.instance(), page: None });
            let (answer, _) = follow(terms, network, &self.url, &self.ask(terms.timeout), None, findings).await?;
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
