//! From rows of the store to timelines: which rows, what they say, and for how long.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, StringArray};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int32Type, TimestampNanosecondType};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{Scan, TIME_COLUMN, Untagged};

use super::timeline::{Excluded, Run, Timeline};
use crate::parallel::{Leave, read_partitions};

/// What of a row says what.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    /// The column that says whether it is up: a boolean, a number (0 is down) or a text.
    pub state: String,
    /// The texts that mean up; of others NULL and those of `unknown` mean nothing, the rest down.
    pub good: Vec<String>,
    pub unknown: Vec<String>,
    /// How long a row speaks that does not say so, in ns.
    pub hold: i64,
    /// The column that says how long a row speaks, in ms, if there is one.
    pub interval: Option<&'static str>,
    /// The column that says that a row does not count, if there is one.
    pub outcome: Option<&'static str>,
    /// All tags, in the order of the columns.
    pub tags: Vec<String>,
}

/// The values of a series' tags.
pub(crate) type TagValues = Vec<Option<String>>;

impl Meaning {
    /// The columns to read.
    pub(crate) fn columns(&self) -> Vec<String> {
        let others = [Some(self.state.as_str()), self.interval, self.outcome];
        let mut columns = vec![TIME_COLUMN.to_owned()];
        columns.extend(self.tags.iter().cloned());
        for other in others.into_iter().flatten() {
            if !columns.iter().any(|column| column == other) {
                columns.push(other.into());
            }
        }
        columns
    }

    fn text_is_up(&self, text: &str) -> Option<bool> {
        let is_in = |list: &[String]| list.iter().any(|known| known == text);
        if is_in(&self.unknown) { None } else { Some(is_in(&self.good)) }
    }

    /// What each row says: NULL where nothing is known.
    fn states(&self, column: &ArrayRef) -> Result<BooleanArray> {
        let is_texts = matches!(column.data_type(), DataType::Utf8 | DataType::Dictionary(..));
        Ok(match column.data_type() {
            DataType::Boolean => column.as_boolean().clone(),
            _ if is_texts => {
                let texts = cast(column, &DataType::Utf8)?;
                texts.as_string::<i32>().iter().map(|text| self.text_is_up(text?)).collect()
            }
            _ => {
                let numbers = cast(column, &DataType::Float64)?;
                let up = |number: Option<f64>| number.filter(|number| !number.is_nan()).map(|number| number != 0.0);
                numbers.as_primitive::<Float64Type>().iter().map(up).collect()
            }
        })
    }
}

/// The timelines of the series that a scan reads, within the query's memory.
pub(crate) async fn timelines(
    scan: Arc<Scan>,
    meaning: Arc<Meaning>,
    context: &TaskContext,
) -> Result<HashMap<TagValues, Timeline>> {
    let own = scan.clone();
    let read = move |partition: usize, leave: &Leave| {
        let mut reader = Reader::default();
        for rows in own.read_untagged(partition) {
            reader.take(&own, &rows.map_err(|error| DataFusionError::External(error.into()))?, &meaning)?;
            leave.ask(reader.runs * size_of::<Run>())?;
        }
        let named = |(series, timeline)| (tag_values(&own, &meaning.tags, series), timeline);
        Ok(reader.series.into_iter().map(named).collect::<Vec<_>>())
    };
    let mut pieces: HashMap<TagValues, Vec<Timeline>> = HashMap::new();
    for (tags, timeline) in
        read_partitions((scan.partitions(), scan.rows_max()), context, read).await?.into_iter().flatten()
    {
        pieces.entry(tags).or_default().push(timeline);
    }
    Ok(pieces.into_iter().map(|(tags, pieces)| (tags, Timeline::join(pieces))).collect())
}

/// The values of all tags of a series that the scan gave.
fn tag_values(scan: &Scan, tags: &[String], series: u32) -> TagValues {
    let value = |name: &String| {
        let column = scan.tag(name, &[series])?;
        let tag = column.as_dictionary::<Int32Type>();
        tag.key(0).map(|key| tag.values().as_string::<i32>().value(key).to_owned())
    };
    tags.iter().map(value).collect()
}

/// Timelines under way.
#[derive(Default)]
struct Reader {
    series: HashMap<u32, Timeline>,
    /// How many runs all timelines have.
    runs: usize,
}

impl Reader {
    fn take(&mut self, scan: &Scan, rows: &Untagged, meaning: &Meaning) -> Result<()> {
        let Untagged { series, batch } = rows;
        let column = |name: &str| batch.column_by_name(name);
        let times = batch.column(0).as_primitive::<TimestampNanosecondType>().values();
        // A tag can say the state, too.
        let Some(states) = column(&meaning.state).cloned().or_else(|| scan.tag(&meaning.state, series)) else {
            return Ok(());
        };
        let states = meaning.states(&states)?;
        let intervals = meaning.interval.and_then(column).map(|column| cast(column, &DataType::Float64)).transpose()?;
        let intervals: Option<&Float64Array> = intervals.as_ref().map(AsArray::as_primitive);
        let outcomes: Option<&StringArray> = meaning.outcome.and_then(column).and_then(AsArray::as_string_opt);
        let mut next = 0;
        for run in rows.runs() {
            let timeline = self.series.entry(run[0]).or_default();
            let (known, first) = (timeline.0.len(), next);
            next += run.len();
            for row in first..next {
                let said = intervals.filter(|column| column.is_valid(row)).map(|column| column.value(row) * 1e6);
                let length = said.filter(|ns| *ns >= 1.0).map_or(meaning.hold, |ns| ns as i64);
                let outcome = outcomes.filter(|column| column.is_valid(row)).map(|column| column.value(row));
                timeline.push(Run {
                    start: times[row],
                    end: times[row].saturating_add(length),
                    up: states.is_valid(row).then(|| states.value(row)),
                    excluded: match outcome {
                        Some("maintenance") => Excluded::Maintenance,
                        Some("excluded") => Excluded::Other,
                        _ => Excluded::No,
                    },
                    slots: 1.0,
                });
            }
            self.runs = self.runs - known + timeline.0.len();
        }
        Ok(())
    }
}
