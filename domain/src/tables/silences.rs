//! `silences`: a row for each thing that happened to a silence.

use crate::table::{Column, Table};

/// Of which alerts nobody is told for a while, who says so, and why. The newest row of a silence is what holds.
pub const SILENCES: Table = Table {
    name: "silences",
    tags: &["silence"],
    fields: &[
        Column::instant("start_ns"),
        Column::instant("until_ns"),
        // As JSON, as Alertmanager has them.
        Column::text("matchers"),
        Column::text("author"),
        Column::text("reason"),
    ],
};
