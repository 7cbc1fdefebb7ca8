//! What one probe found.

use std::net::IpAddr;
use std::time::Duration;

use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::page::Scraped;
use crate::found::phase::Phase;

/// How a slot went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Up, and in time.
    Ok,
    /// Up, but slower than its limit.
    Slow,
    /// Not up.
    Fail,
    /// The probe could not start within its slot: nothing is known about the target.
    Missed,
}

impl Outcome {
    /// Its name in the field `outcome`.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::Slow => "slow",
            Outcome::Fail => "fail",
            Outcome::Missed => "missed",
        }
    }

    /// The field `up`: nothing if nothing is known.
    pub fn up(self) -> Option<bool> {
        match self {
            Outcome::Ok | Outcome::Slow => Some(true),
            Outcome::Fail => Some(false),
            Outcome::Missed => None,
        }
    }
}

/// How long each phase took; a phase that was not reached or not needed has no time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Phases {
    /// Resolving the name; none for an address.
    pub dns: Option<Duration>,
    /// TCP connect.
    pub connect: Option<Duration>,
    /// TLS handshake; none for `http`.
    pub tls: Option<Duration>,
    /// From the start of the request to the head of the answer.
    pub wait: Option<Duration>,
    /// From the head to the end of the body.
    pub transfer: Option<Duration>,
    /// From the start of the first phase to the end of the last.
    pub total: Option<Duration>,
}

/// One request of a chain of redirects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hop {
    /// What was asked for.
    pub url: String,
    /// The status of its answer.
    pub status: Option<u16>,
    /// How long its phases took; it has no total.
    pub phases: Phases,
}

