//! Rules, the states of alerts, and what is told of them.
//!
//! | folder | what |
//! | --- | --- |
//! | [`base`] | a clock, rows of batches |
//! | [`silences`] | of which alerts nobody is told for a while |
//! | [`template`] | texts with holes, as Prometheus' rule files have them |
//! | [`rules`] | rule files, read and checked |
//! | [`state`] | what is active, and how long; groups of rules, evaluated one time after the other |
//! | [`ready`] | what every target has without a file |
//! | [`notices`] | what channels are told, until they have it |
//! | [`live`] | groups over a store, evaluated as time goes by |
//! | [`testing`] | files that test rules, as `promtool test rules` takes them |
//!
//! Questions are asked behind a trait ([`state::Engine`]), and whoever evaluates a group says for when: only [`live`] knows
//! of a store and of clocks.

pub mod base;
pub mod live;
pub mod notices;
pub mod ready;
pub mod rules;
pub mod silences;
pub mod state;
pub mod template;
pub mod testing;
