//! `cdn`: every edge of a host name asked by itself, and compared with the others and with the origin.

mod edges;
mod freshness;
mod headers;
mod vendors;
mod verdict;

use crate::checks::ask::Ask;
use crate::checks::cdn_ask::CdnAsk;
use crate::checks::kind::{Kind, Setting};
use crate::kinds::web;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::tables::{CDN, EDGE_FIELDS, PROBE};
use futures::StreamExt;
use hyper::header::{self, HeaderValue};
use tokio::time::timeout_at;
use url::Url;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: web::SCHEMES,
    aliases: &[],
    is_asked: |ask| ask.cdn.is_some(),
    takes: &Setting::WEB,
    make: |url, ask| {
        web::check(&url, &ask)?;
        let Ask { http, expect, cdn, resolvers, .. } = ask;
        Ok(Arc::new(CdnCheck::new(url, http, expect, cdn.unwrap_or_default(), &resolvers)?))
    },
};

pub use verdict::Verdict;

use edges::{Asked, Known};
use freshness::{Freshness, History, has_mark};
use verdict::Reading;

use crate::base::terms::{ConnectTo, Terms};
use crate::checks::check::{Check, Checking, MoreColumns};
use crate::checks::memory::Memory;
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::{Findings, Phase};
use crate::http::{Answer, Expect, HttpAsk, hop};
use crate::net::network::Network;
use tsdb::now_ns;

/// How many edges are asked at the same time.
const CONCURRENCY: usize = 64;
/// The part of the timeout that resolvers may take.
const DNS_PART: u32 = 3;
/// What is left at the end of the timeout to put it all together.
const MARGIN: Duration = Duration::from_millis(20);
/// Makes Akamai's edges say what others say unasked.
const PRAGMA: HeaderValue =
    HeaderValue::from_static("akamai-x-cache-on, akamai-x-cache-remote-on, akamai-x-check-cacheable");

/// All edges of a host name.
#[derive(Debug)]
pub(crate) struct CdnCheck {
    url: Url,
    ask: HttpAsk,
    expect: Expect,
    cdn: CdnAsk,
    asked: Asked,
    memory: Memory<State>,
}

/// What is remembered from one slot to the next.
#[derive(Debug, Default)]
struct State {
    known: Known,
    contents: History,
    marks: History,
}

/// One edge, or the origin, in one slot.
struct Edge {
    address: IpAddr,
    findings: Findings,
    taken: Duration,
    answer: Option<Answer>,
    /// What the headers of the answer say.
    reading: Option<Reading>,
    /// The hash of what is compared.
    content: Option<String>,
    /// Why it is down: it did not answer, not as expected, or not as the others do.
    failure: Option<Failure>,
}

impl CdnCheck {
    /// The edges of the host of an address are asked by `ask`. Redirects are answers: each edge is to give the same.
    pub(crate) fn new(
        url: Url,
        ask: HttpAsk,
        expect: Expect,
        cdn: CdnAsk,
        resolvers: &[SocketAddr],
    ) -> Result<CdnCheck, String> {
        let name = match url.host() {
            Some(url::Host::Domain(name)) => name.to_owned(),
            _ => return Err("a CDN is asked for by a name, not by an address".into()),
        };
        if !cdn.client_subnets.is_empty() && resolvers.is_empty() {
            return Err("client_subnets needs resolvers that are told of them".into());
        }
        let mut ask = HttpAsk { redirects_max: 0, hash_body: true, ..expect.applied_to(ask) };
        ask.headers.entry(header::PRAGMA).or_insert(PRAGMA);
        let asked = Asked { name, resolvers: resolvers.to_vec(), subnets: cdn.client_subnets.clone() };
        Ok(CdnCheck { url, ask, expect, cdn, asked, memory: Memory::default() })
    }

