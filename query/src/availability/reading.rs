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
use crate::exec::parallel::{Leave, read_partitions};

/// What of a row says what.
#[derive(Debug, Clone)]
pub(crate) struct Meaning {
    /// The column that says whether it is up: a boolean, a number (0 is down) or a text.
    pub state: String,
    /// The texts that mean up; of others NULL and those of `unknown` mean nothing, the rest down.
    pub good: Vec<String>,
    pub unknown: Vec<String>,
    /// How long every row speaks, in ns, if the question says so.
    pub hold: Option<i64>,
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

/// How long a row speaks that does not say so, where there are too few to tell their usual step: as samples do in
/// Prometheus.
const HOLD_NS: i64 = 300_000_000_000;
/// So many rows tell their usual step.
const STEP_ROWS: usize = 4;

/// What was read of a series.
#[derive(Debug, Default)]
pub(crate) struct SeriesRead {
    /// Rows that say how long they speak.
    timeline: Timeline,
    /// Rows that do not, in the order of time.
    loose: Vec<Loose>,
    /// A row that does not say so came since the last run.
    is_interrupted: bool,
}

/// A row that does not say how long it speaks.
#[derive(Debug, Clone, Copy)]
struct Loose {
    time: i64,
    up: Option<bool>,
    excluded: Excluded,
}

impl SeriesRead {
    fn push(&mut self, time: i64, length: Option<i64>, up: Option<bool>, excluded: Excluded) {
        let Some(length) = length else {
            self.is_interrupted = true;
            return self.loose.push(Loose { time, up, excluded });
        };
        let run = Run { start: time, end: time.saturating_add(length), up, excluded, slots: 1.0 };
        match std::mem::take(&mut self.is_interrupted) {
            true => self.timeline.0.push(run),
            false => self.timeline.push(run),
        }
    }

    fn bytes(&self) -> usize {
        self.timeline.0.len() * size_of::<Run>() + self.loose.len() * size_of::<Loose>()
    }

    /// Is enough known before `from` to say what reaches into it?
    pub(crate) fn is_settled(&self, from: i64) -> bool {
        let is_before = |run: &Run| run.start <= from;
        match self.loose.first() {
            Some(first) => first.time <= from && self.loose.len() >= STEP_ROWS,
            None => self.timeline.0.first().is_some_and(is_before),
        }
    }

    /// Has it a row at `time` or later?
    pub(crate) fn has_row_from(&self, time: i64) -> bool {
        self.timeline.0.last().is_some_and(|run| run.end > time)
            || self.loose.last().is_some_and(|row| row.time >= time)
    }

    /// Does its last row speak at `time`?
    pub(crate) fn reaches(&self, time: i64) -> bool {
        let last = SeriesRead { timeline: self.timeline.clone(), loose: self.loose.clone(), is_interrupted: false };
        last.into_timeline().0.last().is_some_and(|run| run.end > time)
    }

    /// Takes in what was read of earlier times.
    pub(crate) fn precede(&mut self, mut earlier: SeriesRead) {
        let own = std::mem::take(&mut self.timeline);
        self.timeline = Timeline::join(vec![earlier.timeline, own]);
        earlier.loose.append(&mut self.loose);
        self.loose = earlier.loose;
    }

    /// What is known when. A row that does not say how long it speaks does so for the usual step of its series - half
    /// of its rows are no further apart - and up to the next row, if that comes a little later.
    pub(crate) fn into_timeline(self) -> Timeline {
        if self.loose.is_empty() {
            return self.timeline;
        }
        let mut steps: Vec<i64> = self
            .loose
            .windows(2)
            .map(|pair| pair[1].time.saturating_sub(pair[0].time))
            .filter(|step| *step > 0)
            .collect();
        let middle = steps.len().saturating_sub(1) / 2;
        let step = if steps.is_empty() { HOLD_NS } else { *steps.select_nth_unstable(middle).1 };
        let late = step.saturating_add(step / 2);
        let next = self.loose.iter().skip(1).map(|next| Some(next.time)).chain([None]);
        let run = |(row, next): (&Loose, Option<i64>)| {
            let end = match next {
                Some(next) if next.saturating_sub(row.time) <= late => next,
                _ => row.time.saturating_add(step),
            };
            Run { start: row.time, end, up: row.up, excluded: row.excluded, slots: 1.0 }
        };
        let mut loose = Timeline::default();
        self.loose.iter().zip(next).map(run).for_each(|run| loose.push(run));
        match self.timeline.0.is_empty() {
            true => loose,
            false => {
                // One by one, so that a run of slots gives way to a row among them.
                let each =
                    self.loose.iter().zip(self.loose.iter().skip(1).map(|next| Some(next.time)).chain([None])).map(run);
                Timeline::join(vec![self.timeline, Timeline(each.collect())])
            }
        }
    }
}

/// What a scan reads of each series, within the query's memory.
pub(crate) async fn read_series(
    scan: Arc<Scan>,
    meaning: Arc<Meaning>,
    context: &TaskContext,
) -> Result<HashMap<TagValues, SeriesRead>> {
    let own = scan.clone();
    let read = move |partition: usize, leave: &Leave| {
        let mut reader = Reader::default();
        for rows in own.read_untagged(partition) {
            reader.take(&own, &rows.map_err(|error| DataFusionError::External(error.into()))?, &meaning)?;
            leave.ask(reader.bytes)?;
        }
        let named = |(series, read)| (tag_values(&own, &meaning.tags, series), read);
        Ok(reader.series.into_iter().map(named).collect::<Vec<_>>())
    };
    // All rows of a series are in one partition.
    let parts = read_partitions((scan.partitions(), scan.rows_max()), context, read).await?;
    Ok(parts.into_iter().flatten().collect())
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

/// Series under way.
#[derive(Default)]
struct Reader {
    series: HashMap<u32, SeriesRead>,
    /// What they take.
    bytes: usize,
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
            let read = self.series.entry(run[0]).or_default();
            let (known, first) = (read.bytes(), next);
            next += run.len();
            for row in first..next {
                let said = intervals.filter(|column| column.is_valid(row)).map(|column| column.value(row) * 1e6);
                let length = meaning.hold.or_else(|| said.filter(|ns| *ns >= 1.0).map(|ns| ns as i64));
                let outcome = outcomes.filter(|column| column.is_valid(row)).map(|column| column.value(row));
                let up = states.is_valid(row).then(|| states.value(row));
                let excluded = match outcome {
                    Some("maintenance") => Excluded::Maintenance,
                    Some("excluded") => Excluded::Other,
                    _ => Excluded::No,
                };
                read.push(times[row], length, up, excluded);
            }
            self.bytes = self.bytes - known + read.bytes();
        }
        Ok(())
    }
}
