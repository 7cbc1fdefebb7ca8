//! `maintenance` and `exclusions`: time that does not count, who says so and why. A row's time is the start.

use crate::table::{Column, Table};

/// Planned work.
pub const MAINTENANCE: Table = Table { name: "maintenance", tags: &["id"], fields: FIELDS };
/// Force majeure, and whatever else does not count.
pub const EXCLUSIONS: Table = Table { name: "exclusions", tags: &["id"], fields: FIELDS };

/// Ending an entry, or changing its end, writes `until_ns` again.
const FIELDS: &[Column] = &[
    Column::instant("until_ns"),
    Column::text("targets"),
    Column::text("author"),
    Column::text("reason"),
    Column::instant("created_ns"),
];
