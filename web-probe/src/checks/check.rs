//! What a kind of check is, and what it leaves behind.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use domain::Column;
use tsdb::Store;

use crate::base::terms::Terms;
use crate::found::failure::Failure;
use crate::found::findings::Findings;
use crate::found::measurement::Measurement;
use crate::net::network::Network;

/// What a check comes to, once it is through.
pub(crate) type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// What comes of calls that are stored.
pub(crate) type Hearing<'a> = Box<dyn FnOnce(&Store, &Terms) -> Measurement + Send + 'a>;

/// A kind of check. One file has one; `docs/probes.md` says how to add another.
pub(crate) trait Check: fmt::Debug + Send + Sync {
    /// The tag `kind`.
    fn kind(&self) -> &'static str;

    /// MoreColumns that its rows may have beside those of every check. They are made before the first row, so that
    /// queries can name them.
    fn columns(&self) -> &'static [MoreColumns] {
        &[]
    }

    /// From one slot to the next, where nothing is said of it.
    fn usual_interval(&self) -> Duration {
        Duration::from_secs(10)
    }

    /// Of one that asks nobody, and is called: how the calls that are stored are judged. May wait for the disk.
    fn hears(&self) -> Option<Hearing<'_>> {
        None
    }

    /// Checks once. What it found so far is in `findings` whatever ends it: it is dropped when time is up.
    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a>;
}

/// MoreColumns of a table.
pub(crate) struct MoreColumns {
    pub table: &'static str,
    pub tags: &'static [&'static str],
    pub fields: &'static [Column],
}
