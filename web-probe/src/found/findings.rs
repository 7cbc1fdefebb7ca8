//! What is known of a check while it runs, and what it comes to.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::failure::{Class, Failure};
use super::field::Field;
use super::measurement::{Detail, Hop, Measurement, Outcome, OwnRow, Phases};
use super::page::Scraped;
use crate::base::terms::Terms;

/// What a check is at: what it times, and what it was doing when time was up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Phase {
    #[default]
    Dns,
    Connect,
    Tls,
    Wait,
    Transfer,
}

impl Phase {
    /// What it fails with when time is up.
    pub(crate) fn timeout(self, after: Duration) -> Failure {
        let (class, doing) = match self {
            Phase::Dns => (Class::DnsTimeout, "resolving the name"),
            Phase::Connect => (Class::ConnectTimeout, "connecting"),
            Phase::Tls => (Class::TlsTimeout, "shaking hands (TLS)"),
            Phase::Wait => (Class::WaitTimeout, "waiting for the answer"),
            Phase::Transfer => (Class::TransferTimeout, "reading the body"),
        };
        class.because(format!("timeout after {after:?} while {doing}"))
    }
}

/// What is known of a check so far.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub phases: Phases,
    pub phase: Phase,
    pub status: Option<u16>,
    pub bytes: Option<u64>,
    pub cert_expires_s: Option<i64>,
    /// What was connected to last.
    pub address: Option<IpAddr>,
    /// Fields that only this kind of check has.
    pub fields: Vec<(&'static str, Field)>,
    /// Requests that ended in a redirect, and the last one behind them; the phases are those of the one that comes
    /// next.
    pub hops: Vec<Hop>,
    /// Parts of the target that are measured by themselves, by the tag `edge`.
    pub edges: Vec<(String, Measurement)>,
    /// Parts of it that have rows in tables of their own.
    pub details: Vec<Detail>,
    /// Rows of tables that are no checks' own.
    pub rows: Vec<OwnRow>,
    /// The page of a scrape, which is stored by itself.
    pub scraped: Option<Scraped>,
}

impl Findings {
    /// What it all comes to.
    pub(crate) fn measured(self, terms: &Terms, taken: Duration, failure: Option<Failure>) -> Measurement {
        let failure = failure.or_else(|| {
            let limit = terms.fail.filter(|limit| taken > *limit)?;
            Some(Class::TooSlow.because(format!("it took {taken:.1?}, the limit is {limit:?}")))
        });
        let outcome = match &failure {
            Some(_) => Outcome::Fail,
            None if terms.slow.is_some_and(|limit| taken > limit) => Outcome::Slow,
            None => Outcome::Ok,
        };
        let Findings {
            phases,
            status,
            bytes,
            cert_expires_s,
            address,
            fields,
            hops,
            edges,
            details,
            rows,
            scraped,
            ..
        } = self;
        let mut phases = hops.iter().fold(phases, |sum, hop| sum.plus(&hop.phases));
        phases.total = Some(taken);
        Measurement {
            outcome,
            phases,
            status,
            bytes,
            failure,
            cert_expires_s,
            address,
            fields,
            hops,
            edges,
            details,
            rows,
            scraped,
        }
    }

    /// Does something that is a phase, and notes how long it took, however it ends.
    pub(crate) async fn time<T>(&mut self, phase: Phase, work: impl Future<Output = T>) -> T {
        let start = self.begin(phase);
        let done = work.await;
        self.end(start);
        done
    }

    /// The end of a request of several.
    pub(crate) fn end_hop(&mut self, url: &url::Url) {
        self.hops.push(Hop { url: url.to_string(), status: self.status, phases: std::mem::take(&mut self.phases) });
    }

    /// The start of a phase.
    pub(crate) fn begin(&mut self, phase: Phase) -> Instant {
        self.phase = phase;
        Instant::now()
    }

    /// The end of the phase that it is in.
    pub(crate) fn end(&mut self, start: Instant) {
        let taken = Some(start.elapsed());
        match self.phase {
            Phase::Dns => self.phases.dns = taken,
            Phase::Connect => self.phases.connect = taken,
            Phase::Tls => self.phases.tls = taken,
            Phase::Wait => self.phases.wait = taken,
            Phase::Transfer => self.phases.transfer = taken,
        }
    }
}
