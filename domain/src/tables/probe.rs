//! `probe`: a row for each slot of each target, whatever became of it.

use tsdb::FieldType;

use crate::table::{Column, Table, Unit};

/// `interval_ms` is the length of the slot: the time that the row speaks for. `edge` tells the addresses of a CDN
/// apart.
pub const PROBE: Table = Table {
    name: "probe",
    tags: &["target", "kind", "group", "location", "edge"],
    fields: &[
        Column::text("outcome"),
        Column::text("maintenance"),
        Column::truth("up"),
        Column::ms("dns_ms"),
        Column::ms("connect_ms"),
        Column::ms("tls_ms"),
        Column::ms("wait_ms"),
        Column::ms("transfer_ms"),
        Column::ms("total_ms"),
        Column::new("status", FieldType::I64, Unit::None),
        Column::new("bytes", FieldType::I64, Unit::Bytes),
        Column::text("error"),
        Column::text("message"),
        Column::new("cert_expires_s", FieldType::I64, Unit::S),
        Column::text("address"),
        Column::text("notes"),
        Column::ms("lag_ms"),
        Column::ms("interval_ms"),
    ],
};
