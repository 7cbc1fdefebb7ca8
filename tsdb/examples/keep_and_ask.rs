//! Rows in, rows out: `cargo run -p tsdb --example keep_and_ask`.

use tsdb::{Comparison, FieldPredicate, Literal, Options, Row, ScanRequest, Store, TagPredicate, Value};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Store::open(dir.path(), Options::default())?;

    // A minute of two sites, a row every ten seconds.
    let mut batch = store.batch("public");
    for second in (0..60).step_by(10) {
        for (site, ms) in [("portal", 120.0), ("intranet", 35.5)] {
            batch.push(&Row {
                measurement: "response",
                tags: &[("site", site)],
                time: (1_767_225_600 + second) * 1_000_000_000,
                fields: &[("ms", Value::F64(ms + second as f64))],
            })?;
        }
    }
    store.write(batch)?; // durable when this returns

    let request = ScanRequest {
        columns: Some(["time", "site", "ms"].map(str::to_owned).into()),
        tags: vec![TagPredicate::In("site".into(), vec!["portal".into()])],
        fields: vec![FieldPredicate::Compares("ms".into(), Comparison::Gt, Literal::F64(140.0))],
        ..ScanRequest::default()
    };
    let scan = store.scan("public", "response", &request)?;
    for batch in scan.read_all() {
        println!("{:?}", batch?.columns());
    }
    assert!(scan.warnings().is_empty(), "nothing is damaged");
    store.close()?;
    Ok(())
}
