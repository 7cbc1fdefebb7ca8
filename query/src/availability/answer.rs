//! Answers to questions about availability: timelines of targets, and rows of figures from them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, SchemaRef, TimestampNanosecondType};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{Scan, ScanRequest, TIME_COLUMN};

use super::figures::Figures;
use super::function::{Ask, Question};
use super::reading::{TagValues, timelines};
use super::timeline::{Excluded, Outage, Run, Timeline, Window, excluded_spans};
use crate::exclusions::Exclusions;
use crate::once_exec::Once;
use crate::scan_exec::request_text;

const MINUTE_NS: i64 = 60_000_000_000;
/// Buckets of an answer.
const BUCKETS_MAX: usize = 1_000_000;

/// A question over a snapshot of its table.
#[derive(Debug)]
pub(crate) struct Answering {
    pub question: Question,
    pub request: ScanRequest,
    /// None if nothing was ever written.
    pub scan: Option<Arc<Scan>>,
    pub exclusions: Exclusions,
}

/// A target: what its series say together.
struct Target {
    /// The values of the tags that make it.
    names: TagValues,
    timeline: Timeline,
    outages: Vec<Outage>,
    excluded: Vec<(i64, i64)>,
}

type Values = Vec<ScalarValue>;

#[async_trait]
impl Once for Answering {
    fn name(&self) -> &'static str {
        "AvailabilityExec"
    }

    /// `availability, table=probe, by=[target], time=..., tags=[...]`
    fn describe(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Question { ask, table, by, meaning, .. } = &self.question;
        let by: Vec<&str> = by.iter().map(|tag| meaning.tags[*tag].as_str()).collect();
        let table = table.as_ref().map_or("", |table| &table.info.name);
        write!(f, "{}, table={table}, by=[{}]{}", ask.name(), by.join(", "), request_text(&self.request))
    }

    fn schema(&self) -> SchemaRef {
        self.question.schema.clone()
    }

    async fn rows(&self, context: &TaskContext) -> Result<RecordBatch> {
        let mut rows: Vec<Values> = Vec::new();
        for target in self.targets(context).await? {
            let names: Values = target.names.iter().cloned().map(ScalarValue::Utf8).collect();
            let figures = match self.question.ask {
                Ask::Availability => self.availability(&target)?,
                Ask::Outages => self.outages(&target),
                Ask::Timeline => self.states(&target),
                Ask::StateAt => vec![self.state_at(&target)],
                Ask::Budget => vec![self.budget(&target)],
            };
            rows.extend(figures.into_iter().map(|figures| [names.clone(), figures].concat()));
        }
        if rows.is_empty() {
            return Ok(RecordBatch::new_empty(self.schema()));
        }
        let column = |at: usize| ScalarValue::iter_to_array(rows.iter().map(|row| row[at].clone()));
        let columns = (0..rows[0].len()).map(column).collect::<Result<_>>()?;
        Ok(RecordBatch::try_new(self.schema(), columns)?)
    }

    fn warnings(&self) -> Vec<String> {
        self.scan.as_ref().map_or_else(Vec::new, |scan| scan.warnings())
    }
}

impl Answering {
    /// The targets, sorted by their names.
    async fn targets(&self, context: &TaskContext) -> Result<Vec<Target>> {
        let Question { meaning, by, confirm, .. } = &self.question;
        let Some(scan) = &self.scan else { return Ok(Vec::new()) };
        let mut series = timelines(scan.clone(), meaning.clone(), context).await?;
        for silent in self.silent()? {
            series.entry(silent).or_default();
        }
        let all: Vec<(TagValues, Timeline)> = series.into_iter().collect();
        let windows = self.exclusions.windows(&all.iter().map(|(tags, _)| tags).collect::<Vec<_>>())?;
        let mut targets: BTreeMap<TagValues, Vec<(Timeline, Vec<Window>)>> = BTreeMap::new();
        for ((tags, timeline), windows) in all.into_iter().zip(windows) {
            let names = by.iter().map(|tag| tags[*tag].clone()).collect();
            targets.entry(names).or_default().push((timeline, windows));
        }
        let target = |(names, series): (TagValues, Vec<(Timeline, Vec<Window>)>)| {
            let marked = series.iter().map(|(timeline, windows)| timeline.exclude(windows)).collect();
            let (timelines, windows): (Vec<_>, Vec<_>) = series.into_iter().unzip();
            // Slots confirm each other whether they count or not.
            let outages = Timeline::voted_outages(&timelines, *confirm);
            let timeline = Timeline::vote(marked);
            let excluded = excluded_spans(&timeline, &windows.concat());
            Target { names, timeline, outages, excluded }
        };
        Ok(targets.into_iter().map(target).collect())
    }

