//! `links`: a site read page by page, a few levels deep, and every link on it tried once.
//!
//! It is polite: one request at a time with a pause between, pages up to a number, and nothing that `robots.txt` (RFC
//! 9309) keeps robots out of. Pages are of the host of the address; what leads elsewhere is only tried.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::{Method, header};
use tokio::time::timeout_at;
use url::{Position, Url};

use super::addresses::{self, Address};
use super::robots::Robots;
use super::web;
use crate::base::terms::{ConnectTo, Terms};
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::checks::links_ask::LinksAsk;
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::found::measurement::{Detail, Details};
use crate::http::charset::media_type;
use crate::http::{Answer, Expect, HttpAsk, follow};
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: web::SCHEMES,
    aliases: &[],
    is_asked: |ask| ask.links.is_some(),
    takes: &Setting::WEB,
    make: |url, ask| {
        web::check(&url, &ask)?;
        Ok(Arc::new(LinksCheck { url, ask: ask.http, links: ask.links.unwrap_or_default() }))
    },
};

/// What is left at the end of the timeout to put it all together.
const MARGIN: Duration = Duration::from_millis(20);
/// Links that are remembered; a site with more is read as far as that.
const LINKS_MAX: usize = 10_000;
/// Links that are broken or slow have rows: `link` is their address.
const LINKS: Details = Details { list: "links", table: "probe_link", tag: "link" };

/// A site, from an address on.
#[derive(Debug)]
pub(crate) struct LinksCheck {
    pub url: Url,
    pub ask: HttpAsk,
    pub links: LinksAsk,
}

/// A link that is still to be tried.
struct Link {
    url: Url,
    /// The page that it was first found on.
    page: String,
    depth: u32,
    /// It is a sheet of styles, which leads further itself.
    is_style: bool,
}

/// A site that is being read.
struct Crawl {
    waiting: VecDeque<Link>,
    seen: HashSet<Url>,
    robots: Robots,
    /// Pages that are read, where redirects ended.
    pages: HashSet<Url>,
    tried: usize,
    slow: usize,
    first_broken: Option<String>,
    broken: usize,
}

impl LinksCheck {
    async fn crawl(
        &self,
        terms: &Terms,
        network: &Network,
        crawl: &mut Crawl,
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        while let Some(link) = crawl.waiting.pop_front() {
            if crawl.tried > 0 {
                tokio::time::sleep(self.links.pause).await;
            }
            let (start, mut own) = (Instant::now(), Findings::begun());
            let deadline = tokio::time::Instant::now() + self.links.timeout;
            let answer = timeout_at(deadline, self.try_link(&link, terms, network, crawl, &mut own)).await;
            let answer = answer.unwrap_or_else(|_| Err(own.timeout(self.links.timeout)));
            crawl.tried += 1;
            let failure = match answer {
                Ok((answer, url)) if answer.status < 400 => {
                    self.read(&answer, &url, link.depth, crawl);
                    None
                }
                Ok((answer, _)) => Some(Class::Status.because(format!("status {}", answer.status))),
                Err(failure) => Some(failure),
            };
            // The page itself is what the slot is about.
            if let (Some(failure), 1) = (&failure, crawl.tried) {
                (findings.phases, findings.status) = (own.phases, own.status);
                return Err(failure.clone());
            }
            if crawl.tried == 1 {
                (findings.phases, findings.status, findings.bytes) = (own.phases, own.status, own.bytes);
                (findings.cert_expires_s, findings.address) = (own.cert_expires_s, own.address);
            }
            self.note(&link, start.elapsed(), failure, own, terms, (crawl, findings));
        }
        Ok(())
    }

    /// Remembers a link if it is broken or slow.
    fn note(
        &self,
        link: &Link,
        taken: Duration,
        failure: Option<Failure>,
        mut own: Findings,
        terms: &Terms,
        (crawl, findings): (&mut Crawl, &mut Findings),
    ) {
        let is_slow = terms.slow.is_some_and(|limit| taken > limit);
        if failure.is_none() && !is_slow {
            return;
        }
        match &failure {
            Some(failure) => {
                crawl.broken += 1;
                crawl
                    .first_broken
                    .get_or_insert_with(|| format!("{} ({}) on {}", link.url, failure.message, link.page));
            }
            None => crawl.slow += 1,
        }
        own.fields.push(("page", Field::Str(link.page.clone())));
        let found = own.measured(terms, taken, failure);
        findings.details.push(Detail { of: &LINKS, name: link.url.to_string(), found });
    }

    fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.url.origin()
    }

    /// Is what stands at this address a page whose links are still taken?
    fn is_page(&self, url: &Url, depth: u32, crawl: &Crawl) -> bool {
        self.is_own(url) && crawl.pages.len() < self.links.pages_max && depth <= self.links.depth
    }

    /// Pages of the site are fetched, all else is asked for its head only, where the server knows that.
    async fn try_link(
        &self,
        link: &Link,
        terms: &Terms,
        network: &Network,
        crawl: &Crawl,
        findings: &mut Findings,
    ) -> Result<(Answer, Url), Failure> {
        let mut ask = self.ask.clone();
        let mut terms = Cow::Borrowed(terms);
        if !self.is_own(&link.url) {
            ask.leave();
            terms.to_mut().connect_to = ConnectTo::Any;
        }
        let is_read = self.is_page(&link.url, link.depth, crawl) || link.is_style && self.is_own(&link.url);
        if !is_read {
            let head = HttpAsk { method: Method::HEAD, ..ask.clone() };
            match follow(&terms, network, &link.url, &head, None, findings).await {
                Ok((answer, url)) if answer.status < 400 => return Ok((answer, url)),
                Err(failure) if !is_answered(failure.class) => return Err(failure),
                _ => {}
            }
            // Not everybody knows HEAD, or says the same to it: some hang up.
            *findings = Findings::begun();
        }
        follow(&terms, network, &link.url, &ask, None, findings).await
    }

    /// Takes the links of a page.
    fn read(&self, answer: &Answer, url: &Url, depth: u32, crawl: &mut Crawl) {
        let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(media_type);
        let is_html = kind.as_deref().is_some_and(|kind| matches!(kind, "text/html" | "application/xhtml+xml"));
        let is_page = is_html && self.is_page(url, depth, crawl);
        let is_style = kind.as_deref() == Some("text/css") && self.is_own(url);
        let is_read = is_page || is_style;
        let Some(content) = answer.content().ok().filter(|_| is_read && !answer.body.is_empty()) else { return };
        if is_page && !crawl.pages.insert(url.clone()) {
            return;
        }
        let text = content.text(Expect::BODY_BYTES_SEARCHED);
        let found = match is_page {
            true => addresses::of_page(&text, url, content.encoding()),
            false => addresses::of_styles(&text, url),
        };
        for Address { url: mut next, is_style } in found {
            next.set_fragment(None);
            let is_allowed = |next: &Url| crawl.robots.allow(&next[Position::BeforePath..Position::AfterQuery]);
            let is_wanted = if self.is_own(&next) { is_allowed(&next) } else { self.links.elsewhere };
            if is_wanted && crawl.seen.len() < LINKS_MAX && crawl.seen.insert(next.clone()) {
                crawl.waiting.push_back(Link { url: next, page: url.to_string(), depth: depth + 1, is_style });
            }
        }
    }

    async fn robots(&self, terms: &Terms, network: &Network) -> Robots {
        let Ok(url) = self.url.join("/robots.txt") else { return Robots::open() };
        let mut findings = Findings::default();
        let asking = follow(terms, network, &url, &self.ask, None, &mut findings);
        let answer = match tokio::time::timeout(self.links.timeout, asking).await {
            Ok(Ok((answer, _))) => answer,
            Ok(Err(failure)) if failure.class == Class::TooManyRedirects => return Robots::open(),
            _ => return Robots::of_answer(None),
        };
        match answer.content() {
            Ok(content) => Robots::of_answer(Some((answer.status, content.bytes()))),
            Err(_) => Robots::open(), // it is no text
        }
    }
}

/// Did somebody hear the question, whatever came of it?
fn is_answered(class: Class) -> bool {
    matches!(
        class,
        Class::ConnectionClosed
            | Class::Protocol
            | Class::TooManyRedirects
            | Class::WaitTimeout
            | Class::TransferTimeout
            | Class::HttpVersion
    )
}

impl Check for LinksCheck {
    fn kind(&self) -> &'static str {
        "links"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + terms.timeout.saturating_sub(MARGIN);
            findings.part_ways();
            let robots = self.robots(terms, network).await;
            findings.notes.extend(matches!(robots, Robots::Closed).then_some("robots_unreachable"));
            let first = Link { url: self.url.clone(), page: self.url.to_string(), depth: 0, is_style: false };
            let mut crawl = Crawl {
                waiting: [first].into(),
                seen: HashSet::from([self.url.clone()]),
                robots,
                pages: HashSet::new(),
                tried: 0,
                slow: 0,
                first_broken: None,
                broken: 0,
            };
            let crawled = timeout_at(deadline, self.crawl(terms, network, &mut crawl, findings)).await;
            let is_complete = crawled.is_ok();
            crawled.unwrap_or(Ok(()))?;
            findings.fields.extend([
                ("pages", Field::I64(crawl.pages.len() as i64)),
                ("links", Field::I64(crawl.tried as i64)),
                ("broken_links", Field::I64(crawl.broken as i64)),
                ("slow_links", Field::I64(crawl.slow as i64)),
                ("complete", Field::Bool(is_complete)),
            ]);
            match crawl.first_broken {
                None => Ok(()),
                Some(first) => Err(Class::Links
                    .because(format!("{} of {} links are broken, the first: {first}", crawl.broken, crawl.tried))),
            }
        })
    }
}
