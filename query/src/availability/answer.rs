//! Answers to questions about availability: timelines of targets, and rows of figures from them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, SchemaRef, TimestampNanosecondType};
use async_trait::async_trait;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::TaskContext;
use tsdb::{Scan, ScanRequest, TIME_COLUMN, TagPredicate};

use super::figures::Figures;
use super::function::{Ask, Question};
use super::reading::{SeriesRead, TagValues, read_series};
use super::timeline::{Excluded, Outage, Run, Timeline, Window, excluded_spans};
use crate::availability::exclusions::Exclusions;
use crate::exec::once_exec::Once;
use crate::exec::scan_exec::request_text;

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

/// The newest row of a series.
struct NewestRow {
    tags: TagValues,
    time: i64,
    /// How long it speaks, if it says so.
    length: Option<i64>,
}

/// How many days before a span rows are looked for, step by step: a slot is no longer than the last.
const LOOK_BACK_DAYS: [i64; 4] = [1, 8, 32, 400];

/// Conditions that let these series through, and maybe others with the same values.
fn only(names: &[String], series: &HashSet<&TagValues>) -> Vec<TagPredicate> {
    let of = |(at, name): (usize, &String)| {
        let values: Option<BTreeSet<&String>> = series.iter().map(|tags| tags[at].as_ref()).collect();
        values.map(|values| TagPredicate::In(name.clone(), values.into_iter().cloned().collect()))
    };
    names.iter().enumerate().filter_map(of).collect()
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
        let mut series = read_series(scan.clone(), meaning.clone(), context).await?;
        let newest = self.newest()?;
        self.reach_back(&mut series, &newest, context).await?;
        for silent in newest.into_iter().filter(|series| self.question.listed.contains(&series.time)) {
            series.entry(silent.tags).or_default();
        }
        let all: Vec<(TagValues, Timeline)> =
            series.into_iter().map(|(tags, read)| (tags, read.into_timeline())).collect();
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

    /// The newest row of every series. Series that have it in the span, or as long before it as it is long, are unknown
    /// where they have no slot, not gone; the span is that of the question, whatever a condition on the start of
    /// buckets leaves of it.
    fn newest(&self) -> Result<Vec<NewestRow>> {
        let Question { table: Some(table), meaning, .. } = &self.question else { return Ok(Vec::new()) };
        let others = meaning.tags.iter().map(String::as_str).chain(meaning.interval);
        let columns: Vec<String> = std::iter::once(TIME_COLUMN).chain(others).map(Into::into).collect();
        let newest = table.store.last_rows(&table.info.schema, &table.info.name, Some(&columns), &self.request.tags);
        let (newest, _) = newest.map_err(|error| DataFusionError::External(error.into()))?;
        let times = newest.column(0).as_primitive::<TimestampNanosecondType>();
        let tags = newest.columns()[1..=meaning.tags.len()].iter().map(|column| cast(column, &DataType::Utf8));
        let tags: Vec<_> = tags.collect::<Result<_, _>>()?;
        let intervals = newest.columns().get(meaning.tags.len() + 1);
        let intervals = intervals.map(|column| cast(column, &DataType::Float64)).transpose()?;
        let value = |row: usize, tag: usize| {
            let column = tags[tag].as_string::<i32>();
            column.is_valid(row).then(|| column.value(row).to_owned())
        };
        let interval = |row: usize| {
            let column = intervals.as_ref()?.as_primitive::<Float64Type>();
            column.is_valid(row).then(|| (column.value(row) * 1e6) as i64)
        };
        let row = |row: usize| NewestRow {
            tags: (0..tags.len()).map(|tag| value(row, tag)).collect(),
            time: times.value(row),
            length: meaning.hold.or_else(|| interval(row)),
        };
        Ok((0..newest.num_rows()).map(row).collect())
    }

    /// Slots may be longer than what was read before the span: a check once a day speaks for a day. So of series of
    /// which nothing is known shortly before the span, rows are read further and further back, until there are some.
    async fn reach_back(
        &self,
        series: &mut HashMap<TagValues, SeriesRead>,
        newest: &[NewestRow],
        context: &TaskContext,
    ) -> Result<()> {
        let Question { table: Some(table), meaning, from, .. } = &self.question else { return Ok(()) };
        // One whose newest row says that it ended before the span does not reach into it.
        let reaches = |row: &&NewestRow| {
            row.time >= *from || row.length.is_none_or(|length| row.time.saturating_add(length) > *from)
        };
        let mut unsettled: HashSet<&TagValues> = newest
            .iter()
            .filter(reaches)
            .map(|row| &row.tags)
            .filter(|tags| !series.get(*tags).is_some_and(|read| read.is_settled(*from)))
            .collect();
        let mut until = self.request.from;
        for days in LOOK_BACK_DAYS {
            if unsettled.is_empty() {
                break;
            }
            let start = from.saturating_sub(days * 24 * 60 * MINUTE_NS);
            if start >= until {
                continue;
            }
            let mut request = ScanRequest { from: start, to: until.saturating_sub(1), ..self.request.clone() };
            request.tags.extend(only(&meaning.tags, &unsettled));
            let scan = table.store.scan(&table.info.schema, &table.info.name, &request);
            let scan = Arc::new(scan.map_err(|error| DataFusionError::External(error.into()))?);
            for (tags, earlier) in read_series(scan, meaning.clone(), context).await? {
                let Some(tags) = unsettled.get(&tags).copied() else { continue };
                let own = series.entry(tags.clone()).or_default();
                own.precede(earlier);
                if own.is_settled(*from) {
                    unsettled.remove(tags);
                }
            }
            until = start;
        }
        // What does not reach into the span after all is not of it.
        let is_of_span = |read: &SeriesRead| read.has_row_from(self.request.from) || read.reaches(*from);
        series.retain(|_, read| is_of_span(read));
        Ok(())
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
            let end = buckets.next(start).min(*to);
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
                seconds(end.saturating_sub(outage.start)),
                seconds(outage.counted(&target.excluded, outage.start, end)),
                seconds(end.saturating_sub(outage.start) - known),
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
        let row = |(start, end, state)| vec![time(start), time(end), text(state), seconds(end.saturating_sub(start))];
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
        let budget = allowed * to.saturating_sub(from) as f64 / 1e9;
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
