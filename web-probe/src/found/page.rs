//! A page of metrics, as a scrape found it.

use bytes::Bytes;
use hyper::HeaderMap;

/// A page as it arrived.
#[derive(Debug, Clone)]
pub struct Page {
    /// The head of the answer.
    pub headers: HeaderMap,
    /// The body, packed if the head says so.
    pub body: Bytes,
}

/// What a scrape found.
#[derive(Debug, Clone)]
pub struct Scraped {
    /// The tag `instance`: host and port.
    pub instance: String,
    /// The page, if there was one.
    pub page: Option<Page>,
}
