//! Warnings: what keeps an answer from being whole.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

/// What keeps an answer from being whole, in words.
#[derive(Debug, Clone, Default)]
pub(crate) struct Warnings(Arc<Mutex<BTreeSet<String>>>);

impl Warnings {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().expect("nothing panics while it holds the warnings")
    }

    pub(crate) fn add(&self, warning: String) {
        self.lock().insert(warning);
    }

    pub(crate) fn list(&self) -> Vec<String> {
        self.lock().iter().cloned().collect()
    }
}
