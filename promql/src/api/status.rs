//! What clients ask before they ask for metrics, and what people look for on Prometheus' page.

use std::collections::{BTreeSet, HashMap};

use jiff::Timestamp;
use tsdb::now_ns;

use super::asked::Asked;
use super::error::ApiError;
use super::json;
use crate::base::labels::Labels;
use crate::engine::{Source, Wanted};
use crate::model::samples::Sample;
use crate::stored::Stored;
use crate::syntax::Matcher;

/// The version whose answers these are. There are no `features` beside it: clients would take the server for another one.
const VERSION: &str = "3.14.0";

/// `status/buildinfo`
#[must_use]
pub fn build_info() -> String {
    let own = concat!("fournines ", env!("CARGO_PKG_VERSION"));
    let data = format!(
        r#"{{"version":"{VERSION}","revision":"{own}","branch":"","buildUser":"","buildDate":"","goVersion":""}}"#
    );
    json::success(&data, &[], &[])
}

/// `status/runtimeinfo` of a server that was started then.
#[must_use]
pub fn runtime_info(started: Timestamp) -> String {
    let now = Timestamp::now();
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let data = format!(
        r#"{{"startTime":"{started}","CWD":"","hostname":"","serverTime":"{now}","reloadConfigSuccess":true,"lastConfigTime":"{started}","corruptionCount":0,"goroutineCount":0,"GOMAXPROCS":{processors},"GOMEMLIMIT":0,"GOGC":"","GODEBUG":"","storageRetention":""}}"#
    );
    json::success(&data, &[], &[])
}

/// `status/config`: there is no configuration of Prometheus, and ours has secrets.
#[must_use]
pub fn config() -> String {
    json::success(r#"{"yaml":""}"#, &[], &[])
}

/// `status/flags`: those that clients look at.
///
/// # Errors
///
/// None.
pub fn flags(asked: &Asked<'_>) -> Result<String, ApiError> {
    let lookback = crate::syntax::show_duration(asked.settings.lookback_ms * 1_000_000);
    let data = format!(r#"{{"query.lookback-delta":"{lookback}","web.enable-remote-write-receiver":"true"}}"#);
    Ok(json::success(&data, &[], &[]))
}

/// What scrapes write of themselves: whether the page was there, and how long that took in seconds.
const UP: &str = "up";
const DURATION: &str = "scrape_duration_seconds";

/// The newest sample of something that is scraped: its labels, when, and what.
type Scraped = (Labels, i64, f64);

/// The newest samples of a metric that scrapes write, by their labels, and what is known to be missing.
fn scraped(asked: &Asked<'_>, metric: &str) -> Result<(Vec<Scraped>, Vec<String>), ApiError> {
    let now_ms = now_ns().div_euclid(1_000_000);
    let allowance = asked.allowance();
    let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
    let mut all = Vec::new();
    let matchers = [Matcher::equal("__name__", metric)];
    let after_ms = now_ms - asked.settings.lookback_ms;
    stored.select(Wanted::newest(&matchers, after_ms, now_ms), &mut |labels, samples| {
        if let Some((time, Sample::Float(value), _)) = samples.newest(now_ms) {
            stored.room()?;
            all.push((labels.without_metric(), time, value));
        }
        Ok(())
    })?;
    Ok((all, stored.warnings()))
}

/// `targets`: what is scraped, by the newest samples of `up`.
///
/// # Errors
///
/// Samples cannot be read.
pub fn targets(asked: &Asked<'_>) -> Result<String, ApiError> {
    let (all, warnings) = scraped(asked, UP)?;
    let durations: HashMap<Labels, f64> =
        scraped(asked, DURATION)?.0.into_iter().map(|(labels, _, seconds)| (labels, seconds)).collect();
    let shown = all.into_iter().map(|(labels, time, value)| {
        let health = match value {
            0.0 => "down",
            _ if tsdb::is_stale_mark(value) => "unknown",
            _ => "up",
        };
        let when = Timestamp::from_millisecond(time).map_or_else(|_| String::new(), |time| time.to_string());
        let (job, instance) = (json::quoted(labels.get("job")), labels.get("instance"));
        let url = json::quoted(&format!("http://{instance}/metrics"));
        // A scrape that failed says its time, too; a target that has gone has a mark there.
        let seconds = durations.get(&labels).copied().filter(|seconds| seconds.is_finite()).unwrap_or(0.0);
        let mut own = String::new();
        json::labels(&labels, &mut own);
        format!(
            r#"{{"discoveredLabels":{own},"labels":{own},"scrapePool":{job},"scrapeUrl":{url},"globalUrl":{url},"lastError":"","lastScrape":"{when}","lastScrapeDuration":{seconds},"health":"{health}","scrapeInterval":"","scrapeTimeout":""}}"#
        )
    });
    let shown: Vec<String> = shown.collect();
    let data = format!(r#"{{"activeTargets":[{}],"droppedTargets":[],"droppedTargetCounts":{{}}}}"#, shown.join(","));
    Ok(json::success(&data, &warnings, &[]))
}

/// `scrape_pools`: the jobs of what is scraped.
///
/// # Errors
///
/// Samples cannot be read.
pub fn scrape_pools(asked: &Asked<'_>) -> Result<String, ApiError> {
    let (all, warnings) = scraped(asked, UP)?;
    let jobs: BTreeSet<String> = all.into_iter().map(|(labels, ..)| labels.get("job").to_owned()).collect();
    Ok(json::success(&format!(r#"{{"scrapePools":{}}}"#, json::texts(&jobs)), &warnings, &[]))
}