    /// Finds the edges, and asks them all and the origin.
    async fn ask_all(&self, terms: &Terms, network: &Network, findings: &mut Findings) -> Result<Vec<Edge>, Failure> {
        let deadline = tokio::time::Instant::now() + terms.timeout.saturating_sub(MARGIN);
        let resolving = self.asked.ask(terms.connect_to, terms.timeout / DNS_PART);
        let (mut named, failures) = findings.time(Phase::Dns, resolving).await;
        findings.part_ways();
        named.extend(&self.cdn.edges);
        let (all, changes) = self.memory.with(|state| {
            let changes = state.known.note(&named, self.cdn.keep, Instant::now());
            (state.known.all(), changes)
        });
        let list = |addresses: &[IpAddr]| addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        findings.fields.extend([
            ("edges_added", Field::Str(list(&changes.added))),
            ("edges_gone", Field::Str(list(&changes.gone))),
            ("dns_failures", Field::I64(failures.len() as i64)),
        ]);
        if let Some(first) = failures.first() {
            findings.fields.push(("dns_message", Field::Str(first.message.clone())));
        }
        let none = || Class::DnsNoRecords.because(format!("dns: {} has no address", self.asked.name));
        if all.is_empty() {
            return Err(failures.into_iter().next().unwrap_or_else(none));
        }
        self.cdn.progress.begin(all.len() + usize::from(self.cdn.origin.is_some()));
        let asking =
            all.into_iter().chain(self.cdn.origin).map(|address| self.ask_one(terms, network, address, deadline));
        Ok(futures::stream::iter(asking).buffered(CONCURRENCY).collect().await)
    }

    async fn ask_one(&self, terms: &Terms, network: &Network, address: IpAddr, deadline: tokio::time::Instant) -> Edge {
        let pinned = Terms { connect_to: ConnectTo::Pinned(address), ..terms.clone() };
        let (start, mut findings) = (Instant::now(), Findings::begun());
        let answer = timeout_at(deadline, hop(&pinned, network, &self.url, &self.ask, &mut findings)).await;
        let taken = start.elapsed();
        let answer = answer.unwrap_or_else(|_| Err(findings.timeout(taken)));
        let (answer, failure) = match answer {
            Ok(answer) => {
                let judged = self.expect.judge(&answer, &self.url);
                (Some(answer), judged.err())
            }
            Err(failure) => (None, Some(failure)),
        };
        let reading = answer.as_ref().map(|answer| verdict::read(&answer.headers));
        let content = answer.as_ref().and_then(|answer| self.expect.content_sha256(answer).ok());
        self.cdn.progress.one_done();
        Edge { address, findings, taken, answer, reading, content, failure }
    }

    /// Compares the edges with the origin, if there is one, and with what most of them have.
    fn compare(&self, edges: &mut [Edge], origin: Option<&Edge>) {
        let now_s = now_ns() / 1_000_000_000;
        let most_content = most(edges.iter().filter_map(|edge| edge.content.as_deref()));
        let most_cert = most(edges.iter().filter_map(Edge::certificate));
        let most_validator = most(edges.iter().filter_map(Edge::validator));
        let of_origin = |get: fn(&Edge) -> Option<&str>| origin.and_then(get).map(str::to_owned);
        let content = of_origin(|edge| edge.content.as_deref()).or(most_content);
        let certificate = of_origin(Edge::certificate).or(most_cert);
        let validator = of_origin(Edge::validator).or(most_validator);
        let mark_of_origin = origin.and_then(|origin| self.mark(origin));
        self.memory.with(|state| {
            let is_up = |origin: &&Edge| origin.failure.is_none();
            if let Some(content) = origin.filter(is_up).and_then(|origin| origin.content.as_deref()) {
                state.contents.note(content, now_s);
            }
            let newest =
                mark_of_origin.or_else(|| self.newest_mark(edges, state.marks.current().map(|(mark, _)| mark)));
            newest.iter().for_each(|mark| state.marks.note(mark, now_s));
            for edge in edges {
                edge.note("content_agrees", content.as_deref(), edge.content.clone());
                edge.note("cert_agrees", certificate.as_deref(), edge.certificate().map(str::to_owned));
                edge.note("validator_agrees", validator.as_deref(), edge.validator().map(str::to_owned));
                let differs = self.judge_mark(edge, &state.marks, now_s);
                let differs = self.judge_content(edge, &state.contents, now_s).or(differs);
                let differs = differs.or_else(|| self.judge_certificate(edge, certificate.as_deref()));
                edge.failure = edge.failure.take().or(differs);
            }
        });
    }

