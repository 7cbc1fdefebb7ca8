//! Answers: series by series, each node of the tree tells its series with what they have at every step.

mod absent;
mod aggregate;
mod allowance;
mod binary;
mod buckets;
mod calls;
mod context;
mod evaluate;
mod info;
mod invariant;
mod relabel;
mod select;
mod sets;
mod settle;
mod sort;
mod subquery;
mod topk;
mod vectors;
mod windows;

pub use allowance::Allowance;
pub(crate) use allowance::LABELS_BYTES;
pub use context::{Failure, FailureKind, Make, Settings, Source, Times, Wanted};
pub use evaluate::{Answer, answer};
