//! A request that was let in, and what it is answered from.

use std::path::Path;
use std::sync::Arc;

use hyper::Request;
use hyper::body::Incoming;
use ingest::admission::Agents;
use ingest::write::Ingest;
use query::Engine;
use tsdb::Store;

use crate::metrics::Metrics;

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Services {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
    pub ingest: Arc<Ingest>,
    pub metrics: Metrics,
    pub data_dir: Arc<Path>,
}

/// A request that was let in.
pub(crate) struct Call {
    /// What it is answered from.
    pub services: Arc<Services>,
    /// As whom it may write.
    pub agent: Arc<Agents>,
    pub request: Request<Incoming>,
}
