//! `links`: a site read page by page, a few levels deep, and every link on it tried once.
//!
//! It is polite: one request at a time with a pause between, pages up to a number, and nothing that `robots.txt` (RFC
//! 9309) keeps robots out of. Pages are of the host of the address; what leads elsewhere is only tried.

use std::borrow::Cow;
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use encoding_rs::Encoding;
use html5gum::{Token, Tokenizer};
use hyper::{Method, header};
use tokio::time::timeout_at;
use url::Url;

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
/// Where addresses stand in HTML: names of tags and of their attributes.
const PLACES: [(&[u8], &[u8]); 8] = [
    (b"a", b"href"),
    (b"area", b"href"),
    (b"link", b"href"),
    (b"img", b"src"),
    (b"script", b"src"),
    (b"iframe", b"src"),
    (b"source", b"src"),
    (b"video", b"src"),
];

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
        if !self.is_page(&link.url, link.depth, crawl) {
            let head = HttpAsk { method: Method::HEAD, ..ask.clone() };
            let (answer, url) = follow(&terms, network, &link.url, &head, None, findings).await?;
            if !matches!(answer.status, 403 | 404 | 405 | 501) {
                return Ok((answer, url));
            }
            // Not everybody knows HEAD, or says the same to it.
            *findings = Findings::begun();
        }
        follow(&terms, network, &link.url, &ask, None, findings).await
    }

    /// Takes the links of a page.
    fn read(&self, answer: &Answer, url: &Url, depth: u32, crawl: &mut Crawl) {
        let kind = answer.headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).map(media_type);
        let is_html = kind.is_some_and(|kind| matches!(kind.as_str(), "text/html" | "application/xhtml+xml"));
        let is_page = is_html && self.is_page(url, depth, crawl);
        let Some(content) = answer.content().ok().filter(|_| is_page && !answer.body.is_empty()) else { return };
        if !crawl.pages.insert(url.clone()) {
            return;
        }
        for mut next in links(&content.text(Expect::BODY_BYTES_SEARCHED), url, content.encoding()) {
            next.set_fragment(None);
            let is_wanted = if self.is_own(&next) { crawl.robots.allow(next.path()) } else { self.links.elsewhere };
            if is_wanted && crawl.seen.len() < LINKS_MAX && crawl.seen.insert(next.clone()) {
                crawl.waiting.push_back(Link { url: next, page: url.to_string(), depth: depth + 1 });
            }
        }
    }

    async fn robots(&self, terms: &Terms, network: &Network) -> Robots {
        let Ok(url) = self.url.join("/robots.txt") else { return Robots::default() };
        let mut findings = Findings::default();
        let asking = follow(terms, network, &url, &self.ask, None, &mut findings);
        match tokio::time::timeout(self.links.timeout, asking).await {
            Ok(Ok((answer, _))) if answer.status == 200 => {
                answer.text().map_or_else(|_| Robots::default(), |text| Robots::read(&text))
            }
            _ => Robots::default(),
        }
    }
}

/// The web addresses in a page. What stands behind a `?` is escaped in the characters of the page, as browsers do it.
fn links(html: &str, base: &Url, encoding: &'static Encoding) -> Vec<Url> {
    let (mut base, mut found) = (base.clone(), Vec::new());
    let encoding = encoding.output_encoding();
    let encoded: &dyn Fn(&str) -> Cow<'_, [u8]> = &|query| encoding.encode(query).0;
    let join =
        |base: &Url, text: &str| Url::options().base_url(Some(base)).encoding_override(Some(encoded)).parse(text).ok();
    for token in Tokenizer::new(html) {
        let Ok(Token::StartTag(tag)) = token else { continue };
        let attribute = |name: &[u8]| {
            let value = tag.attributes.iter().find(|(own, _)| own.as_slice() == name).map(|(_, value)| value);
            value.map(|value| String::from_utf8_lossy(value).trim().to_owned())
        };
        if tag.name.as_slice() == b"base" {
            base = attribute(b"href").and_then(|href| join(&base, &href)).unwrap_or(base);
        }
        let place = PLACES.iter().find(|(name, _)| tag.name.as_slice() == *name);
        let url = place.and_then(|(_, name)| attribute(name)).and_then(|text| join(&base, &text));
        found.extend(url.filter(|url| matches!(url.scheme(), "http" | "https")));
    }
    found
}

/// What a site keeps robots out of.
#[derive(Debug, Default)]
struct Robots(Vec<(bool, String)>);

