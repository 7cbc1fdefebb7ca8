//! Time that does not count: the tables `maintenance` and `exclusions`, whose rows say which targets, from when until
//! when, who says so and why.
//!
//! A row's time is the start; the tag `id` tells entries apart. Ending one, or changing its end, writes the field
//! `until_ns` again.

use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, TimestampNanosecondType};
use datafusion::common::DFSchema;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use datafusion::physical_expr::PhysicalExpr;
use domain::tables::{EXCLUSIONS, MAINTENANCE, PROBE};
use tsdb::{Row, ScanRequest, Store, TIME_COLUMN, Value, now_ns};

use super::timeline::{Excluded, Window};
use crate::base::error::Error;
use crate::sql::statement::check_condition;

/// The tag that tells entries apart.
const ID: &str = "id";
pub(crate) const UNTIL: &str = "until_ns";
const TARGETS: &str = "targets";
const AUTHOR: &str = "author";
const REASON: &str = "reason";

/// Which of the two tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Planned work.
    Maintenance,
    /// Force majeure, and whatever else does not count.
    Exclusion,
}

/// An entry to be made. Times are ns since the epoch.
#[derive(Debug, Clone)]
pub struct Entry {
    /// When it begins.
    pub from: i64,
    /// When it ends, if that is known.
    pub until: Option<i64>,
    /// Which targets: a condition on tags, as after WHERE; empty for all.
    pub targets: String,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
}

impl Kind {
    /// The name of the table.
    pub fn table(self) -> &'static str {
        match self {
            Kind::Maintenance => MAINTENANCE.name,
            Kind::Exclusion => EXCLUSIONS.name,
        }
    }

    fn why(self) -> Excluded {
        match self {
            Kind::Maintenance => Excluded::Maintenance,
            Kind::Exclusion => Excluded::Other,
        }
    }
}

fn write(
    store: &Store,
    schema: &str,
    kind: Kind,
    id: &str,
    from: i64,
    fields: &[(&str, Value<'_>)],
) -> Result<(), Error> {
    let failed = |error: &dyn std::fmt::Display| Error::Failed(format!("{}: {error}", kind.table()));
    let mut batch = store.batch(schema);
    let row = Row { measurement: kind.table(), tags: &[(ID, id)], time: from, fields };
    batch.push(&row).map_err(|error| failed(&error))?;
    store.write(batch).map_err(|error| failed(&error))
}

/// Stores an entry; its id comes back.
///
/// # Errors
///
/// It ends before it begins, says nothing of who and why, its condition is wrong, or the store refuses it.
pub(crate) fn add(
    store: &Store,
    state: &SessionState,
    schema: &str,
    kind: Kind,
    entry: &Entry,
) -> Result<String, Error> {
    let wrong = |what: String| Err(Error::Statement(what));
    if entry.until.is_some_and(|until| until <= entry.from) {
        return wrong("to: expected a time after from".into());
    }
    for (name, text) in [(AUTHOR, &entry.author), (REASON, &entry.reason)] {
        if text.trim().is_empty() {
            return wrong(format!("{name}: expected a text: time that does not count has to be accounted for"));
        }
    }
    check_targets(store, state, schema, &entry.targets)?;
    let now = now_ns();
    let id = format!("{now:x}");
    let texts = [(TARGETS, &entry.targets), (AUTHOR, &entry.author), (REASON, &entry.reason)];
    let mut fields: Vec<_> = texts.map(|(name, text)| (name, Value::Str(text))).into();
    // Without an end it goes on.
    fields.push((UNTIL, Value::I64(entry.until.unwrap_or(i64::MAX))));
    fields.push(("created_ns", Value::I64(now as i64)));
    write(store, schema, kind, &id, entry.from, &fields)?;
    Ok(id)
}

/// Gives an entry another end.
///
/// # Errors
///
/// There is no such entry, it begins later, or the store refuses it.
pub(crate) fn end(store: &Store, schema: &str, kind: Kind, id: &str, until: i64) -> Result<(), Error> {
    let entries = read(store, schema, kind).map_err(|error| Error::Failed(error.strip_backtrace()))?;
    let Some(entry) = entries.iter().find(|entry| entry.id == id) else {
        return Err(Error::Statement(format!("there is no entry with the id '{id}' in {}", kind.table())));
    };
    if until < entry.from {
        return Err(Error::Statement("to: expected no time before the entry's start".into()));
    }
    write(store, schema, kind, id, entry.from, &[(UNTIL, Value::I64(until))])
}

/// A condition has to be one on tags that a table has.
fn check_targets(store: &Store, state: &SessionState, schema: &str, targets: &str) -> Result<(), Error> {
    if targets.trim().is_empty() {
        return Ok(());
    }
    let tables = store.tables().filter(|(of, _)| *of == schema).filter_map(|(_, name)| store.table(schema, name));
    let probe = PROBE.tags.iter().copied().map(str::to_owned).collect();
    let tags: Vec<Vec<String>> = std::iter::once(probe).chain(tables.map(|table| table.tags)).collect();
    let refused = match Condition::new(state, targets, &tags[0]) {
        Ok(_) => return Ok(()),
        Err(error) => error,
    };
    if tags[1..].iter().any(|tags| Condition::new(state, targets, tags).is_ok()) {
        return Ok(());
    }
    Err(Error::Statement(format!(
        "targets: expected a condition on tags like \"target = 'portal'\" or \"\\\"group\\\" IN ('public')\": {}",
        refused.strip_backtrace().lines().next().unwrap_or_default()
    )))
}

/// An entry as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    id: String,
    from: i64,
    until: i64,
    targets: String,
    why: Excluded,
}

/// The entries of a table; none if there is no such table.
fn read(store: &Store, schema: &str, kind: Kind) -> Result<Vec<Stored>> {
    if store.table(schema, kind.table()).is_none() {
        return Ok(Vec::new());
    }
    let columns = [TIME_COLUMN, ID, UNTIL, TARGETS].map(str::to_owned).into();
    let request = ScanRequest { columns: Some(columns), ..ScanRequest::default() };
    let failed = |error: tsdb::Error| DataFusionError::External(error.into());
    let mut entries = Vec::new();
    for batch in store.scan(schema, kind.table(), &request).map_err(failed)?.read_all() {
        let batch = batch.map_err(failed)?;
        let ids = arrow::compute::cast(batch.column(1), &DataType::Utf8)?;
        let (times, ids) = (batch.column(0).as_primitive::<TimestampNanosecondType>(), ids.as_string::<i32>());
        let (ends, targets) = (batch.column(2).as_primitive::<Int64Type>(), batch.column(3).as_string::<i32>());
        entries.extend((0..batch.num_rows()).map(|row| Stored {
            id: ids.value(row).into(),
            from: times.value(row),
            until: if ends.is_valid(row) { ends.value(row) } else { i64::MAX },
            targets: if targets.is_valid(row) { targets.value(row).into() } else { String::new() },
            why: kind.why(),
        }));
    }
    Ok(entries)
}

/// A condition on tags.
#[derive(Debug, Clone)]
struct Condition(Arc<dyn PhysicalExpr>);

/// The tags of a table as columns of texts.
fn tag_schema(tags: &[String]) -> Schema {
    Schema::new(tags.iter().map(|tag| Field::new(tag, DataType::Utf8, true)).collect::<Vec<_>>())
}

impl Condition {
    fn new(state: &SessionState, text: &str, tags: &[String]) -> Result<Condition> {
        check_condition(text)?;
        let schema = DFSchema::try_from(tag_schema(tags))?;
        let expr = state.create_physical_expr(state.create_logical_expr(text, &schema)?, &schema)?;
        if expr.data_type(schema.as_arrow())? != DataType::Boolean {
            return Err(DataFusionError::Plan("it is not true or false".into()));
        }
        Ok(Condition(expr))
    }
}

/// What does not count of the series of a table.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exclusions {
    tags: Vec<String>,
    entries: Vec<(Stored, Option<Condition>)>,
}

