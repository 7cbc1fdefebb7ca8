//! `alert_events`: a row for each thing that happened to an alert.

use tsdb::FieldType;

use crate::table::{Column, Table, Unit};

/// What happened to alerts. The newest row of an alert is its state, and the times of rows rise strictly.
///
/// `alert` is a tag: the newest row of each alert comes from memory then, and no two alerts share a row.
pub const ALERT_EVENTS: Table = Table {
    name: "alert_events",
    tags: &["rule", "target", "group", "severity", "alert"],
    fields: &[
        // pending, suppressed, firing, unknown, recovered
        Column::text("event"),
        // The evaluation that saw it.
        Column::instant("slot_ns"),
        Column::new("value", FieldType::F64, Unit::None),
        Column::text("message"),
        // Since when it is active.
        Column::instant("since_ns"),
        // Since when it fires, or fired.
        Column::instant("fired_ns"),
        Column::text("actor"),
        Column::text("reason"),
        // Names and values, as JSON.
        Column::text("labels"),
        Column::text("annotations"),
        // The group of rules: its file and its name.
        Column::text("rule_group"),
        // Who was told that it fires, as JSON.
        Column::text("channels"),
    ],
};
