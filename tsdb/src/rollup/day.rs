//! A day of a rollup.

use std::sync::Arc;

use crate::base::ids::RollupId;
use crate::catalog::rollup::Rollup;
use crate::rollup::file::RollupFile;

/// A day of a rollup.
#[derive(Debug, Clone)]
pub(crate) struct RollupDay {
    pub id: RollupId,
    pub rollup: Arc<Rollup>,
    pub file: Arc<RollupFile>,
}
