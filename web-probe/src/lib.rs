//! Targets in, measurements out.
//!
//! A [`Target`] says what is probed and what counts as up. [`Target::probe`] probes it once and times every phase
//! itself; [`Prober`] does so on an open-loop [`Schedule`] and writes a row a slot into the table `probe`.
//!
//! The folders, each of which knows those above it in this list only:
//!
//! | folder | what lives there |
//! | --- | --- |
//! | `base` | patterns, schedules, times of maintenance, resolvers, the terms of a check |
//! | `found` | what checks find, and why something is not up |
//! | `net` | names, connections and handshakes, each timed by itself |
//! | `http` | requests and their answers |
//! | `checks` | what a check is, and what it can be told |
//! | `kinds` | every kind of check, a file each; `list.rs` names them |
//! | `rows` | rows on their way into the store, and to another server |
//! | `run` | targets, and the prober |

mod base;
mod checks;
mod found;
mod http;
mod kinds;
mod net;
mod rows;
mod run;

pub use base::address::without_password;
pub use base::maintenance::{DaysOfMonth, Months, Recurrence, Times, Weekdays, When, Window};
pub use base::pattern::Pattern;
pub use base::schedule::{Schedule, Slot};
pub use base::terms::{ConnectTo, Terms};
pub use base::trust::Trust;
pub use checks::ask::Ask;
pub use checks::cdn_ask::{CdnAsk, Mark, Progress, Subnet};
pub use checks::links_ask::LinksAsk;
pub use checks::step::Step;
pub use checks::turn::Turn;
pub use found::failure::{Class, Failure};
pub use found::field::Field;
pub use found::measurement::{Detail, Details, Hop, Measurement, Outcome, OwnRow, Phases};
pub use found::page::{Page, Scraped};
pub use http::{Expect, HttpAsk};
pub use kinds::cdn::Verdict;
pub use net::identity::{HttpVersion, Identity};
pub use net::network::Network;
pub use rows::recorder::Recorder;
pub use rows::spool::{Spool, files};
pub use run::pages::{Pages, Scrape, Stored};
pub use run::prober::Prober;
pub use run::probing::{Changes, Probing};
pub use run::target::Target;
