//! Names that agents cannot write to. People are paid by availability, and these tables and views say what counts.

use crate::tables::{ALERT_EVENTS, EXCLUSIONS, EXEMPLARS, MAINTENANCE, METADATA, NOTICES, SILENCES};

/// The names of the views that are ready in every schema.
pub const VIEWS: [&str; 9] = [
    "availability_daily",
    "availability_monthly",
    "response_daily",
    "outages",
    "advisories",
    "alerts",
    "alert_counts",
    "notice_counts",
    "series",
];
/// The view that only lists what there is. A metric may be called so.
const SERIES: &str = "series";
/// A measurement with the name of a view is read under this and its name.
const STORED: &str = "stored_";

/// Why agents cannot write to a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    /// Only the server writes there.
    Table(&'static str),
    /// A view has the name.
    View(&'static str),
}

impl std::fmt::Display for Reserved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Reserved::Table(name) => {
                write!(f, "'{name}' is a table that only the server writes; use another measurement")
            }
            Reserved::View(name) => write!(f, "'{name}' is the name of a view; use another measurement"),
        }
    }
}

/// Is a measurement closed to agents, and why?
///
/// ```
/// use domain::{Reserved, reserved};
/// assert_eq!(reserved("maintenance"), Some(Reserved::Table("maintenance")));
/// assert_eq!(reserved("outages"), Some(Reserved::View("outages")));
/// assert_eq!(reserved("probe"), None);
/// assert_eq!(reserved("series"), None); // read as `stored_series`
/// ```
pub fn reserved(measurement: &str) -> Option<Reserved> {
    let tables =
        [MAINTENANCE.name, EXCLUSIONS.name, ALERT_EVENTS.name, NOTICES.name, SILENCES.name, METADATA, EXEMPLARS];
    let table = tables.into_iter().find(|name| *name == measurement).map(Reserved::Table);
    table.or_else(|| view(measurement).filter(|name| *name != SERIES).map(Reserved::View))
}

/// The measurement that a table's name in SQL means; `None` for a view.
///
/// ```
/// use domain::reserved::{measurement, sql_name};
/// assert_eq!(measurement("outages"), None);
/// assert_eq!(measurement("stored_outages"), Some("outages"));
/// assert_eq!(measurement("stored_goods"), Some("stored_goods"));
/// assert_eq!(sql_name("outages"), "stored_outages");
/// ```
pub fn measurement(sql_name: &str) -> Option<&str> {
    match view(sql_name) {
        Some(_) => None,
        None => Some(sql_name.strip_prefix(STORED).filter(|rest| view(rest).is_some()).unwrap_or(sql_name)),
    }
}

/// The name that a measurement has in SQL.
pub fn sql_name(measurement: &str) -> String {
    match view(measurement) {
        Some(view) => format!("{STORED}{view}"),
        None => measurement.to_owned(),
    }
}

fn view(name: &str) -> Option<&'static str> {
    VIEWS.into_iter().find(|view| *view == name)
}
