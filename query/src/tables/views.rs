//! Views that are ready to use, and the list of series. Agents cannot write to their names ([`domain::reserved`]); what
//! an earlier version took is read as `stored_` and the name.

use std::sync::{Arc, OnceLock};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::{cast, concat};
use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::catalog::view::ViewTable;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use tsdb::{Store, TIME_COLUMN};

use crate::sql::size::SizeLimits;
use crate::sql::statement;

/// Their names and what they stand for.
const VIEWS: [(&str, &str); 8] = [
    ("availability_daily", "SELECT * FROM availability('probe', bucket => '1d')"),
    ("availability_monthly", "SELECT * FROM availability('probe', bucket => '1mo')"),
    (
        "response_daily",
        "SELECT target, date_trunc('day', time) AS day, count(total_ms) AS slots, min(total_ms) AS min_ms, avg(total_ms) AS mean_ms,
            approx_percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms) AS p50_ms,
            approx_percentile_cont(0.95) WITHIN GROUP (ORDER BY total_ms) AS p95_ms,
            approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99_ms, max(total_ms) AS max_ms
        FROM probe WHERE up GROUP BY target, day",
    ),
    ("outages", "SELECT * FROM outages_of('probe')"),
    // Places that see a target down which most places see up.
    (
        "advisories",
        "WITH newest AS (
            SELECT DISTINCT ON (target, location) target, location, time, up, error, message
            FROM probe WHERE up IS NOT NULL AND (kind IS DISTINCT FROM 'cdn') AND time > now() - INTERVAL '15 minutes' ORDER BY target, location, time DESC),
        counted AS (SELECT target AS of_target, count(*) AS locations, sum(CASE WHEN up THEN 1 ELSE 0 END) AS locations_up FROM newest GROUP BY target)
        SELECT target, location, time, error, message, locations, locations_up
        FROM newest JOIN counted ON target = of_target WHERE NOT up AND locations_up * 2 > locations",
    ),
    // A row for each time that an alert fired; what happened behind it belongs to it until it fires again.
    (
        "alerts",
        "WITH numbered AS (
            SELECT time, target, \"group\", severity, rule, alert, message, value, actor,
                CASE WHEN event = 'firing' AND fired < slot THEN 'known again' ELSE event END AS event,
                sum(CASE WHEN event = 'firing' AND (fired IS NULL OR fired >= slot) THEN 1 ELSE 0 END)
                    OVER (PARTITION BY alert ORDER BY time) AS number
            FROM alert_events)
        SELECT min(CASE WHEN event = 'firing' THEN time END) AS time, target, \"group\", severity, CAST(NULL AS VARCHAR) AS channel, rule, alert,
            min(CASE WHEN event = 'firing' THEN message END) AS message, min(CASE WHEN event = 'firing' THEN value END) AS value,
            min(CASE WHEN event = 'acknowledged' THEN actor END) AS acknowledged_by,
            min(CASE WHEN event = 'acknowledged' THEN time END) AS acknowledged,
            min(CASE WHEN event = 'recovered' THEN time END) AS closed
        FROM numbered WHERE number > 0 GROUP BY target, \"group\", severity, rule, alert, number",
    ),
    (
        "alert_counts",
        "SELECT date_trunc('day', time) AS day, target, \"group\", severity, channel, count(*) AS alerts,
            avg(CAST(acknowledged AS BIGINT) - CAST(time AS BIGINT)) / 1e9 AS mean_s_to_acknowledge,
            avg(CAST(closed AS BIGINT) - CAST(time AS BIGINT)) / 1e9 AS mean_s_to_close
        FROM alerts GROUP BY day, target, \"group\", severity, channel",
    ),
    (
        "notice_counts",
        "SELECT date_trunc('day', time) AS day, channel, recipient, target, severity, status, count(*) AS notices
        FROM notices WHERE event = 'queued' AND notice IN (SELECT notice FROM notices WHERE event = 'sent')
            AND notice || alert NOT IN (SELECT notice || alert FROM notices WHERE event = 'over' AND alert IS NOT NULL)
        GROUP BY day, channel, recipient, target, severity, status",
    ),
];
const SERIES: &str = "series";

/// Gives the session's state, once there is a session.
pub(crate) type StateOf = OnceLock<Box<dyn Fn() -> Option<SessionState> + Send + Sync>>;

/// The names of the views.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    VIEWS.iter().map(|(name, _)| *name).chain([SERIES])
}

/// The view of this name, over the tables of a schema.
pub(crate) async fn view(
    name: &str,
    schema: &str,
    store: &Store,
    state: &StateOf,
) -> Result<Option<Arc<dyn TableProvider>>> {
    if name == SERIES {
        return Ok(Some(series(store, schema)?));
    }
    let Some((_, sql)) = VIEWS.iter().find(|(known, _)| *known == name) else { return Ok(None) };
    let Some(mut state) = state.get().and_then(|state| state()) else { return Ok(None) };
    state.config_mut().options_mut().catalog.default_schema = schema.into();
    let plan = state.statement_to_plan(statement::parse(sql, SizeLimits::default())?.statement).await?;
    Ok(Some(Arc::new(ViewTable::new(plan, Some((*sql).into())))))
}

/// The series of a schema: their table, their tags, the time of the newest row.
fn series(store: &Store, schema: &str) -> Result<Arc<dyn TableProvider>> {
    let (mut tables, mut tags, mut times): (Vec<String>, Vec<String>, Vec<ArrayRef>) = Default::default();
    for (_, name) in store.tables().filter(|(of, _)| *of == schema) {
        let Some(info) = store.table(schema, name) else { continue };
        let columns: Vec<String> = std::iter::once(TIME_COLUMN.to_owned()).chain(info.tags.iter().cloned()).collect();
        let (newest, _) = store
            .last_rows(schema, name, Some(&columns), &[])
            .map_err(|error| DataFusionError::External(error.into()))?;
        let texts: Vec<ArrayRef> =
            newest.columns()[1..].iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<_, _>>()?;
        for row in 0..newest.num_rows() {
            let own = info.tags.iter().zip(&texts).filter(|(_, column)| column.is_valid(row));
            let own = own.map(|(tag, column)| format!("{tag}={}", column.as_string::<i32>().value(row)));
            tags.push(own.collect::<Vec<_>>().join(","));
            tables.push(name.into());
        }
        times.push(newest.column(0).clone());
    }
    let time = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
    let fields = vec![
        Field::new("table_name", DataType::Utf8, false),
        Field::new("tags", DataType::Utf8, false),
        Field::new("last_time", time.clone(), false),
    ];
    let schema = Arc::new(Schema::new(fields));
    let times = match times.as_slice() {
        [] => arrow::array::new_empty_array(&time),
        pieces => concat(&pieces.iter().map(AsRef::as_ref).collect::<Vec<_>>())?,
    };
    let columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(tables)), Arc::new(StringArray::from(tags)), times];
    let batch = RecordBatch::try_new(schema.clone(), columns)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A view that is not reserved could be hidden: whoever may write could change what it says.
    #[test]
    fn every_view_is_reserved() {
        assert_eq!(super::names().collect::<BTreeSet<_>>(), domain::reserved::VIEWS.into_iter().collect());
    }
}