    /// Where there is no origin: the mark that no edge had before, or the largest number.
    fn newest_mark(&self, edges: &[Edge], known: Option<&str>) -> Option<String> {
        let marks = edges.iter().filter_map(|edge| self.mark(edge));
        marks.fold(known.map(str::to_owned), |newest, mark| match newest {
            Some(newest) if has_mark(&mark, &newest) => Some(newest),
            _ => Some(mark),
        })
    }

    fn mark(&self, edge: &Edge) -> Option<String> {
        let text = edge.answer.as_ref()?.text().ok()?;
        let found = self.cdn.mark.as_ref()?.pattern.captures(&text)?;
        found.get(1).or_else(|| found.get(0)).map(|mark| mark.as_str().to_owned())
    }

    fn judge_mark(&self, edge: &mut Edge, marks: &History, now_s: i64) -> Option<Failure> {
        let within = self.cdn.mark.as_ref()?.within;
        let found = self.mark(edge);
        edge.findings.fields.extend(found.clone().map(|mark| ("mark", Field::Str(mark))));
        edge.answer.as_ref()?;
        let (current, since_s) = marks.current()?;
        let is_late = now_s - since_s > within.as_secs() as i64;
        let missing = found.as_deref().is_none_or(|mark| !has_mark(current, mark));
        (is_late && missing).then(|| {
            let found = found.unwrap_or_else(|| "none".into());
            Class::EdgePurge
                .because(format!("its mark is {found}, and the mark has been {current} for {} s", now_s - since_s))
        })
    }

    fn judge_content(&self, edge: &mut Edge, contents: &History, now_s: i64) -> Option<Failure> {
        let (reading, content) = (edge.reading.as_ref()?, edge.content.as_deref()?);
        let lifetime_s = reading.lifetime_s.or(self.cdn.lifetime.map(|lifetime| lifetime.as_secs() as i64));
        let freshness = contents.judge(content, reading.age_s, lifetime_s, now_s);
        if freshness != Freshness::Unknown {
            edge.findings.fields.push(("freshness", Field::Str(freshness.name().into())));
        }
        match freshness {
            Freshness::Stale => Some(Class::EdgeStale.because(format!(
                "it has what the origin replaced, {} s after its fetch, and may keep it for {} s",
                reading.age_s.unwrap_or_default(),
                lifetime_s.unwrap_or_default()
            ))),
            Freshness::Foreign => {
                Some(Class::EdgeContent.because(format!("it has what the origin never had: its SHA-256 is {content}")))
            }
            _ => None,
        }
    }

    fn judge_certificate(&self, edge: &Edge, expected: Option<&str>) -> Option<Failure> {
        let (own, expected) = (edge.certificate()?, expected.filter(|_| self.cdn.same_certificate)?);
        (own != expected).then(|| {
            Class::EdgeCertificate
                .because(format!("its certificate has the SHA-256 {own}, the one of the others {expected}"))
        })
    }

    /// What the slot comes to, beside the rows of its edges.
    fn sum_up(&self, edges: &[Edge], origin: Option<Edge>, findings: &mut Findings) {
        let count = |of: &dyn Fn(&&Edge) -> bool| Field::I64(edges.iter().filter(of).count() as i64);
        let distinct = |get: fn(&Edge) -> Option<&str>| {
            Field::I64(edges.iter().filter_map(get).collect::<BTreeSet<_>>().len() as i64)
        };
        findings.fields.extend([
            ("edge_count", Field::I64(edges.len() as i64)),
            ("up_count", count(&|edge| edge.failure.is_none())),
            ("hit_count", count(&|edge| edge.reading.as_ref().is_some_and(|reading| reading.verdict == Verdict::Hit))),
            ("content_count", distinct(|edge| edge.content.as_deref())),
            ("certificate_count", distinct(Edge::certificate)),
        ]);
        let Some(origin) = origin else { return };
        let ms = |taken: Duration| Field::F64(taken.as_micros() as f64 / 1e3);
        findings.fields.push(("origin_total_ms", ms(origin.taken)));
        findings.fields.extend(origin.findings.phases.wait.map(|wait| ("origin_wait_ms", ms(wait))));
        findings.fields.extend(origin.findings.status.map(|status| ("origin_status", Field::I64(i64::from(status)))));
        findings.fields.extend(origin.content.clone().map(|content| ("origin_sha256", Field::Str(content))));
        if let Some(failure) = origin.failure {
            findings.fields.push(("origin_error", Field::Str(failure.class.name().into())));
            findings.fields.push(("origin_message", Field::Str(failure.message)));
        }
    }
}