/// A row of a table that is not one of checks.
#[derive(Debug, Clone, PartialEq)]
pub struct OwnRow {
    /// Its table.
    pub table: &'static str,
    /// All its tags.
    pub tags: Vec<(&'static str, String)>,
    /// Its fields.
    pub fields: Vec<(&'static str, Field)>,
}

/// A kind of parts that a target has, and where their rows go.
#[derive(Debug, PartialEq, Eq)]
pub struct Details {
    /// What several of them are called, as in JSON.
    pub list: &'static str,
    /// The table of their rows.
    pub table: &'static str,
    /// The tag that tells them apart.
    pub tag: &'static str,
}

/// What was found of a part.
#[derive(Debug, Clone)]
pub struct Detail {
    /// Which kind of part it is.
    pub of: &'static Details,
    /// Which one.
    pub name: String,
    /// What was found.
    pub found: Measurement,
}

impl Phases {
    /// Each phase of both; the total of neither.
    pub(crate) fn plus(&self, other: &Phases) -> Phases {
        let sum = |a: Option<Duration>, b: Option<Duration>| a.map_or(b, |a| Some(a + b.unwrap_or_default()));
        Phases {
            dns: sum(self.dns, other.dns),
            connect: sum(self.connect, other.connect),
            tls: sum(self.tls, other.tls),
            wait: sum(self.wait, other.wait),
            transfer: sum(self.transfer, other.transfer),
            total: None,
        }
    }

    /// The time of a phase.
    pub(crate) fn of(&mut self, phase: Phase) -> &mut Option<Duration> {
        match phase {
            Phase::Dns => &mut self.dns,
            Phase::Connect => &mut self.connect,
            Phase::Tls => &mut self.tls,
            Phase::Wait => &mut self.wait,
            Phase::Transfer => &mut self.transfer,
        }
    }

    /// All of them together.
    pub(crate) fn sum(&self) -> Duration {
        [self.dns, self.connect, self.tls, self.wait, self.transfer].into_iter().flatten().sum()
    }

    /// The phases in their order, with the names of their columns, in ms to the microsecond: what is below that is
    /// noise, and would be stored for years.
    pub fn columns(&self) -> [(&'static str, Option<f64>); 6] {
        let ms = |phase: Option<Duration>| phase.map(|phase| phase.as_micros() as f64 / 1e3);
        [
            ("dns_ms", ms(self.dns)),
            ("connect_ms", ms(self.connect)),
            ("tls_ms", ms(self.tls)),
            ("wait_ms", ms(self.wait)),
            ("transfer_ms", ms(self.transfer)),
            ("total_ms", ms(self.total)),
        ]
    }
}

/// What one probe found.
#[derive(Debug, Clone)]
pub struct Measurement {
    /// How it went.
    pub outcome: Outcome,
    /// How long its phases took.
    pub phases: Phases,
    /// The HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// Bytes of the body that arrived.
    pub bytes: Option<u64>,
    /// Why it is not up.
    pub failure: Option<Failure>,
    /// Until the server's certificate expires, in seconds; negative if it has.
    pub cert_expires_s: Option<i64>,
    /// The address that was connected to, the last one behind redirects.
    pub address: Option<IpAddr>,
    /// What only this kind of check finds, by the names of its columns.
    pub fields: Vec<(&'static str, Field)>,
    /// The requests of a chain of redirects, if there was one.
    pub hops: Vec<Hop>,
    /// What was found of its parts, by the tag `edge`, if it has parts.
    pub edges: Vec<(String, Measurement)>,
    /// What was found of other parts, which have rows in tables of their own.
    pub details: Vec<Detail>,
    /// Rows of other tables, at the time of the slot.
    pub rows: Vec<OwnRow>,
    /// What a scrape found.
    pub scraped: Option<Scraped>,
}

impl Measurement {
    /// Takes these out of all that can be read in it.
    pub(crate) fn hide(&mut self, secrets: &[String]) {
        let hide = |text: &mut String| {
            for secret in secrets {
                if text.contains(secret) {
                    *text = text.replace(secret, "***");
                }
            }
        };
        let own_rows = self.rows.iter_mut().flat_map(|row| &mut row.fields);
        for (_, field) in self.fields.iter_mut().chain(own_rows) {
            if let Field::Str(text) = field {
                hide(text);
            }
        }
        self.failure.iter_mut().for_each(|failure| hide(&mut failure.message));
        self.hops.iter_mut().for_each(|hop| hide(&mut hop.url));
        self.edges.iter_mut().for_each(|(_, own)| own.hide(secrets));
        for detail in &mut self.details {
            hide(&mut detail.name);
            detail.found.hide(secrets);
        }
    }

    /// Why it says nothing about the target: the prober lacked what it needs itself.
    pub(crate) fn own_trouble(&self) -> Option<&str> {
        let edges = self.edges.iter().map(|(_, own)| own);
        let parts = edges.chain(self.details.iter().map(|detail| &detail.found));
        let mut failures = self.failure.iter().chain(parts.filter_map(|own| own.failure.as_ref()));
        failures.find(|failure| failure.class == Class::Prober).map(|failure| failure.message.as_str())
    }

    /// A slot that could not start, or in which the prober cannot be trusted.
    pub(crate) fn missed(reason: Option<String>) -> Measurement {
        Measurement {
            outcome: Outcome::Missed,
            phases: Phases::default(),
            status: None,
            bytes: None,
            failure: None,
            cert_expires_s: None,
            address: None,
            fields: reason.map(|reason| ("message", Field::Str(reason))).into_iter().collect(),
            hops: Vec::new(),
            edges: Vec::new(),
            details: Vec::new(),
            rows: Vec::new(),
            scraped: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_trouble_is_found_in_every_part() {
        let with = |class: Class| Measurement { failure: Some(class.because("why")), ..Measurement::missed(None) };
        let part = |class| vec![("a".to_owned(), with(class))];
        assert_eq!(with(Class::Prober).own_trouble(), Some("why"));
        for class in [Class::Prober, Class::Status] {
            let expected = (class == Class::Prober).then_some("why");
            let whole = with(Class::Status);
            assert_eq!(Measurement { edges: part(class), ..whole.clone() }.own_trouble(), expected);
            let of = &Details { list: "steps", table: "probe_step", tag: "step" };
            let details = vec![Detail { of, name: "a".into(), found: with(class) }];
            assert_eq!(Measurement { details, ..whole }.own_trouble(), expected);
        }
    }
}
