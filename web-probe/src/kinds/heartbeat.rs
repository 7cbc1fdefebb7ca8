//! `heartbeat:job?within=25h`: a job that calls when it is through, at `/heartbeat/job` of the server. It is down when
//! its last call is too long ago, or said that it failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type, TimestampNanosecondType};
use domain::tables::{HEARTBEAT, PROBE, check_job};
use domain::{Column, duration};
use tsdb::{DEFAULT_SCHEMA, FieldType, Store, TIME_COLUMN, TagPredicate, now_ns};

use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking, Hearing, MoreColumns};
use crate::checks::kind::Kind;
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;
use crate::found::measurement::Measurement;
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: &["heartbeat"],
    aliases: &[],
    is_asked: |_| true,
    takes: &[],
    make: |url, _| {
        let job = url.path().to_owned();
        if !url.cannot_be_a_base() {
            return Err(format!("'{url}' has a server; the job calls this one, as in heartbeat:backup?within=25h"));
        }
        check_job(&job)?;
        let mut within = None;
        for (key, value) in url.query_pairs() {
            match &*key {
                "within" => within = Some(duration::parse(&value)?),
                _ => return Err(format!("'{key}={value}' is not known; within=25h is")),
            }
        }
        let within = within.filter(|within| !within.is_zero());
        let within = within.ok_or("expected how long a job may be silent, as in heartbeat:backup?within=25h")?;
        Ok(Arc::new(Heartbeat { job, within, since: Instant::now() }))
    },
};

/// A job, and how long it may be silent.
#[derive(Debug)]
pub(crate) struct Heartbeat {
    job: String,
    within: Duration,
    /// From when on it would have been heard.
    since: Instant,
}

impl Check for Heartbeat {
    fn kind(&self) -> &'static str {
        "heartbeat"
    }

    fn columns(&self) -> &'static [MoreColumns] {
        const OWN: &[Column] = &[Column::new("heartbeat_age_s", FieldType::F64, domain::Unit::S)];
        &[
            MoreColumns { table: HEARTBEAT.name, tags: HEARTBEAT.tags, fields: HEARTBEAT.fields },
            MoreColumns { table: PROBE.name, tags: PROBE.tags, fields: OWN },
        ]
    }

    fn hears(&self) -> Option<Hearing<'_>> {
        Some(Box::new(|store, terms| self.measure(store, terms)))
    }

    /// By hand, where nobody is called.
    fn run<'a>(&'a self, _: &'a Terms, _: &'a Network, _: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let reason = format!("'{}' calls a server, which knows when: SELECT * FROM heartbeat", self.job);
            Err(Class::Heartbeat.because(reason))
        })
    }
}

/// The newest call of a kind.
#[derive(Debug, Clone, PartialEq)]
struct Call {
    time_ns: i64,
    event: String,
    code: Option<i64>,
    message: Option<String>,
}

/// What is known of a job.
#[derive(Debug, PartialEq)]
enum Heard {
    /// It need not have called by now, or a call may be among what the store is missing.
    Nothing(String),
    /// So long ago it was through, and what is wrong with that.
    Through(Duration, Option<Failure>),
    /// It has never been through.
    Never(Failure),
}

impl Heartbeat {
    /// What the store has heard, as a measurement.
    fn measure(&self, store: &Store, terms: &Terms) -> Measurement {
        let begun = Instant::now();
        let mut findings = Findings::default();
        let heard = self.calls(store).map(|(calls, missing)| {
            let heard = self.judge(&calls, now_ns(), self.since.elapsed());
            self.doubted(heard, &missing)
        });
        let failure = match heard {
            Ok(Heard::Nothing(reason)) => return Measurement::missed(Some(reason)),
            Ok(Heard::Through(age, failure)) => {
                findings.fields.push(("heartbeat_age_s", Field::F64(age.as_secs_f64())));
                failure
            }
            Ok(Heard::Never(failure)) => Some(failure),
            Err(error) => return Measurement::missed(Some(error.to_string())),
        };
        findings.measured(terms, begun.elapsed(), failure)
    }

