//! What clients ask before they ask for metrics.

use super::json;

/// The version whose answers these are. There are no `features` beside it: clients would take the server for another one.
const VERSION: &str = "3.14.0";

/// `status/buildinfo`
#[must_use]
pub fn build_info() -> String {
    let own = concat!("fournines ", env!("CARGO_PKG_VERSION"));
    let data = format!(
        r#"{{"version":"{VERSION}","revision":"{own}","branch":"","buildUser":"","buildDate":"","goVersion":""}}"#
    );
    json::success(&data, &[], &[])
}

/// `alerts`, as long as there are none.
#[must_use]
pub fn no_alerts() -> String {
    json::success(r#"{"alerts":[]}"#, &[], &[])
}

/// `rules`, as long as there are none.
#[must_use]
pub fn no_rules() -> String {
    json::success(r#"{"groups":[]}"#, &[], &[])
}

/// `query_exemplars`, as long as none are kept.
#[must_use]
pub fn empty_list() -> String {
    json::success("[]", &[], &[])
}
