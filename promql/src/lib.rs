//! PromQL over the store.
//!
//! | folder | what |
//! | --- | --- |
//! | [`syntax`] | from a text to a checked tree, and back |
//! | [`base`] | labels, notes beside an answer |
//! | [`model`] | samples, what a series has at each step |
//! | `functions` | what functions do with numbers, windows and buckets |
//! | [`engine`] | answers |
//! | [`stored`] | samples of the store |
//! | [`api`] | Prometheus' HTTP API, without HTTP |
//!
//! Semantics and words of errors are those of Prometheus 3.14. What Prometheus has behind flags (experimental functions,
//! expressions in durations, `anchored` and `smoothed`, `fill`) is always taken: it only turns errors into answers.

pub mod api;
pub mod base;
pub mod engine;
mod functions;
pub mod model;
pub mod stored;
pub mod syntax;