    /// The newest call of each event, and what the store knows to be missing.
    fn calls(&self, store: &Store) -> tsdb::Result<(Vec<Call>, Vec<String>)> {
        let job = [TagPredicate::In("job".into(), vec![self.job.clone()])];
        match store.last_rows(DEFAULT_SCHEMA, HEARTBEAT.name, None, &job) {
            Ok((batch, missing)) => Ok((read(&batch), missing)),
            Err(tsdb::Error::UnknownTable { .. } | tsdb::Error::UnknownColumn { .. }) => Ok((Vec::new(), Vec::new())),
            Err(error) => Err(error),
        }
    }

    /// Nobody is late by a call that was lost here.
    fn doubted(&self, heard: Heard, missing: &[String]) -> Heard {
        let is_late = match &heard {
            Heard::Never(_) => true,
            Heard::Through(_, failure) => failure.as_ref().is_some_and(|failure| failure.class == Class::Heartbeat),
            Heard::Nothing(_) => false,
        };
        match missing.first().filter(|_| is_late) {
            Some(missing) => Heard::Nothing(format!("'{}' may have called: {missing}", self.job)),
            None => heard,
        }
    }

    fn judge(&self, calls: &[Call], now: i64, watched: Duration) -> Heard {
        let ago = |call: &Call| Duration::from_nanos(u64::try_from(now.saturating_sub(call.time_ns)).unwrap_or(0));
        let last = calls.iter().filter(|call| call.event != "start").max_by_key(|call| call.time_ns);
        let start = calls.iter().filter(|call| call.event == "start").max_by_key(|call| call.time_ns);
        let Heartbeat { job, within, .. } = self;
        let Some(last) = last else {
            // The first run has as long as every other.
            let watched = start.map_or(watched, |start| watched.max(ago(start)));
            return match watched > *within {
                true => Heard::Never(Class::Heartbeat.because(match start {
                    Some(start) => format!("'{job}' began {} ago and is not through", short(ago(start))),
                    None => format!("'{job}' has never called, and should every {}", short(*within)),
                })),
                false => Heard::Nothing(format!("'{job}' has not called yet; it has {} for it", short(*within))),
            };
        };
        let age = ago(last);
        let failure = match (age > *within, last.event == "fail") {
            (true, _) => {
                let begun = start.filter(|start| start.time_ns > last.time_ns);
                let begun = begun.map_or(String::new(), |start| format!("; it began again {} ago", short(ago(start))));
                let (age, within) = (short(age), short(*within));
                Some(Class::Heartbeat.because(format!("'{job}' called {age} ago, and should every {within}{begun}")))
            }
            (false, true) => {
                let code = last.code.map_or(String::new(), |code| format!(" with the code {code}"));
                let message = last.message.as_ref().map_or(String::new(), |message| format!(": {message}"));
                Some(Class::JobFailed.because(format!("'{job}' said {} ago that it failed{code}{message}", short(age))))
            }
            (false, false) => None,
        };
        Heard::Through(age, failure)
    }
}

/// A duration to the second.
fn short(duration: Duration) -> String {
    let span = jiff::SignedDuration::from_secs(i64::try_from(duration.as_secs()).unwrap_or(i64::MAX));
    format!("{span:#}")
}

