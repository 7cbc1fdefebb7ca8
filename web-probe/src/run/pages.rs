//! Who stores the pages that are scraped: this crate does not read them.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::found::page::Page;

/// A scrape that is over, for who stores it.
#[derive(Debug)]
pub struct Scrape {
    /// The tags of its rows: `job`, `instance` and, if it has one, `group`.
    pub tags: Vec<(&'static str, String)>,
    /// The start of its slot, in ns since the epoch.
    pub time_ns: i64,
    /// How long it took.
    pub taken: Duration,
    /// The page, if there was one.
    pub page: Option<Page>,
}

/// What was made of a page.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stored {
    /// Samples that are stored.
    pub samples: usize,
    /// Lines that are not, and why.
    pub refused: usize,
    /// What was wrong, in words.
    pub trouble: Option<String>,
}

type Store = dyn Fn(Scrape) -> BoxFuture<'static, Result<Stored, String>> + Send + Sync;

/// Who stores what is scraped. It is told of scrapes without a page, too.
#[derive(Clone)]
pub struct Pages(Arc<Store>);

impl Pages {
    /// Stores by this; its error is why a page is no page of metrics.
    pub fn new(store: impl Fn(Scrape) -> BoxFuture<'static, Result<Stored, String>> + Send + Sync + 'static) -> Pages {
        Pages(Arc::new(store))
    }

    pub(crate) async fn store(&self, scrape: Scrape) -> Result<Stored, String> {
        (self.0)(scrape).await
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}