    /// Series that have their newest row in the span, or as long before it as it is long: they are unknown where they have no slot, not gone.
    /// The span is that of the question, whatever a condition on the start of buckets leaves of it.
    fn silent(&self) -> Result<Vec<TagValues>> {
        let Question { table: Some(table), meaning, listed, .. } = &self.question else { return Ok(Vec::new()) };
        let columns: Vec<String> =
            std::iter::once(TIME_COLUMN).chain(meaning.tags.iter().map(String::as_str)).map(Into::into).collect();
        let newest = table.store.last_rows(&table.info.schema, &table.info.name, Some(&columns), &self.request.tags);
        let (newest, _) = newest.map_err(|error| DataFusionError::External(error.into()))?;
        let times = newest.column(0).as_primitive::<TimestampNanosecondType>();
        let tags: Vec<_> =
            newest.columns()[1..].iter().map(|column| cast(column, &DataType::Utf8)).collect::<Result<_, _>>()?;
        let value = |row: usize, tag: usize| {
            let column = tags[tag].as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let silent = (0..newest.num_rows()).filter(|row| listed.contains(&times.value(*row)));
        Ok(silent.map(|row| (0..tags.len()).map(|tag| value(row, tag)).collect()).collect())
    }

    fn figures(&self, target: &Target, from: i64, to: i64) -> Figures {
        Figures::of(&target.timeline, &target.outages, &target.excluded, from, to)
    }

    fn availability(&self, target: &Target) -> Result<Vec<Values>> {
        let Question { from, to, buckets, .. } = &self.question;
        let row = |start: i64, end: i64| {
            [vec![time(start), time(end)], availability_values(&self.figures(target, start, end))].concat()
        };
        let Some(buckets) = buckets else { return Ok(vec![row(*from, *to)]) };
        let mut rows = Vec::new();
        let mut start = *from;
        while start < *to {
            let end = buckets.next(buckets.start(start)).min(*to);
            rows.push(row(start, end));
            if rows.len() > BUCKETS_MAX {
                return Err(DataFusionError::Execution(format!(
                    "availability: there are over {BUCKETS_MAX} buckets; expected a shorter span or wider buckets"
                )));
            }
            start = end;
        }
        Ok(rows)
    }

    fn outages(&self, target: &Target) -> Vec<Values> {
        let Question { from, to, .. } = self.question;
        let within = target.outages.iter().filter(|outage| outage.start < to && outage.end > from);
        let row = |outage: &Outage| {
            let end = outage.end.min(to);
            let known = target.timeline.within(outage.start, end).filter(|run| run.up.is_some());
            let known: i64 = known.map(|run| run.length()).sum();
            vec![
                time(outage.start),
                ScalarValue::TimestampNanosecond((!outage.is_open).then_some(outage.end), Some("UTC".into())),
                ScalarValue::Boolean(Some(outage.is_open)),
                seconds(end - outage.start),
                seconds(outage.counted(&target.excluded, outage.start, end)),
                seconds(end - outage.start - known),
            ]
        };
        within.map(row).collect()
    }

    fn states(&self, target: &Target) -> Vec<Values> {
        let Question { from, to, .. } = self.question;
        let mut rows: Vec<(i64, i64, &'static str)> = Vec::new();
        let mut add = |start: i64, end: i64, state: &'static str| match rows.last_mut() {
            Some((_, last_end, last)) if *last == state && *last_end == start => *last_end = end,
            _ => rows.push((start, end, state)),
        };
        let mut known_until = from;
        for run in target.timeline.within(from, to) {
            if run.start > known_until {
                add(known_until, run.start, "unknown");
            }
            add(run.start, run.end, state_of(&run));
            known_until = run.end;
        }
        if known_until < to {
            add(known_until, to, "unknown");
        }
        let row = |(start, end, state)| vec![time(start), time(end), text(state), seconds(end - start)];
        rows.into_iter().map(row).collect()
    }

    fn state_at(&self, target: &Target) -> Values {
        let at = self.question.from;
        let runs = &target.timeline.0;
        let place = runs.partition_point(|run| run.end <= at);
        let run = runs.get(place).filter(|run| run.start <= at);
        // Runs of one state that only exclusions tell apart begin where the first one does.
        let since = run.map(|run| {
            let before = runs[..place].iter().rev();
            before.fold(run.start, |since, earlier| {
                let goes_on = earlier.end == since && state_of(earlier) == state_of(run);
                if goes_on { earlier.start } else { since }
            })
        });
        vec![
            time(at),
            text(run.map_or("unknown", state_of)),
            ScalarValue::TimestampNanosecond(since, Some("UTC".into())),
        ]
    }

    fn budget(&self, target: &Target) -> Values {
        let Question { from, to, objective, .. } = self.question;
        let whole = self.figures(target, from, to);
        // As people write it: 1 - 0.9999 is 0.0001, and not a bit less.
        let allowed = ((1.0 - objective) * 1e12).round() / 1e12;
        let budget = allowed * (to - from) as f64 / 1e9;
        let spent = whole.down as f64 / 1e9;
        let left = |availability: f64| 1.0 - (1.0 - availability) / allowed * whole_part(&whole);
        let (low, high) = whole.bounds().unzip();
        let burns = BURN_WINDOWS_MIN.map(|minutes| {
            let figures = self.figures(target, to.saturating_sub(minutes * MINUTE_NS), to);
            let burn = |availability: f64| (1.0 - availability) / allowed;
            (figures.availability().map(burn), figures.bounds().map(|(_, high)| burn(high)))
        });
        let (alert, sure) = condition(&burns);
        let figures = [
            Some(objective),
            whole.availability(),
            coverage(&whole),
            Some(budget),
            Some(spent),
            Some(budget - spent),
            (budget > 0.0).then(|| 1.0 - spent / budget),
            low.map(left),
            high.map(left),
        ];
        let figures = figures.into_iter().chain(burns.map(|(burn, _)| burn)).map(ScalarValue::Float64);
        let alert = [ScalarValue::Utf8(alert.map(str::to_owned)), ScalarValue::Boolean(sure)];
        [time(from), time(to)].into_iter().chain(figures).chain(alert).collect()
    }
}

/// The windows of burn rates, as in the SRE workbook, in minutes.
const BURN_WINDOWS_MIN: [i64; 7] = [5, 30, 60, 120, 360, 1440, 4320];

/// Multi-window, multi-burn-rate: the long window, the short one, the rate that both must exceed, and what then to do.
const CONDITIONS: [(usize, usize, f64, &str); 4] =
    [(2, 0, 14.4, "page"), (4, 1, 6.0, "page"), (5, 3, 3.0, "ticket"), (6, 4, 1.0, "ticket")];

/// What is to be done, and whether it is certain with 95 % confidence.
fn condition(burns: &[(Option<f64>, Option<f64>); 7]) -> (Option<&'static str>, Option<bool>) {
    let exceeds = |burn: Option<f64>, rate: f64| burn.is_some_and(|burn| burn > rate);
    let met = CONDITIONS
        .iter()
        .find(|(long, short, rate, _)| exceeds(burns[*long].0, *rate) && exceeds(burns[*short].0, *rate));
    let sure = CONDITIONS.iter().any(|(long, short, rate, what)| {
        met.is_some_and(|(.., wanted)| wanted == what)
            && exceeds(burns[*long].1, *rate)
            && exceeds(burns[*short].1, *rate)
    });
    (met.map(|(.., what)| *what), met.map(|_| sure))
}

fn coverage(figures: &Figures) -> Option<f64> {
    (figures.span > 0).then(|| figures.measured() as f64 / figures.span as f64)
}

/// The part of the span whose time counts.
fn whole_part(figures: &Figures) -> f64 {
    (figures.up + figures.down) as f64 / figures.span.max(1) as f64
}

fn availability_values(figures: &Figures) -> Values {
    let measured = figures.measured();
    let sum = |parts: [i64; 2]| parts[0] + parts[1];
    let spans = [
        figures.span,
        measured,
        figures.up,
        figures.down,
        sum(figures.maintenance),
        sum(figures.excluded),
        figures.span - measured,
    ];
    let (low, high) = figures.bounds().unzip();
    let parts = [
        coverage(figures),
        figures.availability(),
        low,
        high,
        figures.without_maintenance(),
        figures.raw(),
        Some(figures.slots.round()),
    ];
    let each = |total: i64| (figures.outages > 0).then(|| total as f64 / 1e9 / figures.outages as f64);
    let mut values: Values = spans.map(seconds).into();
    values.extend(parts.map(ScalarValue::Float64));
    values.extend([ScalarValue::Int64(Some(figures.outages)), seconds(figures.outage), seconds(figures.longest)]);
    values.extend([each(figures.outage), each(figures.up)].map(ScalarValue::Float64));
    values
}

fn state_of(run: &Run) -> &'static str {
    match (run.excluded, run.up) {
        (_, None) => "unknown",
        (Excluded::Maintenance, _) => "maintenance",
        (Excluded::Other, _) => "excluded",
        (Excluded::No, Some(true)) => "up",
        (Excluded::No, Some(false)) => "down",
    }
}

fn time(ns: i64) -> ScalarValue {
    ScalarValue::TimestampNanosecond(Some(ns), Some("UTC".into()))
}

fn seconds(ns: i64) -> ScalarValue {
    ScalarValue::Float64(Some(ns as f64 / 1e9))
}

fn text(text: &str) -> ScalarValue {
    ScalarValue::Utf8(Some(text.into()))
}