impl Edge {
    fn certificate(&self) -> Option<&str> {
        self.answer.as_ref()?.cert_sha256.as_deref()
    }

    /// `ETag`, otherwise `Last-Modified`.
    fn validator(&self) -> Option<&str> {
        let headers = &self.answer.as_ref()?.headers;
        headers.get(header::ETAG).or_else(|| headers.get(header::LAST_MODIFIED))?.to_str().ok()
    }

    fn note(&mut self, name: &'static str, expected: Option<&str>, own: Option<String>) {
        let agrees = expected.zip(own).map(|(expected, own)| expected == own);
        self.findings.fields.extend(agrees.map(|agrees| (name, Field::Bool(agrees))));
    }

    /// What its headers say.
    fn report(&mut self) {
        let (Some(answer), Some(reading)) = (&self.answer, &self.reading) else { return };
        let text = |name, text: Option<&str>| text.map(|text| (name, Field::Str(text.to_owned())));
        let number = |name, number: Option<i64>| number.map(|number| (name, Field::I64(number)));
        let ttl_s = reading.lifetime_s.zip(reading.age_s.or(Some(0))).map(|(lifetime, age)| lifetime - age);
        let fields = [
            text("cache", Some(reading.verdict.name())),
            text("vendor", reading.vendor),
            text("pop", reading.pop.as_deref()),
            number("age_s", reading.age_s),
            number("ttl_s", ttl_s),
            text("protocol", Some(answer.protocol)),
            text("cert_sha256", answer.cert_sha256.as_deref()),
            text("content_sha256", self.content.as_deref()),
            text("validator", self.validator()),
            text("cache_headers", Some(&verdict::kept(&answer.headers))),
        ];
        let fields: Vec<_> = fields.into_iter().flatten().collect();
        self.findings.fields.extend(fields);
    }
}

impl Check for CdnCheck {
    fn kind(&self) -> &'static str {
        "cdn"
    }

    fn columns(&self) -> &'static [MoreColumns] {
        &[
            MoreColumns { table: PROBE.name, tags: PROBE.tags, fields: EDGE_FIELDS },
            MoreColumns { table: CDN.name, tags: CDN.tags, fields: CDN.fields },
        ]
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let mut edges = self.ask_all(terms, network, findings).await?;
            let origin = self.cdn.origin.and_then(|_| edges.pop());
            self.compare(&mut edges, origin.as_ref());
            self.sum_up(&edges, origin, findings);
            let mut first = None;
            for mut edge in edges {
                edge.report();
                if let (None, Some(failure)) = (&first, &edge.failure) {
                    first = Some(failure.class.because(format!("edge {}: {}", edge.address, failure.message)));
                }
                let measurement = edge.findings.measured(terms, edge.taken, edge.failure);
                findings.edges.push((edge.address.to_string(), measurement));
            }
            first.map_or(Ok(()), Err)
        })
    }
}

/// What more than half have, if there are at least two that have it.
fn most<'a>(all: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    let sum: usize = counts.values().sum();
    let (one, count) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    (count > 1 && count * 2 > sum).then(|| one.to_owned())
}

#[cfg(test)]
mod tests {
    use super::most;

    #[test]
    fn most_is_more_than_half_and_more_than_one() {
        assert_eq!(most(["a", "a", "b"].into_iter()), Some("a".into()));
        assert_eq!(most(["a", "b"].into_iter()), None);
        assert_eq!(most(["a", "a", "b", "b"].into_iter()), None);
        assert_eq!(most(["a"].into_iter()), None);
        assert_eq!(most([].into_iter()), None);
    }
}
