//! Floats, labels, and what is said beside an answer. Nothing here knows of samples.

pub mod labels;
pub mod notes;
