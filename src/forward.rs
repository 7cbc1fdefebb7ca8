//! `serve --forward`: what is measured here goes to another server, too, and waits on disk while that is away
//! ([`client::forward`]).

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use client::asking;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use ingest::write::{Influx, Ingest};

/// Stores the rows of the newest file of a spool: a process that was killed may have kept them for the other server and
/// not stored them here yet. Where it had, nothing changes.
pub async fn store_newest(ingest: &Ingest, dir: &Path) -> Result<()> {
    let Some(file) = web_probe::files(dir).with_context(|| format!("read {}", dir.display()))?.pop() else {
        return Ok(());
    };
    let body = tokio::fs::read(&file).await.with_context(|| format!("read {}", file.display()))?;
    let answer = ingest.line_protocol(Arc::default(), Influx::V1V2, Request::new(Full::new(Bytes::from(body)))).await;
    let status = answer.status();
    if !status.is_success() {
        let body = answer.into_body().collect().await?.to_bytes();
        bail!("store {}: {}", file.display(), asking::reason(&body).unwrap_or_else(|| status.to_string()));
    }
    Ok(())
}