fn read(batch: &RecordBatch) -> Vec<Call> {
    let column = |name| batch.column_by_name(name);
    let Some(times) = column(TIME_COLUMN).map(AsArray::as_primitive::<TimestampNanosecondType>) else {
        return Vec::new();
    };
    let events = column("event").and_then(|events| events.as_dictionary_opt::<Int32Type>());
    let codes = column("code").and_then(|codes| codes.as_primitive_opt::<Int64Type>());
    let messages = column("message").and_then(|messages| messages.as_string_opt::<i32>());
    let event = |row: usize| {
        let events = events?;
        Some(events.values().as_string::<i32>().value(events.key(row)?).to_owned())
    };
    let call = |row: usize| Call {
        time_ns: times.value(row),
        event: event(row).unwrap_or_default(),
        code: codes.and_then(|codes| codes.iter().nth(row).flatten()),
        message: messages.and_then(|messages| messages.iter().nth(row).flatten().map(str::to_owned)),
    };
    (0..batch.num_rows()).map(call).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn judged(calls: &[(i64, &str)], now_s: i64, watched_s: u64) -> (Option<Class>, Option<u64>) {
        judged_without(&[], calls, now_s, watched_s)
    }

    fn judged_without(
        missing: &[String],
        calls: &[(i64, &str)],
        now_s: i64,
        watched_s: u64,
    ) -> (Option<Class>, Option<u64>) {
        let heartbeat = Heartbeat { job: "backup".into(), within: Duration::from_secs(100), since: Instant::now() };
        let call =
            |(time, event): &(i64, &str)| Call { time_ns: time * S, event: (*event).into(), code: None, message: None };
        let calls: Vec<Call> = calls.iter().map(call).collect();
        let heard = heartbeat.judge(&calls, now_s * S, Duration::from_secs(watched_s));
        match heartbeat.doubted(heard, missing) {
            Heard::Nothing(_) => (None, None),
            Heard::Never(failure) => (Some(failure.class), None),
            Heard::Through(age, failure) => (failure.map(|failure| failure.class), Some(age.as_secs())),
        }
    }

    #[test]
    fn a_job_is_down_when_it_is_late_or_says_that_it_failed() {
        let (late, failed) = (Some(Class::Heartbeat), Some(Class::JobFailed));
        assert_eq!(judged(&[], 1000, 99), (None, None), "it has its time");
        assert_eq!(judged(&[], 1000, 101), (late, None));
        assert_eq!(judged(&[(950, "start")], 1000, 10), (None, None));
        assert_eq!(judged(&[(850, "start")], 1000, 10), (late, None), "from before a restart");
        assert_eq!(judged(&[(900, "ok")], 1000, 10), (None, Some(100)));
        assert_eq!(judged(&[(899, "ok")], 1000, 10), (late, Some(101)));
        assert_eq!(judged(&[(899, "ok"), (990, "start")], 1000, 10), (late, Some(101)), "a start is no end");
        assert_eq!(judged(&[(950, "ok"), (960, "fail")], 1000, 10), (failed, Some(40)));
        assert_eq!(judged(&[(970, "ok"), (960, "fail")], 1000, 10), (None, Some(30)), "it was mended");
        assert_eq!(judged(&[(800, "fail")], 1000, 10), (late, Some(200)));
        assert_eq!(judged(&[(1010, "ok")], 1000, 10), (None, Some(0)), "a clock that was set back");
    }

    /// A page of calls that was damaged would have been an outage of the job.
    #[test]
    fn a_job_is_not_late_by_what_the_store_has_lost() {
        let missing = ["a page is damaged".to_owned()];
        assert_eq!(judged_without(&missing, &[(800, "ok")], 1000, 10), (None, None));
        assert_eq!(judged_without(&missing, &[], 1000, 101), (None, None));
        // What it said last is known all the same.
        assert_eq!(judged_without(&missing, &[(950, "fail")], 1000, 10), (Some(Class::JobFailed), Some(50)));
        assert_eq!(judged_without(&missing, &[(950, "ok")], 1000, 10), (None, Some(50)));
    }

    #[test]
    fn an_address_names_a_job_and_how_long_it_may_be_silent() {
        let made = |address: &str| (KIND.make)(url::Url::parse(address).unwrap(), crate::Ask::default());
        assert!(made("heartbeat:nightly-backup?within=25h").is_ok());
        for (address, said) in [
            ("heartbeat:backup", "as in heartbeat:backup?within=25h"),
            ("heartbeat:backup?within=0s", "as in heartbeat:backup?within=25h"),
            ("heartbeat:backup?within=often", "is not a duration"),
            ("heartbeat:backup?every=1h", "'every=1h' is not known"),
            ("heartbeat:a/b?within=1h", "'a/b' is no job"),
            ("heartbeat://backup?within=1h", "has a server"),
        ] {
            assert!(made(address).unwrap_err().contains(said), "{address}: {:?}", made(address));
        }
    }
}
