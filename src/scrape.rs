//! Scrape targets: pages of metrics that this server fetches itself, as Prometheus does.
//!
//! Every series gets the tags `job` and `instance`. Beside the page's own metrics there are `up`, `scrape_duration_seconds` and
//! `scrape_samples_scraped`, at the same time.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, header};
use ingest::exposition::Options;
use ingest::write::{Ingest, Page};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;
use web_probe::{Schedule, now_ns};

use crate::client::{self, HttpClient};

/// What is asked for.
const ACCEPT: &str = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";

/// A page that is fetched on a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScrapeTarget {
    /// The tag `job`.
    pub name: String,
    /// The page.
    pub url: Url,
    /// The tag `group`, if there is one.
    pub group: Option<String>,
    /// From one scrape to the next.
    pub interval: Duration,
    /// A scrape that takes longer fails.
    pub timeout: Duration,
}

impl ScrapeTarget {
    /// The tag `instance`: host and port.
    fn instance(&self) -> String {
        let (host, port) = (self.url.host_str().unwrap_or_default(), self.url.port_or_known_default());
        port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
    }
}

/// The targets that are scraped now. Dropped, they are given up.
pub struct Scraping {
    ingest: Arc<Ingest>,
    client: HttpClient,
    running: HashMap<String, Running>,
    tasks: JoinSet<()>,
}

/// A target under way, until this is dropped.
struct Running {
    target: ScrapeTarget,
    _stop: watch::Sender<()>,
}

impl Scraping {
    /// Nothing yet.
    pub fn new(ingest: Arc<Ingest>) -> Result<Scraping> {
        Ok(Scraping { ingest, client: client::new()?, running: HashMap::new(), tasks: JoinSet::new() })
    }

    /// Scrapes these targets from now on, whose names differ, and no others. One that goes on as it was is not touched; what is changed
    /// goes on with its next slot; a scrape that has begun comes to its end.
    pub fn replace(&mut self, targets: Vec<ScrapeTarget>) {
        while self.tasks.try_join_next().is_some() {}
        let mut old = std::mem::take(&mut self.running);
        for target in targets {
            let kept = old.remove(&target.name).filter(|running| running.target == target);
            let running = kept.unwrap_or_else(|| self.begin(target.clone()));
            self.running.insert(target.name, running);
        }
    }

    fn begin(&mut self, target: ScrapeTarget) -> Running {
        let (stop, stopped) = watch::channel(());
        self.tasks.spawn(run(target.clone(), self.client.clone(), self.ingest.clone(), stopped));
        Running { target, _stop: stop }
    }
}

/// Scrapes a target in each of its slots, from the next one on, until it is told to stop. A slot that is over before its turn is left out.
async fn run(target: ScrapeTarget, client: HttpClient, ingest: Arc<Ingest>, mut stopped: watch::Receiver<()>) {
    let schedule = Schedule::new(&target.name, target.interval);
    let mut trouble = None;
    let mut slot = schedule.next(schedule.slot_at(now_ns()));
    loop {
        let wait = u64::try_from(slot.start_ns - now_ns()).unwrap_or(0);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_nanos(wait)) => {}
            _ = stopped.changed() => return,
        }
        scrape(&client, &target, slot.start_ns, &ingest, &mut trouble).await;
        slot = schedule.next(slot).max(schedule.next(schedule.slot_at(now_ns())));
    }
}

/// Fetches the page once and stores it under the time of its slot. Of trouble that goes on the log speaks once.
async fn scrape(client: &HttpClient, target: &ScrapeTarget, time: i64, ingest: &Ingest, trouble: &mut Option<String>) {
    let start = Instant::now();
    let instance = target.instance();
    let mut tags = vec![("job", target.name.as_str()), ("instance", instance.as_str())];
    tags.extend(target.group.as_deref().map(|group| ("group", group)));
    let page = tokio::time::timeout(target.timeout, fetch(client, target, ingest)).await;
    let page = page.unwrap_or_else(|_| bail!("no answer within {:?}", target.timeout));
    let seconds = start.elapsed().as_secs_f64();
    let options = Options { now: time, is_open_metrics: false, tags: &tags };
    let stored = ingest.scraped(page.as_ref().ok(), seconds, options).await;
    let now = match (page, stored) {
        (Err(error), _) => Some(format!("{error:#}")),
        (_, Err(error)) => Some(error.to_string()),
        (_, Ok(report)) => report
            .reasons
            .first()
            .map(|first| format!("{} lines were refused; line {}: {}", report.refused, first.line, first.reason)),
    };
    if now != *trouble {
        match &now {
            Some(why) => tracing::warn!("scrape of '{}': {why}", target.name),
            None => tracing::info!("scrape of '{}' works again", target.name),
        }
        *trouble = now;
    }
}

async fn fetch(client: &HttpClient, target: &ScrapeTarget, ingest: &Ingest) -> Result<Page> {
    let request = Request::builder()
        .method(Method::GET)
        .uri(target.url.as_str())
        .header(header::ACCEPT, ACCEPT)
        .header(header::ACCEPT_ENCODING, "gzip")
        .header("x-prometheus-scrape-timeout-seconds", target.timeout.as_secs_f64().to_string())
        .body(Full::<Bytes>::default())?;
    let answer = client.request(request).await.context("fetch the page")?;
    if !answer.status().is_success() {
        bail!("the answer is {}", answer.status());
    }
    let (head, body) = answer.into_parts();
    ingest.page(&head.headers, body).await.map_err(|refusal| anyhow::anyhow!("{}", refusal.reason))
}
