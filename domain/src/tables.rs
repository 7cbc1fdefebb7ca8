//! The tables, one a file.

mod alert_events;
mod cdn;
mod exclusion;
mod heartbeat;
mod host;
mod notices;
mod probe;
mod silences;

use crate::table::Table;

pub use alert_events::ALERT_EVENTS;
pub use cdn::{CDN, EDGE_FIELDS};
pub use exclusion::{EXCLUSIONS, MAINTENANCE};
pub use heartbeat::{HEARTBEAT, check_job};
pub use host::HOST;
pub use notices::NOTICES;
pub use probe::PROBE;
pub use silences::SILENCES;

/// The table of what is said of metrics: type, unit, help.
pub const METADATA: &str = "metric_metadata";
/// Exemplars of metrics: tags `metric` and `series`, its labels as JSON; fields `labels`, those of the exemplar, and `value`.
pub const EXEMPLARS: &str = "exemplars";

/// The tables that SQL knows whether rows were written or not.
pub const KNOWN: [&Table; 7] = [&PROBE, &HOST, &MAINTENANCE, &EXCLUSIONS, &ALERT_EVENTS, &NOTICES, &SILENCES];

/// A known table by its name.
pub fn known(name: &str) -> Option<&'static Table> {
    KNOWN.into_iter().find(|table| table.name == name)
}
