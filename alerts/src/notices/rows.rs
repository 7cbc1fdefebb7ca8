//! Notices as rows.

use std::collections::BTreeMap;

use domain::tables::NOTICES;
use tsdb::{Batch, DEFAULT_SCHEMA, Row, RowError, ScanRequest, Store, Value};

use super::route::Held;
use super::told::{Notice, Told};
use crate::base::clock::{Clock, NS_PER_MS, now_ms};
use crate::base::rows::{Rows, columns_there};
use crate::base::text::target;

/// Adds the rows of a notice that is queued.
pub(super) fn queue(notice: &Notice, recipient: &str, clock: &Clock, batch: &mut Batch) -> Result<(), RowError> {
    for own in &notice.alerts {
        let text =
            serde_json::to_string(&(&notice.group, own, &notice.held)).expect("what is told always becomes JSON");
        let target = target(|name| own.labels.get(name).map(String::as_str));
        let fields = [
            ("notice", Value::Str(&notice.id)),
            ("event", Value::Str("queued")),
            ("alert", Value::Str(&own.alert)),
            ("target", Value::Str(target)),
            ("severity", Value::Str(&own.severity)),
            ("status", Value::Str(own.status.name())),
            ("text", Value::Str(&text)),
        ];
        push(notice, recipient, &fields, clock.next(notice.queued_ms.saturating_mul(NS_PER_MS)), batch)?;
    }
    Ok(())
}

/// Adds the row of what became of a notice.
pub(super) fn ended(
    (notice, recipient): (&Notice, &str),
    event: &str,
    attempt: i64,
    error: Option<&str>,
    clock: &Clock,
    batch: &mut Batch,
) -> Result<(), RowError> {
    let mut fields =
        vec![("notice", Value::Str(&notice.id)), ("event", Value::Str(event)), ("attempt", Value::I64(attempt))];
    fields.extend(error.map(|error| ("error", Value::Str(error))));
    // When it was tried, and not when it was queued.
    push(notice, recipient, &fields, clock.next(now_ms().saturating_mul(NS_PER_MS)), batch)
}

/// Adds the row of an alert of a notice that is not told: something newer of it is, or it began and ended meanwhile.
pub(super) fn over(
    (notice, recipient): (&Notice, &str),
    own: &Told,
    clock: &Clock,
    batch: &mut Batch,
) -> Result<(), RowError> {
    let fields = [
        ("notice", Value::Str(&notice.id)),
        ("event", Value::Str("over")),
        ("alert", Value::Str(&own.alert)),
        ("status", Value::Str(own.status.name())),
    ];
    push(notice, recipient, &fields, clock.next(now_ms().saturating_mul(NS_PER_MS)), batch)
}

fn push(
    notice: &Notice,
    recipient: &str,
    fields: &[(&str, Value<'_>)],
    time: i64,
    batch: &mut Batch,
) -> Result<(), RowError> {
    let tags = [("channel", notice.channel.as_str()), ("recipient", recipient)];
    let tags: Vec<_> = tags.into_iter().filter(|(_, value)| !value.is_empty()).collect();
    batch.push(&Row { measurement: NOTICES.name, tags: &tags, time, fields })
}

/// The notices that were queued since a time in ms, and are neither sent nor given up nor over, in the order in which they were
/// queued; each with the number of its attempts.
///
/// # Errors
///
/// The store cannot be read.
pub(super) fn open(store: &Store, since_ms: i64, clock: &Clock) -> Result<Vec<(Notice, i64)>, tsdb::Error> {
    let wanted = [tsdb::TIME_COLUMN, "channel", "notice", "event", "attempt", "text"];
    let Some(columns) = columns_there(store, NOTICES.name, &wanted) else { return Ok(Vec::new()) };
    let request =
        ScanRequest { columns: Some(columns), from: since_ms.saturating_mul(NS_PER_MS), ..ScanRequest::default() };
    let mut rows = Vec::new();
    for batch in store.scan(DEFAULT_SCHEMA, NOTICES.name, &request)?.read_all() {
        let batch = batch?;
        let own = Rows::new(&batch);
        for at in 0..own.len() {
            let text = |column: &str| own.text(column, at).unwrap_or_default();
            let time = own.whole(tsdb::TIME_COLUMN, at).unwrap_or(0);
            rows.push((time, text("channel"), text("notice"), text("event"), own.whole("attempt", at), text("text")));
        }
    }
    rows.sort_by_key(|row| row.0);
    let mut open: BTreeMap<String, (i64, Notice, i64)> = BTreeMap::new();
    for (time, channel, id, event, attempt, text) in rows {
        clock.pass(time);
        match event.as_str() {
            "sent" | "gave_up" | "over" => drop(open.remove(&id)),
            "failed" => {
                if let Some(own) = open.get_mut(&id) {
                    own.2 = attempt.unwrap_or(own.2);
                }
            }
            _ => {
                let Some((group, told, held)) = told_of(&text) else { continue };
                let queued_ms = time / NS_PER_MS;
                let (id, alerts) = (id.clone(), Vec::new());
                let new = || Notice { id: id.clone(), channel, group, queued_ms, alerts, held, may_be_heard: true };
                open.entry(id.clone()).or_insert_with(|| (time, new(), 0)).1.alerts.push(told);
            }
        }
    }
    let mut open: Vec<_> = open.into_values().collect();
    open.sort_by_key(|own| own.0);
    Ok(open.into_iter().map(|(_, notice, attempt)| (notice, attempt)).collect())
}

/// What a row says of an alert, its group of rules, and what it waits for; those of earlier versions wait for nothing.
fn told_of(text: &str) -> Option<(String, Told, Option<Held>)> {
    let of_two = || serde_json::from_str::<(String, Told)>(text).ok().map(|(group, told)| (group, told, None));
    serde_json::from_str(text).ok().or_else(of_two)
}
