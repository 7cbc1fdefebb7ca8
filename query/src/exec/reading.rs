//! What reads the store for an answer, and knows what is missing from it.

use std::sync::Arc;

use datafusion::physical_plan::ExecutionPlan;
use tsdb::Scan;

use super::once_exec::{Once, OnceExec};
use super::scan_exec::ScanExec;

/// What reads the store for an answer, and knows what is missing from it.
#[derive(Debug, Clone)]
pub(crate) enum Reading {
    Scan(Arc<Scan>),
    Once(Arc<dyn Once>),
}

impl Reading {
    /// What is known to be missing so far, in words.
    pub(crate) fn warnings(&self) -> Vec<String> {
        match self {
            Reading::Scan(scan) => scan.warnings(),
            Reading::Once(once) => once.warnings(),
        }
    }
}

/// What reads the store for a plan.
pub(crate) fn readings(plan: &Arc<dyn ExecutionPlan>) -> Vec<Reading> {
    let scan = plan.downcast_ref::<ScanExec>().map(|exec| Reading::Scan(exec.scan.clone()));
    let once = plan.downcast_ref::<OnceExec>().map(|exec| Reading::Once(exec.once.clone()));
    scan.into_iter().chain(once).chain(plan.children().into_iter().flat_map(readings)).collect()
}
