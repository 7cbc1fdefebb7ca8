//! `alerts`: a row for each alert, at the time at which it fired.

use tsdb::FieldType;

use crate::table::{Column, Table, Unit};

/// Who was told what, and when somebody took it on and when it was over.
pub const ALERTS: Table = Table {
    name: "alerts",
    tags: &["target", "group", "severity", "channel", "rule"],
    fields: &[
        Column::text("alert"),
        Column::text("message"),
        Column::new("value", FieldType::F64, Unit::None),
        Column::text("acknowledged_by"),
        Column::instant("acknowledged_ns"),
        Column::instant("closed_ns"),
    ],
};
