//! Decoders allocate for a request, not for its rows: a hundred times as many rows of known series cost a few steps
//! more of lists that grow by doubling.

use allocation_counter::measure;
use ingest::remote_write::Version;
use ingest::report::Report;
use ingest::row_options::RowOptions;
use ingest::{csv_rows, exposition, json_rows, line_protocol, otlp, otlp_json, remote_write};
use tsdb::{Batch, Limits};

const FEW: usize = 100;
const MANY: usize = 10_000;
/// Columns, the arena and the batch's own lists double from the few to the many about seven times each.
const MORE_MAX: u64 = 150;

/// How a format writes rows, and how it is read.
type Write = fn(usize) -> Vec<u8>;
type Read = fn(&[u8], &mut Batch) -> Report;

/// A message of protobuf with one field, of bytes.
fn bytes(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        out.push(length as u8 | 0x80);
        length >>= 7;
    }
    out.push(length as u8);
    [&out, bytes].concat()
}

fn eight(number: u8, bits: u64) -> Vec<u8> {
    [&[number << 3 | 1], &bits.to_le_bytes()[..]].concat()
}

fn lines(rows: usize, line: impl Fn(usize) -> String) -> Vec<u8> {
    (0..rows).map(line).collect::<String>().into_bytes()
}

fn remote_write_1(rows: usize) -> Vec<u8> {
    let label = |name: &str, value: &str| bytes(1, &[bytes(1, name.as_bytes()), bytes(2, value.as_bytes())].concat());
    let series = |row: usize| {
        let sample = [eight(1, row as u64), vec![0x10, row as u8 & 0x7f]].concat();
        // A histogram of three buckets, as differences.
        let span = bytes(11, &[0x10, 3]);
        let histogram = [vec![0x08, 3], span, bytes(12, &[2, 0, 0]), vec![0x78, row as u8 & 0x7f]].concat();
        bytes(1, &[label("__name__", "m"), label("host", "a"), bytes(2, &sample), bytes(4, &histogram)].concat())
    };
    (0..rows).flat_map(series).collect()
}

fn otlp_points(rows: usize) -> Vec<u8> {
    let text = |text: &str| bytes(2, &bytes(1, text.as_bytes()));
    let attribute = bytes(7, &[bytes(1, b"host"), text("a")].concat());
    let number = bytes(7, &[bytes(1, b"port"), bytes(2, &[0x18, 80])].concat());
    let point =
        |row: usize| bytes(1, &[eight(3, row as u64 + 1), eight(4, 7), attribute.clone(), number.clone()].concat());
    let gauge = bytes(5, &(0..rows).flat_map(point).collect::<Vec<_>>());
    bytes(1, &bytes(2, &bytes(2, &[bytes(1, b"m"), gauge].concat())))
}

fn otlp_histograms_as_json(rows: usize) -> Vec<u8> {
    let point = |row: usize| {
        format!(
            r#"{}{{"timeUnixNano":"{}","count":"3","sum":2.5,"bucketCounts":["1","2"],"explicitBounds":[0.5],"attributes":[{{"key":"host","value":{{"stringValue":"a"}}}}]}}"#,
            if row == 0 { "" } else { "," },
            row + 1
        )
    };
    let points: String = (0..rows).map(point).collect();
    format!(
        r#"{{"resourceMetrics":[{{"scopeMetrics":[{{"metrics":[{{"name":"m","histogram":{{"dataPoints":[{points}]}}}}]}}]}}]}}"#
    )
    .into_bytes()
}

fn options() -> RowOptions {
    RowOptions { measurement: Some("m".into()), tags: vec!["host".into()], ..RowOptions::default() }
}

#[test]
fn rows_of_known_series_cost_no_allocation() {
    let formats: [(&str, Write, Read); 7] = [
        (
            "line protocol",
            |rows| lines(rows, |row| format!("m,host=a value={row},text=\"a\\\"b\" {row}\n")),
            |body, batch| line_protocol::parse(body, line_protocol::Precision::default(), 7, batch),
        ),
        ("remote write", remote_write_1, |body, batch| remote_write::decode(body, Version::V1, batch, |_| {}).unwrap()),
        ("OTLP", otlp_points, |body, batch| otlp::decode(body, 7, batch, |_| {}).unwrap()),
        ("OTLP as JSON", otlp_histograms_as_json, |body, batch| otlp_json::decode(body, 7, batch, |_| {}).unwrap()),
        (
            "text",
            |rows| lines(rows, |row| format!("m{{host=\"a\",b=\"c\\\"d\"}} {row}.5 {row}\n")),
            |body, batch| exposition::parse(body, exposition::Options::default(), batch, |_| {}),
        ),
        (
            "JSON",
            |rows| {
                lines(rows, |row| {
                    format!("{{\"host\":\"a\",\"port\":8,\"value\":{row}.5,\"t\":\"\\u00e4\",\"time\":{row}}}\n")
                })
            },
            |body, batch| json_rows::parse(body, &options(), 7, batch),
        ),
        (
            "CSV",
            |rows| {
                [b"time,host,value\ntime,tag,float\n".to_vec(), lines(rows, |row| format!("{row},a,{row}.5\n"))]
                    .concat()
            },
            |body, batch| csv_rows::parse(body, &options(), 7, batch).unwrap(),
        ),
    ];
    for (name, write, read) in formats {
        let allocations = |rows: usize| {
            let body = write(rows);
            let mut batch = Batch::detached("public", Limits::default());
            let mut taken = 0;
            let counted = measure(|| {
                let report = read(&body, &mut batch);
                assert_eq!(report.refused, 0, "{name}: {:?}", report.reasons);
                taken = report.taken;
            });
            assert!(taken >= rows, "{name}");
            counted.count_total
        };
        let (few, many) = (allocations(FEW), allocations(MANY));
        assert!(many <= few + MORE_MAX, "{name}: {few} allocations for {FEW} rows, {many} for {MANY}");
    }
}
