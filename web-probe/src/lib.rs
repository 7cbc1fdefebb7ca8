//! Targets in, measurements out.
//!
//! A [`Target`] says what is probed and what counts as up. [`HttpProbe`] probes it once and times every phase itself;
//! [`Prober`] does so on an open-loop [`Schedule`] and writes a row a slot into the table `probe`. [`host`] measures
//! the machine it runs on into the table `host`.

mod address;
pub mod host;
mod http;
mod measurement;
mod prober;
mod recorder;
mod schedule;
mod target;

pub use http::HttpProbe;
pub use measurement::{Measurement, Outcome, Phases};
pub use prober::Prober;
pub use recorder::Recorder;
pub use schedule::{Schedule, Slot, now_ns};
pub use target::{Expect, Target};
