//! What is active, and how long.

mod active;
mod engine;
mod event;
mod group;
mod levels;
mod names;

pub use active::{Active, Phase};
pub use engine::{Bad, Engine, Hinders, Judgement, Made, instant};
pub use event::{Event, EventKind, id_of};
pub use group::{GroupState, Health, Outside, RuleState};