impl Robots {
    /// The rules for us, or for everybody if there are none for us.
    fn read(text: &str) -> Robots {
        let (mut own, mut all) = (Vec::new(), Vec::new());
        let (mut is_own, mut is_all, mut in_agents) = (false, false, false);
        for line in text.lines() {
            let Some((key, value)) = line.split('#').next().unwrap_or_default().split_once(':') else { continue };
            let (key, value) = (key.trim().to_ascii_lowercase(), value.trim());
            match key.as_str() {
                "user-agent" => {
                    if !std::mem::replace(&mut in_agents, true) {
                        (is_own, is_all) = (false, false);
                    }
                    is_own |= value.eq_ignore_ascii_case("fournines");
                    is_all |= value == "*";
                }
                "allow" | "disallow" => {
                    in_agents = false;
                    let rule = (key == "allow", value.to_owned());
                    if !value.is_empty() && is_own {
                        own.push(rule.clone());
                    }
                    if !value.is_empty() && is_all {
                        all.push(rule);
                    }
                }
                _ => {}
            }
        }
        Robots(if own.is_empty() { all } else { own })
    }

    /// May a path be asked for? The longest rule counts, of two as long the one that allows.
    fn allow(&self, path: &str) -> bool {
        let rules = self.0.iter().filter(|(_, rule)| matches(rule, path));
        rules.max_by_key(|(allow, rule)| (rule.len(), *allow)).is_none_or(|(allow, _)| *allow)
    }
}

/// Does a path begin with a rule, in which `*` is anything and `$` at its end the end?
fn matches(rule: &str, path: &str) -> bool {
    let (rule, to_end) = rule.strip_suffix('$').map_or((rule, false), |rule| (rule, true));
    let mut parts = rule.split('*');
    let Some(mut rest) = path.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let parts: Vec<&str> = parts.collect();
    for (at, part) in parts.iter().enumerate() {
        let found = if to_end && at + 1 == parts.len() { rest.rfind(part) } else { rest.find(part) };
        let Some(found) = found else { return false };
        rest = &rest[found + part.len()..];
    }
    !to_end || rest.is_empty()
}

impl Check for LinksCheck {
    fn kind(&self) -> &'static str {
        "links"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + terms.timeout.saturating_sub(MARGIN);
            let robots = self.robots(terms, network).await;
            let first = Link { url: self.url.clone(), page: self.url.to_string(), depth: 0 };
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

#[cfg(test)]
mod tests {
    use encoding_rs::{GBK, UTF_8};

    use super::*;

    /// As Chromium has it: the path in UTF-8, the query in the characters of the page.
    #[test]
    fn links_of_a_page_in_gbk_are_escaped_as_browsers_do() {
        let found = links("<a href='/政?a=政'>", &Url::parse("http://site.example/").unwrap(), GBK);
        assert_eq!(found[0].as_str(), "http://site.example/%E6%94%BF?a=%D5%FE");
    }

    #[test]
    fn links_are_found_where_browsers_find_them() {
        let html = r#"<base href="/docs/"><a href="one.html#part">1</a><A HREF=' ../two '>2</A><img src=//cdn.example/i.png>
            <a href="mailto:a@b.example">mail</a><!-- <a href="no"> --><script src="s.js?a=1&amp;b=2"></script><a>none</a>"#;
        let found: Vec<String> =
            links(html, &Url::parse("http://site.example/x/y").unwrap(), UTF_8).iter().map(Url::to_string).collect();
        let expected = [
            "http://site.example/docs/one.html#part",
            "http://site.example/two",
            "http://cdn.example/i.png",
            "http://site.example/docs/s.js?a=1&b=2",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn robots_are_kept_out_as_they_are_told() {
        let text = "User-agent: other\nDisallow: /\n\nUser-agent: *\nDisallow: /private # all of it\nAllow: /private/open\nDisallow: /*.pdf$\nDisallow:\n";
        let robots = Robots::read(text);
        for (path, allowed) in [
            ("/", true),
            ("/private/x", false),
            ("/private/open/x", true),
            ("/a/b.pdf", false),
            ("/a/b.pdf.html", true),
        ] {
            assert_eq!(robots.allow(path), allowed, "{path}");
        }
        let own = Robots::read("User-agent: *\nDisallow: /\nUser-agent: Fournines\nDisallow: /no\n");
        assert!(own.allow("/") && !own.allow("/no"));
        assert!(Robots::default().allow("/"));
    }
}
