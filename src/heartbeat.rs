//! The server's own heartbeat, to an address outside, so that somebody watches the watcher.

use std::sync::Arc;
use std::time::Duration;

use alerts::live::Live;
use anyhow::{Result, bail};
use bytes::Bytes;
use client::asking::{self, HttpClient};
use http_body_util::Full;
use hyper::Request;
use tsdb::Store;

/// So long an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Calls an address again and again, for ever, while the store writes and all groups of rules are evaluated in time. Whoever
/// is called tells somebody when that stops.
pub async fn beat(url: String, interval: Duration, rules: Arc<Live>, store: Arc<Store>) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut was_well = true;
    loop {
        ticks.tick().await;
        let called = match store.ended() {
            Some(name) => Err(anyhow::anyhow!("the store's thread '{name}' has ended")),
            None => match rules.late() {
                Some(group) => Err(anyhow::anyhow!("the group of rules {group:?} is not evaluated in time")),
                None => call(&url).await,
            },
        };
        // Once: what goes on is said by whoever misses the calls.
        match (&called, was_well) {
            (Err(error), true) => tracing::error!("the heartbeat is not sent: {error:#}"),
            (Ok(()), false) => tracing::info!("the heartbeat is sent again"),
            _ => {}
        }
        was_well = called.is_ok();
    }
}

async fn call(url: &str) -> Result<()> {
    let client: HttpClient = asking::new()?;
    let agent = concat!("fournines/", env!("CARGO_PKG_VERSION"));
    let request = Request::get(url).header(hyper::header::USER_AGENT, agent).body(Full::<Bytes>::default())?;
    let answer = tokio::time::timeout(TIMEOUT, client.request(request)).await??;
    if !answer.status().is_success() {
        bail!("it was answered with {}", answer.status());
    }
    Ok(())
}
