//! `notices`: a row for each thing that happened to what somebody is told.

use crate::table::{Column, Table};

/// Who is told of what, and whether that worked. A notice whose newest row is none of `sent`, `gave_up` and `over` is still
/// to be told, and the times of rows rise strictly.
pub const NOTICES: Table = Table {
    name: "notices",
    tags: &["channel", "recipient"],
    fields: &[
        // The same for all rows of a notice; a receiver sees it, too.
        Column::text("notice"),
        // queued: a row for each alert in it; sent, failed, gave_up: one row; over: a row for each alert that is not told.
        Column::text("event"),
        Column::text("alert"),
        Column::text("target"),
        Column::text("severity"),
        Column::text("status"),
        Column::count("attempt"),
        Column::text("error"),
        // What is said of the alert, as JSON.
        Column::text("text"),
    ],
};
