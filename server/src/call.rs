//! A request that was let in, and what it is answered from.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex};

use hyper::Request;
use hyper::body::Incoming;
use ingest::write::Ingest;
use query::Engine;
use tsdb::Store;

use crate::metrics::Metrics;
use crate::tokens::Granted;

/// What requests are answered from.
#[derive(Debug)]
pub(crate) struct Services {
    pub store: Arc<Store>,
    pub engine: Arc<Engine>,
    pub ingest: Arc<Ingest>,
    pub metrics: Metrics,
    pub data_dir: Arc<Path>,
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