impl Exclusions {
    /// Those of a table with these tags that reach into `from..to`. A condition on tags that the table does not have is
    /// on other tables.
    pub(crate) fn read(
        store: &Store,
        state: &SessionState,
        schema: &str,
        tags: &[String],
        from: i64,
        to: i64,
    ) -> Result<Exclusions> {
        let mut entries = Vec::new();
        for entry in [read(store, schema, Kind::Maintenance)?, read(store, schema, Kind::Exclusion)?].concat() {
            if entry.until <= from || entry.from >= to {
                continue;
            }
            let condition = match entry.targets.trim() {
                "" => None,
                text => match Condition::new(state, text, tags) {
                    Ok(condition) => Some(condition),
                    Err(_) => continue,
                },
            };
            entries.push((entry, condition));
        }
        Ok(Exclusions { tags: tags.to_vec(), entries })
    }

    /// The windows of each of these series.
    pub(crate) fn windows(&self, series: &[&Vec<Option<String>>]) -> Result<Vec<Vec<Window>>> {
        let mut all = vec![Vec::new(); series.len()];
        if self.entries.is_empty() || series.is_empty() {
            return Ok(all);
        }
        let column = |at: usize| Arc::new(series.iter().map(|tags| tags[at].as_deref()).collect::<StringArray>()) as _;
        let columns = (0..self.tags.len()).map(column).collect();
        let batch = RecordBatch::try_new(Arc::new(tag_schema(&self.tags)), columns)?;
        for (entry, condition) in &self.entries {
            let window = Window { start: entry.from, end: entry.until, why: entry.why };
            let Some(Condition(condition)) = condition else {
                all.iter_mut().for_each(|windows| windows.push(window));
                continue;
            };
            let holds = condition.evaluate(&batch)?.into_array(series.len())?;
            let holds = holds.as_boolean();
            let chosen = all.iter_mut().enumerate().filter(|(at, _)| holds.is_valid(*at) && holds.value(*at));
            chosen.for_each(|(_, windows)| windows.push(window));
        }
        Ok(all)
    }
}
