//! What all threads of an open store share.

use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;

use crate::base::error::Result;
use crate::base::options::Options;
use crate::catalog::registry::Catalog;
use crate::files::data_dir::DataDir;
use crate::log::manifest::Manifest;
use crate::rolled::footer::Footers;
use crate::state::health::Health;
use crate::state::last_rows::LastRows;
use crate::state::stats::Counters;
use crate::state::view::View;

/// The state of an open store.
#[derive(Debug)]
pub(crate) struct Shared {
    pub dir: DataDir,
    pub options: Options,
    pub catalog: Arc<Catalog>,
    /// What counts on disk. Whoever changes it holds it until the view shows the change.
    pub manifest: Mutex<Manifest>,
    /// What counts in memory.
    pub view: ArcSwap<View>,
    pub health: Health,
    /// The newest row of every series, for tables that were asked for it.
    pub last_rows: LastRows,
    /// The footers of rolled days that are kept.
    pub footers: Arc<Footers>,
    pub counters: Counters,
    /// Set when the store closes: background work under way is given up, what it was to replace is still there.
    pub closing: AtomicBool,
}

impl Shared {
    /// Changes what the store's data is, on disk and then in memory: durable and visible when this returns.
    ///
    /// # Errors
    ///
    /// The manifest could not be written: nothing has changed.
    pub(crate) fn change(&self, manifest: impl FnOnce(&mut Manifest), view: impl Fn(&mut View)) -> Result<()> {
        let mut current = self.manifest.lock().expect("nothing panics while it holds the manifest");
        let mut new = current.clone();
        manifest(&mut new);
        new.store(&self.dir)?;
        *current = new;
        self.view.rcu(|old| {
            let mut new = View::clone(old);
            view(&mut new);
            new
        });
        Ok(())
    }
}
