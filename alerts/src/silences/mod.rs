//! Silences: of which alerts nobody is told for a while. They suppress telling, and neither measuring nor the end of what
//! was told.

mod list;
mod silence;

pub use list::Silences;
pub use silence::{Matching, Silence, Wrong};
