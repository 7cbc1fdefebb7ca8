//! Targets in, measurements out.
//!
//! A [`Target`] says what is probed and what counts as up. [`Target::probe`] probes it once and times every phase itself, by the check of
//! its kind, which has a file of its own, over what all share ([`Network`]); [`Prober`] does so on an open-loop [`Schedule`] and writes a row a slot into the table `probe`. [`host`] measures
//! the machine it runs on into the table `host`.

mod address;
mod canary;
mod cdn;
mod check;
mod database;
mod dns;
mod failure;
mod families;
mod host;
mod http;
mod icmp;
mod links;
mod maintenance;
mod measurement;
mod mysql;
mod network;
mod ocsp;
mod pattern;
mod postgres;
mod prober;
mod probing;
mod recorder;
mod redis;
mod resolver;
mod schedule;
mod scrape;
mod spool;
mod steps;
mod target;
mod tcp;
mod tls;
mod witness;

pub use cdn::{CdnAsk, Mark, Progress, Subnet, Verdict};
pub use database::without_password;
pub use failure::{Class, Failure};
pub use http::{Expect, HttpAsk, HttpVersion, Identity};
pub use links::LinksAsk;
pub use maintenance::{DaysOfMonth, Months, Recurrence, Times, Weekdays, When, Window};
pub use measurement::{Hop, Measurement, Outcome, OwnRow, Phases};
pub use network::Network;
pub use pattern::Pattern;
pub use prober::Prober;
pub use probing::{Changes, Probing};
pub use recorder::{Field, Recorder};
pub use schedule::{Schedule, Slot, now_ns};
pub use scrape::{Page, Pages, Scrape, Scraped, Stored};
pub use spool::{Spool, files};
pub use steps::Step;
pub use target::{Ask, ConnectTo, Target};
