//! A request that was let in, and what it is answered from.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use alerts::live::Live;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use ingest::write::Ingest;
use query::Engine;
use tsdb::Store;

use crate::metrics::Metrics;
use crate::prometheus::PromqlOptions;
use crate::tokens::Granted;

/// A body that is read as a whole may be this long, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Services {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
    pub ingest: Arc<Ingest>,
    pub promql: PromqlOptions,
    /// What PromQL knows of the store's tables.
    pub promql_metrics: promql::stored::Metrics,
    /// The rules that are evaluated.
    pub rules: Arc<Live>,
    pub metrics: Metrics,
    pub data_dir: Arc<Path>,
    pub started: jiff::Timestamp,
    /// Schemas that clients have made since the start; a schema is there for good once it has a row.
    pub made: Mutex<BTreeSet<String>>,
}

/// A request that was let in.
pub(crate) struct Call {
    /// What it is answered from.
    pub services: Arc<Services>,
    /// What it may do, and as whom.
    pub granted: Granted,
    /// Its path, without what a proxy puts before it.
    pub path: String,
    pub request: Request<Incoming>,
}

impl Call {
    /// The value of a parameter of the address, if it is there and not empty.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        let query = self.request.uri().query().unwrap_or_default();
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        pairs.find(|(own, value)| own == name && !value.is_empty()).map(|(_, value)| value.into_owned())
    }
}

/// The whole of a short body, or why it cannot be read.
pub(crate) async fn whole(body: Incoming) -> Result<Bytes, String> {
    let body = Limited::new(body, BODY_BYTES_MAX).collect().await;
    Ok(body.map_err(|error| format!("the body could not be read: {error}"))?.to_bytes())
}
