//! What a kind of check is, and what it leaves behind.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::Column;

use crate::failure::{Class, Failure};
use crate::measurement::{Hop, Measurement, Outcome, OwnRow, Phases};
use crate::network::Network;
use crate::recorder::Field;
use crate::scrape::Scraped;
use crate::target::Target;

/// What a check comes to, once it is through.
pub(crate) type Checking<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// A kind of check. One file has one; `docs/probes.md` says how to add another.
pub(crate) trait Check: fmt::Debug + Send + Sync {
    /// The tag `kind`.
    fn kind(&self) -> &'static str;

    /// Columns that its rows may have beside those of every check. They are made before the first row, so that queries can name them.
    fn columns(&self) -> &'static [Columns] {
        &[]
    }

    /// Checks once. What it found so far is in `findings` whatever ends it: it is dropped when time is up.
    fn run<'a>(&'a self, target: &'a Target, network: &'a Network, findings: &'a mut Findings) -> Checking<'a>;
}

/// Columns of a table.
pub(crate) struct Columns {
    pub table: &'static str,
    pub tags: &'static [&'static str],
    pub fields: &'static [Column],
}

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
    /// Requests that ended in a redirect, and the last one behind them; the phases are those of the one that comes next.
    pub hops: Vec<Hop>,
    /// Parts of the target that are measured by themselves, by the tag `edge`.
    pub edges: Vec<(String, Measurement)>,
    /// Requests of a scenario, by the tag `step`.
    pub steps: Vec<(String, Measurement)>,
    /// Links that are broken or slow, by the tag `link`.
    pub links: Vec<(String, Measurement)>,
    /// Rows of tables that are no checks' own.
    pub rows: Vec<OwnRow>,
    /// The page of a scrape, which is stored by itself.
    pub scraped: Option<Scraped>,
}

/// What a check remembers from one slot to the next. It is no part of what was asked for: two checks are the same without it.
#[derive(Default)]
pub(crate) struct Memory<T>(Mutex<T>);

impl<T> Memory<T> {
    /// Does something with it.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<T> fmt::Debug for Memory<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Memory")
    }
}

impl Findings {
    /// What it all comes to.
    pub(crate) fn measured(self, target: &Target, taken: Duration, failure: Option<Failure>) -> Measurement {
        let failure = failure.or_else(|| {
            let limit = target.fail.filter(|limit| taken > *limit)?;
            Some(Class::TooSlow.because(format!("it took {taken:.1?}, the limit is {limit:?}")))
        });
        let outcome = match &failure {
            Some(_) => Outcome::Fail,
            None if target.slow.is_some_and(|limit| taken > limit) => Outcome::Slow,
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
            steps,
            links,
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
            steps,
            links,
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

impl Target {
    /// Checks it once. Takes at most its timeout.
    pub async fn probe(&self, network: &Network) -> Measurement {
        let (start, mut findings) = (Instant::now(), Findings::default());
        let checked = tokio::time::timeout(self.timeout, self.check.run(self, network, &mut findings)).await;
        let taken = start.elapsed();
        let failure = match checked {
            Ok(checked) => checked.err(),
            Err(_) => Some(findings.phase.timeout(self.timeout)),
        };
        findings.measured(self, taken, failure)
    }
}
