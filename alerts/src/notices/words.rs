//! What is said of a notice, whoever says it.

use super::told::{Notice, Status, Told};
use crate::base::clock::rfc3339;
use crate::base::text::headline;

/// So many alerts are written out, and of the others how many there are.
pub(super) const ALERTS_MAX: usize = 100;
const SUBJECT_LETTERS_MAX: usize = 200;

/// What is to be read first of an alert.
pub(super) fn summary(own: &Told) -> &str {
    let text = headline(|name| own.annotations.get(name).map(String::as_str));
    text.or_else(|| own.labels.get("alertname").map(String::as_str)).unwrap_or_default()
}

/// `critical`, `warning`, `resolved`
pub(super) fn level(own: &Told) -> &str {
    match own.status {
        Status::Firing => &own.severity,
        Status::Resolved => Status::Resolved.name(),
    }
}

/// How grave all is together: what fires counts more than what is over.
pub(super) fn gravest(notice: &Notice) -> &'static str {
    let has = |wanted: &str| notice.alerts.iter().any(|own| level(own) == wanted);
    ["critical", "warning"].into_iter().find(|own| has(own)).unwrap_or("resolved")
}

/// How many fire, and how many are over.
pub(super) fn counts(notice: &Notice) -> (usize, usize) {
    let fires = notice.alerts.iter().filter(|own| own.status == Status::Firing).count();
    (fires, notice.alerts.len() - fires)
}

/// One line, whatever stands in the texts.
pub(super) fn subject(notice: &Notice) -> String {
    let text = match notice.alerts.as_slice() {
        [own] => format!("[{}] {}", level(own), summary(own)),
        _ => {
            let (firing, resolved) = counts(notice);
            format!("[{}] {firing} firing, {resolved} resolved", gravest(notice))
        }
    };
    let line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    line.take(SUBJECT_LETTERS_MAX).collect()
}

/// From when on, or from when to when, it fired.
pub(super) fn span(own: &Told) -> String {
    match own.ends_ms.filter(|_| own.status == Status::Resolved) {
        Some(ends_ms) => format!("{} to {}", rfc3339(Some(own.starts_ms)), rfc3339(Some(ends_ms))),
        None => format!("since {}", rfc3339(Some(own.starts_ms))),
    }
}

/// Its labels, in a line.
pub(super) fn labels(own: &Told) -> String {
    own.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(", ")
}

/// All of it, as text.
pub(super) fn plain(notice: &Notice, external_url: &str) -> String {
    let mut text = String::new();
    for own in notice.alerts.iter().take(ALERTS_MAX) {
        text.push_str(&format!("[{}] {}\n  {}\n  {}\n\n", level(own), summary(own), span(own), labels(own)));
    }
    if notice.alerts.len() > ALERTS_MAX {
        text.push_str(&format!("and {} more\n\n", notice.alerts.len() - ALERTS_MAX));
    }
    text.push_str(external_url);
    text.push('\n');
    text
}
