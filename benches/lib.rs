//! Rows for the benchmarks, in the shape of the TSBS `cpu-only` set: ten tags, ten integer fields that wander.
//!
//! `cargo bench -p benches` runs all; `cargo bench -p benches --bench store` one file.

pub mod load;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use ingest::line_protocol::{Precision, parse};
use tempfile::TempDir;
use tsdb::{Options, Store};

/// Hosts, each one series.
pub const HOSTS: usize = 200;
/// Fields a row.
pub const FIELDS: usize = 10;

const NAMES: [&str; FIELDS] =
    ["user", "system", "idle", "nice", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"];

/// `steps` rows of every host, ten seconds apart, as line protocol.
pub fn lines(steps: usize) -> String {
    let (mut text, mut state) = (String::new(), 1u64);
    let mut values = vec![[50i64; FIELDS]; HOSTS];
    for step in 0..steps {
        for (host, values) in values.iter_mut().enumerate() {
            let _ = write!(
                text,
                "cpu,hostname=host_{host},region=eu-west-1,datacenter=eu-west-1a,rack={},os=Ubuntu16.10,arch=x64,team=SF,\
                 service={},service_version=1,service_environment=production ",
                host % 100,
                host % 20
            );
            for (at, (name, value)) in NAMES.iter().zip(values).enumerate() {
                // A xorshift walk: reproducible, and about as hard to compress as the real set.
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                *value = (*value + (state % 3) as i64 - 1).clamp(0, 100);
                let _ = write!(text, "{}usage_{name}={value}i", if at > 0 { "," } else { "" });
            }
            let _ = writeln!(text, " {}", 1_767_225_600_000_000_000 + step as i64 * 10_000_000_000);
        }
    }
    text
}

/// Where the rows of a store are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// In frames, as they came.
    Head,
    /// In segments, as they were sealed.
    Sealed,
    /// In one segment.
    Compacted,
    /// In Parquet files.
    Rolled,
}

/// A store in a folder of its own that holds `lines`.
pub fn filled_store(lines: &str, kind: Kind) -> (Arc<Store>, TempDir) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let roll_after = (kind == Kind::Rolled).then_some(Duration::ZERO);
    let store = Store::open(dir.path(), Options { roll_after, ..Options::default() }).expect("an empty folder opens");
    let mut rest = lines.as_bytes();
    while !rest.is_empty() {
        // In requests, as it would come.
        let end = rest.iter().skip(4 << 20).position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + (4 << 20) + 1);
        let mut batch = store.batch("public");
        let report = parse(&rest[..end], Precision::default(), 0, &mut batch);
        assert!(report.refused == 0, "the benchmark's own lines are good");
        store.write(batch).expect("there is room");
        rest = &rest[end..];
    }
    match kind {
        Kind::Head => {}
        Kind::Sealed => store.flush().expect("there is room"),
        Kind::Compacted | Kind::Rolled => store.compact().expect("there is room"),
    }
    (Arc::new(store), dir)
}
