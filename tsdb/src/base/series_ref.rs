//! Which series.

/// Which table and which series of it. Valid for the store that made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SeriesRef {
    pub(crate) table: u32,
    pub(crate) series: u32,
}
