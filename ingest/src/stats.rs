//! What arrived, by protocol: counted by every request, read by `/metrics` and `system.ingest`.

use std::sync::atomic::{AtomicU64, Ordering};

use tsdb::{Histogram, Quantiles};

use crate::report::Report;

/// How rows arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Protocol {
    LineProtocol,
    RemoteWrite,
    Otlp,
    Prometheus,
    Json,
    Csv,
    Arrow,
    /// Pages that this server fetched itself.
    Scrape,
}

impl Protocol {
    const ALL: [Protocol; 8] = [
        Protocol::LineProtocol,
        Protocol::RemoteWrite,
        Protocol::Otlp,
        Protocol::Prometheus,
        Protocol::Json,
        Protocol::Csv,
        Protocol::Arrow,
        Protocol::Scrape,
    ];

    /// Its name in metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::LineProtocol => "line_protocol",
            Protocol::RemoteWrite => "remote_write",
            Protocol::Otlp => "otlp",
            Protocol::Prometheus => "prometheus",
            Protocol::Json => "json",
            Protocol::Csv => "csv",
            Protocol::Arrow => "arrow",
            Protocol::Scrape => "scrape",
        }
    }
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub struct Stats {
    protocols: [Counters; Protocol::ALL.len()],
}

#[derive(Debug, Default)]
struct Counters {
    requests: AtomicU64,
    rows: AtomicU64,
    values: AtomicU64,
    bytes: AtomicU64,
    unpacked_bytes: AtomicU64,
    refused: papaya::HashMap<&'static str, AtomicU64>,
    request_ns: Histogram,
}

/// What was counted of one protocol.
#[derive(Debug, Clone)]
pub struct ProtocolStats {
    /// Which one.
    pub protocol: Protocol,
    /// Requests that were answered.
    pub requests: u64,
    /// Rows that were stored.
    pub rows: u64,
    /// Values that were stored.
    pub values: u64,
    /// Bytes of bodies as they arrived.
    pub bytes: u64,
    /// Bytes of bodies after decompression.
    pub unpacked_bytes: u64,
    /// What was refused, by reason: rows, exemplars, or (`busy`, `disk_full`, `body`, ...) whole requests.
    pub refused: Vec<(&'static str, u64)>,
    /// From the request's head to the answer, in ns.
    pub request_ns: Quantiles,
}

impl Stats {
    fn of(&self, protocol: Protocol) -> &Counters {
        &self.protocols[protocol as usize]
    }

    /// Counts a body.
    pub(crate) fn body(&self, protocol: Protocol, bytes: usize, unpacked: usize) {
        let counters = self.of(protocol);
        counters.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        counters.unpacked_bytes.fetch_add(unpacked as u64, Ordering::Relaxed);
    }

    /// Counts what was stored of a request, and what of it was refused.
    pub(crate) fn stored(&self, protocol: Protocol, report: &Report) {
        let counters = self.of(protocol);
        counters.rows.fetch_add(report.taken as u64, Ordering::Relaxed);
        counters.values.fetch_add(report.values as u64, Ordering::Relaxed);
        for (word, count) in &report.counts {
            self.refused(protocol, word, *count as u64);
        }
    }

    /// Counts what was refused.
    pub(crate) fn refused(&self, protocol: Protocol, word: &'static str, count: u64) {
        let refused = self.of(protocol).refused.pin();
        refused.get_or_insert_with(word, AtomicU64::default).fetch_add(count, Ordering::Relaxed);
    }

    /// Counts a request that was answered after so long.
    pub(crate) fn answered(&self, protocol: Protocol, time: std::time::Duration) {
        let counters = self.of(protocol);
        counters.requests.fetch_add(1, Ordering::Relaxed);
        counters.request_ns.record(time.as_nanos() as u64);
    }

    /// What was counted of each protocol.
    pub fn all(&self) -> impl Iterator<Item = ProtocolStats> + '_ {
        Protocol::ALL.into_iter().map(|protocol| {
            let counters = self.of(protocol);
            let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
            let mut refused: Vec<_> = counters.refused.pin().iter().map(|(word, count)| (*word, get(count))).collect();
            refused.sort_unstable();
            ProtocolStats {
                protocol,
                requests: get(&counters.requests),
                rows: get(&counters.rows),
                values: get(&counters.values),
                bytes: get(&counters.bytes),
                unpacked_bytes: get(&counters.unpacked_bytes),
                refused,
                request_ns: counters.request_ns.summary(),
            }
        })
    }
}
