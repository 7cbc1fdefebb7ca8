//! The view: what the store's data is at one instant. Replaced as a whole, read without a lock.

use std::sync::Arc;

use crate::head::Head;
use crate::segment::Segment;

/// Segments and heads, oldest first; together they hold every row once or more.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub segments: Vec<Arc<Segment>>,
    /// Heads that wait to be sealed, then the one that the writer adds to.
    pub heads: Vec<Arc<Head>>,
}
