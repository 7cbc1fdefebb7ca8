//! Segments: immutable files of sorted, compressed rows.
//! One file reads them, one knows where their pages lie, one writes them.
//! Nothing here knows other segments.

pub(crate) mod file;
pub(crate) mod index;
pub(crate) mod writer;
