//! Everything that reads bytes from a network, for fuzzing: given any bytes it takes rows or refuses them, does not
//! panic, and says of as many rows that they were taken as there are in the batch.
//!
//! `fuzz/` has a target for each function; the tests run them on arbitrary bytes.

use tsdb::{Batch, DEFAULT_SCHEMA, Limits};

use crate::body::{self, Encoding};
use crate::line_protocol::{self, Precision};
use crate::metadata::{Metadata, MetricInfo};
use crate::remote_write::{self, Version};
use crate::report::Report;
use crate::row_options::RowOptions;
use crate::{arrow_rows, csv_rows, exposition, json_rows, otlp, otlp_json};

/// What a body may unpack to here.
const UNPACKED_BYTES_MAX: usize = 1 << 20;

/// A batch whose limits are soon reached.
fn batch() -> Batch {
    let limits = Limits {
        columns_max: 64,
        tags_max: 16,
        table_series_max: 100,
        name_bytes_max: 200,
        tag_value_bytes_max: 200,
        string_bytes_max: 2000,
        batch_values_max: 1 << 20,
    };
    Batch::detached(DEFAULT_SCHEMA, limits)
}

fn check(batch: &Batch, report: &Report) {
    assert_eq!(report.taken, batch.rows(), "rows that were taken, and rows that there are");
    assert!(report.reasons.len() <= report.refused);
    assert!(report.reasons.iter().all(|refused| !refused.reason.is_empty()));
}

/// Data points can be several rows, each of which has at most as many values as a native histogram has columns.
fn check_points(batch: &Batch, report: &Report) {
    assert!(report.taken <= report.values && report.values <= 12 * batch.rows(), "{report:?}");
}

fn describe(info: MetricInfo<'_>) {
    let _ = Metadata::write(&info, 0, &mut batch());
}

/// Line protocol.
pub fn line_protocol(bytes: &[u8]) {
    for precision in [Precision::default(), Precision::AUTO] {
        let mut batch = batch();
        let report = line_protocol::parse(bytes, precision, 7, &mut batch);
        check(&batch, &report);
    }
}

/// Remote write 1.0.
pub fn remote_write_1(bytes: &[u8]) {
    remote_write(bytes, Version::V1);
}

/// Remote write 2.0.
pub fn remote_write_2(bytes: &[u8]) {
    remote_write(bytes, Version::V2);
}

fn remote_write(bytes: &[u8], version: Version) {
    let mut batch = batch();
    if let Ok(report) = remote_write::decode(bytes, version, &mut batch, describe) {
        check(&batch, &report);
    }
}

/// OTLP as protobuf.
pub fn otlp(bytes: &[u8]) {
    let mut batch = batch();
    if let Ok(report) = otlp::decode(bytes, 7, &mut batch, describe) {
        check_points(&batch, &report);
    }
}

/// OTLP as JSON.
pub fn otlp_json(bytes: &[u8]) {
    let mut batch = batch();
    if let Ok(report) = otlp_json::decode(bytes, 7, &mut batch, describe) {
        check_points(&batch, &report);
    }
}

/// Text exposition and OpenMetrics.
pub fn exposition(bytes: &[u8]) {
    for (is_open_metrics, tags) in [(false, &[][..]), (true, &[("job", "j"), ("instance", "i")])] {
        let mut batch = batch();
        let options = exposition::Options { now: 7, is_open_metrics, tags, ..Default::default() };
        let report = exposition::parse(bytes, options, &mut batch, describe);
        check(&batch, &report);
    }
}

fn row_options() -> RowOptions {
    RowOptions { measurement: Some("m".into()), tags: vec!["a".into(), "host".into()], ..RowOptions::default() }
}

/// Rows as JSON.
pub fn json_rows(bytes: &[u8]) {
    for options in [RowOptions::default(), row_options()] {
        let mut batch = batch();
        let report = json_rows::parse(bytes, &options, 7, &mut batch);
        check(&batch, &report);
    }
}

/// Rows as CSV.
pub fn csv_rows(bytes: &[u8]) {
    let mut batch = batch();
    if let Ok(report) = csv_rows::parse(bytes, &row_options(), 7, &mut batch) {
        check(&batch, &report);
    }
}

/// Rows as an Arrow stream.
pub fn arrow_rows(bytes: &[u8]) {
    let mut batch = batch();
    if let Ok(report) = arrow_rows::parse(bytes, &row_options(), UNPACKED_BYTES_MAX, &mut batch) {
        check(&batch, &report);
    }
}

/// Packed bodies.
pub fn body(bytes: &[u8]) {
    for encoding in [Encoding::Gzip, Encoding::Zstd, Encoding::Snappy] {
        if let Ok(unpacked) = body::unpack_alone(bytes, encoding, UNPACKED_BYTES_MAX) {
            assert!(unpacked.len() <= UNPACKED_BYTES_MAX);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [fn(&[u8]); 10] = [
        line_protocol,
        remote_write_1,
        remote_write_2,
        otlp,
        otlp_json,
        exposition,
        json_rows,
        csv_rows,
        arrow_rows,
        body,
    ];

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..200),
            small in prop::collection::vec(0u8..40, 0..200),
            text in "[a-c{}=\",\\[\\]:0-9.# \\n\\\\-]{0,120}",
        ) {
            for decode in ALL {
                [&bytes[..], &small, text.as_bytes()].into_iter().for_each(decode);
            }
        }
    }
}
