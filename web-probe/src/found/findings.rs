//! What is known of a check while it runs, and what it comes to.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::failure::{Class, Failure};
use super::field::Field;
use super::measurement::{Detail, Hop, Measurement, Outcome, OwnRow, Phases};
use super::page::Scraped;
pub(crate) use super::phase::Phase;
use crate::base::address::without_password;
use crate::base::terms::Terms;
use crate::base::trust::Trust;

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
    /// What was odd about it and did not keep it from being up, in words to count by.
    pub notes: BTreeSet<&'static str>,
    /// The proxy that is spoken to, and nobody behind it yet.
    pub proxy: Option<String>,
    /// The end of the last phase, where the next one begins.
    last: Option<Instant>,
}

impl Findings {
    /// Of what begins now: the time until the first phase is a part of it.
    pub(crate) fn begun() -> Findings {
        Findings { last: Some(Instant::now()), ..Findings::default() }
    }

    /// What comes from here on is of no phase: several things at the same time, or parts that are timed by themselves.
    pub(crate) fn part_ways(&mut self) {
        self.last = None;
    }

    /// What it fails with when time is up.
    pub(crate) fn timeout(&self, after: Duration) -> Failure {
        let failure = self.phase.timeout(after);
        match &self.proxy {
            Some(proxy) => Class::Proxy.because(format!("proxy {proxy}: {}", failure.message)),
            None => failure,
        }
    }

    /// What it all comes to.
    pub(crate) fn measured(self, terms: &Terms, taken: Duration, failure: Option<Failure>) -> Measurement {
        let failure = failure.or_else(|| {
            // What should be closed and answers is up, however late.
            let limit = terms.fail.filter(|limit| taken > *limit && !terms.upside_down)?;
            Some(Class::TooSlow.because(format!("it took {taken:.1?}, the limit is {limit:?}")))
        });
        let failure = if terms.upside_down { turned(failure) } else { failure };
        let is_missed = |failure: &Failure| failure.class == Class::TlsUnsupported && terms.unsupported_is_missed;
        let outcome = match &failure {
            Some(failure) if is_missed(failure) => Outcome::Missed,
            Some(_) => Outcome::Fail,
            None if terms.slow.is_some_and(|limit| taken > limit) => Outcome::Slow,
            None => Outcome::Ok,
        };
        let mut notes = self.notes;
        if terms.trust == Trust::Anybody && self.cert_expires_s.is_some() {
            notes.insert("insecure");
        }
        let notes = notes.into_iter().collect::<Vec<_>>().join(" ");
        let Findings {
            phases,
            phase,
            last,
            status,
            bytes,
            cert_expires_s,
            address,
            mut fields,
            hops,
            edges,
            details,
            rows,
            scraped,
            ..
        } = self;
        fields.extend((!notes.is_empty()).then_some(("notes", Field::Str(notes))));
        let mut phases = hops.iter().fold(phases, |sum, hop| sum.plus(&hop.phases));
        phases.total = Some(taken);
        // What was done behind the last phase is a part of it.
        if last.is_some() {
            let left = taken.saturating_sub(phases.sum());
            phases.of(phase).iter_mut().for_each(|time| *time += left);
        }
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
        self.hops.push(Hop {
            url: without_password(url),
            status: self.status,
            phases: std::mem::take(&mut self.phases),
        });
    }

    /// The start of a phase.
    pub(crate) fn begin(&mut self, phase: Phase) -> Instant {
        self.phase = phase;
        self.last.take().unwrap_or_else(Instant::now)
    }

    /// The end of the phase that it is in.
    pub(crate) fn end(&mut self, start: Instant) {
        let now = Instant::now();
        *self.phases.of(self.phase) = Some(now - start);
        self.last = Some(now);
    }
}

/// What is to be down: being so is well, and being up is not. What the prober lacks itself stays what it is.
fn turned(failure: Option<Failure>) -> Option<Failure> {
    match failure {
        Some(failure) if failure.class == Class::Prober => Some(failure),
        Some(_) => None,
        None => Some(Class::Up.because("it is up, and should not be (upside_down)")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that should be closed and answered late was too slow, so down, so well.
    #[test]
    fn what_should_be_closed_is_not_well_because_it_is_slow() {
        let second = Duration::from_secs(1);
        let of = |upside_down, failure: Option<Class>| {
            let terms = Terms { upside_down, fail: Some(second), ..Terms::default() };
            let failure = failure.map(|class| class.because("why"));
            let found = Findings::default().measured(&terms, 2 * second, failure);
            (found.outcome, found.failure.map(|failure| failure.class))
        };
        assert_eq!(of(false, None), (Outcome::Fail, Some(Class::TooSlow)));
        assert_eq!(of(true, None), (Outcome::Fail, Some(Class::Up)));
        assert_eq!(of(true, Some(Class::ConnectRefused)), (Outcome::Ok, None));
        assert_eq!(of(true, Some(Class::Prober)), (Outcome::Fail, Some(Class::Prober)));
    }
}
