//! Rows as samples.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type};
use arrow_array::{Array, ArrayRef, DictionaryArray, Int64Array};
use arrow_schema::DataType;
use roaring::RoaringBitmap;
use tsdb::{Scan, ScanRequest, Store, TIME_COLUMN, TagPredicate};

use super::native::Columns;
use super::places::{Label, Metrics, Place};
use super::predicates::{predicates, say_all};
use super::side_by_side::side_by_side;
use crate::base::labels::{Labels, NAME};
use crate::engine::{Allowance, Failure, FailureKind, LABELS_BYTES, Make, Source, Wanted};
use crate::model::points::Series;
use crate::model::samples::{Sample, Samples};

const MS: i64 = 1_000_000;
/// Series are read in so many parts at the most: the samples of a part are in memory together.
const PARTS_MAX: usize = 1024;

/// The metrics of a schema, as one question reads them.
#[derive(Debug)]
pub struct Stored<'a> {
    store: &'a Store,
    metrics: &'a Metrics,
    schema: &'a str,
    allowance: &'a Allowance<'a>,
    warnings: Mutex<BTreeSet<String>>,
}

impl<'a> Stored<'a> {
    /// The metrics of a schema, for a question that may take so much.
    #[must_use]
    pub fn new(store: &'a Store, metrics: &'a Metrics, schema: &'a str, allowance: &'a Allowance<'a>) -> Stored<'a> {
        Stored { store, metrics, schema, allowance, warnings: Mutex::default() }
    }

    /// What is known to be missing from what was read.
    pub fn warnings(&self) -> Vec<String> {
        self.missing().iter().cloned().collect()
    }

    fn missing(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Room for the labels of a series, here and in the text of the answer.
    pub(crate) fn room(&self) -> Result<(), Failure> {
        self.allowance.take(2 * LABELS_BYTES)
    }

    /// The labels of the series that match and have rows behind one time and up to another one.
    pub(crate) fn labels(
        &self,
        wanted: Wanted<'_>,
        each: &mut dyn FnMut(Labels) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let reader = Reader { store: self.store, schema: self.schema, wanted, has_samples: false };
        let places = self.metrics.matching(self.store, self.schema, wanted.matchers);
        self.read_side_by_side(&places, &reader, &|labels, _| Ok(Some(labels)), &mut |_, _, labels| each(labels))
    }

    /// The values that a label has in the series that match and have rows behind one time and up to another one: read off the
    /// numbers of series, where their labels do not have to be looked at.
    pub(crate) fn values(&self, wanted: Wanted<'_>, label: &str, values: &mut BTreeSet<String>) -> Result<(), Failure> {
        let reader = Reader { store: self.store, schema: self.schema, wanted, has_samples: false };
        for place in self.metrics.matching(self.store, self.schema, wanted.matchers) {
            self.allowance.check()?;
            if !say_all(&place, wanted.matchers) {
                self.read_side_by_side(&[place], &reader, &|labels, _| Ok(Some(labels)), &mut |_, _, labels| {
                    let value = labels.get(label);
                    if !value.is_empty() && !values.contains(value) {
                        values.insert(value.to_owned());
                    }
                    Ok(())
                })?;
                continue;
            }
            let tag = place.tag(label);
            if tag.is_none() && label != NAME {
                continue;
            }
            let Some((scan, series)) = self.seen(&place, &reader)? else { continue };
            let Some(tag) = tag else {
                values.insert(place.metric.clone());
                continue;
            };
            each_value(&scan, tag, &series, &mut |value| {
                self.allowance.take(LABELS_BYTES)?;
                values.insert(value.to_owned());
                Ok(())
            })?;
        }
        Ok(())
    }

    /// The names of the labels of such series, read off likewise.
    pub(crate) fn names(&self, wanted: Wanted<'_>, names: &mut BTreeSet<String>) -> Result<(), Failure> {
        let reader = Reader { store: self.store, schema: self.schema, wanted, has_samples: false };
        for place in self.metrics.matching(self.store, self.schema, wanted.matchers) {
            self.allowance.check()?;
            if !say_all(&place, wanted.matchers) {
                self.read_side_by_side(&[place], &reader, &|labels, _| Ok(Some(labels)), &mut |_, _, labels| {
                    let new = labels.iter().map(|(name, _)| name).filter(|name| !names.contains(*name));
                    names.extend(new.map(str::to_owned).collect::<Vec<_>>());
                    Ok(())
                })?;
                continue;
            }
            if place.labels.iter().all(|label| names.contains(&label.name)) && names.contains(NAME) {
                continue;
            }
            let Some((scan, series)) = self.seen(&place, &reader)? else { continue };
            names.insert(NAME.to_owned());
            for label in &place.labels {
                let mut has_value = false;
                each_value(&scan, &label.tag, &series, &mut |_| {
                    has_value = true;
                    Ok(())
                })?;
                names.extend(has_value.then(|| label.name.clone()));
            }
        }
        Ok(())
    }

    /// The series of a place, whose predicates say all that is wanted, that have rows; nothing if none has.
    fn seen(&self, place: &Place, reader: &Reader<'_>) -> Result<Option<(Scan, Vec<u32>)>, Failure> {
        let Some(scan) = reader.scan(place)? else { return Ok(None) };
        let mut seen = RoaringBitmap::new();
        for part in 0..scan.partitions() {
            for rows in scan.read_untagged(part) {
                self.allowance.check()?;
                seen.extend(rows.map_err(failed)?.runs().map(|run| run[0]));
            }
        }
        self.missing().extend(scan.warnings());
        Ok((!seen.is_empty()).then(|| (scan, seen.iter().collect())))
    }

    /// Samples that are wanted, with something made of each series by the thread that has read it.
    fn read<T: Send>(
        &self,
        wanted: Wanted<'_>,
        make: &(dyn Fn(Labels, Samples) -> Result<Option<T>, Failure> + Sync),
        each: &mut dyn FnMut(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.allowance.check()?;
        let places = self.metrics.matching(self.store, self.schema, wanted.matchers);
        let reader = Reader { store: self.store, schema: self.schema, wanted, has_samples: true };
        // Of the same labels a table of the metric's name is taken, and no field.
        let mut metrics: BTreeMap<&str, usize> = BTreeMap::new();
        places.iter().for_each(|place| *metrics.entry(&place.metric).or_default() += 1);
        let mut seen: HashSet<Labels> = HashSet::new();
        self.read_side_by_side(&places, &reader, make, &mut |place, labels, made| {
            let is_new = metrics[&*place.metric] == 1 || seen.insert(labels);
            if is_new { each(made) } else { Ok(()) }
        })
    }

    /// The series of places, read by several threads. Parts come in the order of their places, with these and their labels.
    fn read_side_by_side<T: Send>(
        &self,
        places: &[Arc<Place>],
        reader: &Reader<'_>,
        make: &(dyn Fn(Labels, Samples) -> Result<Option<T>, Failure> + Sync),
        each: &mut dyn FnMut(&Place, Labels, T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        // The parts of one place, or places.
        let (scan, jobs) = match places {
            [place] if !reader.wanted.is_newest => match reader.scan(place)? {
                Some(scan) => {
                    let parts = scan.partitions();
                    (Some(scan), parts)
                }
                None => return Ok(()),
            },
            places => (None, places.len()),
        };
        let beside = self.allowance.beside();
        let of_job = |job: usize| -> Result<Read<'a, T>, Failure> {
            let held = beside();
            let (series, warnings) = match &scan {
                Some(scan) => (reader.part(&places[0], scan, job, &held)?, Vec::new()),
                None => reader.whole(&places[job], &held)?,
            };
            let made = series
                .into_iter()
                .filter_map(|(labels, samples)| Some((labels.clone(), make(labels, samples).transpose()?)))
                .map(|(labels, made)| Ok((labels, made?)));
            let place = if scan.is_some() { 0 } else { job };
            Ok(Read { place, made: made.collect::<Result<_, Failure>>()?, warnings, held })
        };
        side_by_side(jobs, &of_job, &mut |read: Read<'a, T>| {
            read.made.into_iter().try_for_each(|(labels, made)| each(&places[read.place], labels, made))?;
            drop(read.held);
            self.missing().extend(read.warnings);
            Ok(())
        })?;
        self.missing().extend(scan.iter().flat_map(Scan::warnings));
        Ok(())
    }
}

/// What was made of series, with the memory that they take until somebody has it.
struct Read<'a, T> {
    place: usize,
    made: Vec<(Labels, T)>,
    warnings: Vec<String>,
    held: Allowance<'a>,
}

/// The series of a place, and what is known to be missing.
type Whole = (Vec<(Labels, Samples)>, Vec<String>);

/// What is read of places.
struct Reader<'a> {
    store: &'a Store,
    schema: &'a str,
    wanted: Wanted<'a>,
    has_samples: bool,
}

impl Reader<'_> {
    /// The first and the last time that is wanted, in nanoseconds.
    fn span(&self) -> (i64, i64) {
        let Wanted { after_ms, until_ms, .. } = self.wanted;
        let until = until_ms.saturating_mul(MS).saturating_add(MS - 1);
        (after_ms.saturating_add(1).saturating_mul(MS), until)
    }

    /// The columns of a place that are read: the labels, then what samples are made of.
    fn columns(&self, place: &Place) -> Vec<String> {
        let mut columns: Vec<String> = place.labels.iter().map(|label| label.tag.clone()).collect();
        if self.has_samples {
            columns.push(TIME_COLUMN.into());
            columns.extend(place.field.clone());
            columns.extend(place.histogram.iter().map(|own| own.column.clone()));
            columns.extend(place.start.clone().filter(|_| self.wanted.has_starts));
        }
        columns
    }

    /// A scan of series of a place, all of a series in one part; `None` if none can match.
    fn scan(&self, place: &Place) -> Result<Option<Scan>, Failure> {
        let Some(tags) = predicates(place, self.wanted.matchers) else { return Ok(None) };
        let (from, to) = self.span();
        let request = ScanRequest {
            columns: Some(self.columns(place)),
            from,
            to,
            tags,
            partitions: PARTS_MAX,
            whole_series: true,
            stale_marks: true,
            ..ScanRequest::default()
        };
        self.store.scan(self.schema, &place.table, &request).map(Some).map_err(failed)
    }

    /// The series of a part that match, in memory that is taken.
    fn part(
        &self,
        place: &Place,
        scan: &Scan,
        part: usize,
        allowance: &Allowance<'_>,
    ) -> Result<Vec<(Labels, Samples)>, Failure> {
        let mut all: BTreeMap<u32, Samples> = BTreeMap::new();
        for rows in scan.read_untagged(part) {
            allowance.check()?;
            let rows = rows.map_err(failed)?;
            let bytes = if self.has_samples { rows.batch.get_array_memory_size() } else { 0 };
            allowance.take(bytes)?;
            let mut at = 0;
            for run in rows.runs() {
                let samples = all.entry(run[0]).or_default();
                if self.has_samples {
                    Rows::of(place, rows.batch.columns()).take(at..at + run.len(), samples);
                }
                at += run.len();
            }
        }
        let (series, samples): (Vec<u32>, Vec<Samples>) = all.into_iter().unzip();
        let tag = |name: &str| scan.tag(name, &series);
        Ok(self.labelled(place, &tag, samples))
    }

    /// Samples with their labels, as far as these match and there are some.
    fn labelled(
        &self,
        place: &Place,
        tag: &dyn Fn(&str) -> Option<ArrayRef>,
        samples: Vec<Samples>,
    ) -> Vec<(Labels, Samples)> {
        let is_wanted = |(labels, samples): &(Labels, Samples)| {
            (!self.has_samples || !samples.is_empty())
                && self.wanted.matchers.iter().all(|matcher| matcher.matches(labels.get(&matcher.label)))
        };
        labels(tag, place, samples.len()).into_iter().zip(samples).filter(is_wanted).collect()
    }

    /// The newest samples of a place by the newest rows that the store knows, unless these do not tell them: because there
    /// are later ones, or the metric is not in them.
    fn newest(
        &self,
        place: &Place,
        tags: &[TagPredicate],
        allowance: &Allowance<'_>,
    ) -> Result<Option<Whole>, Failure> {
        let (from, to) = self.span();
        let newest = self.store.newest(self.schema, &place.table, &self.columns(place), tags, from).map_err(failed)?;
        let Some(newest) = newest else { return Ok(None) };
        let rows = newest.untagged().map_err(failed)?;
        allowance.take(rows.batch.get_array_memory_size())?;
        let columns = rows.batch.columns();
        if columns[0].as_primitive::<TimestampNanosecondType>().values().iter().any(|time| *time > to) {
            return Ok(None);
        }
        let (own, mut all) = (Rows::of(place, columns), vec![Samples::default(); rows.series.len()]);
        for (row, samples) in all.iter_mut().enumerate() {
            own.take(row..row + 1, samples);
            if samples.is_empty() {
                return Ok(None);
            }
        }
        let tag = |name: &str| newest.tag(name, &rows.series);
        Ok(Some((self.labelled(place, &tag, all), newest.warnings().to_vec())))
    }

    /// All that is wanted of a place, and what is known to be missing.
    fn whole(&self, place: &Place, allowance: &Allowance<'_>) -> Result<Whole, Failure> {
        if self.wanted.is_newest && self.has_samples {
            let Some(tags) = predicates(place, self.wanted.matchers) else { return Ok(Whole::default()) };
            if let Some(known) = self.newest(place, &tags, allowance)? {
                return Ok(known);
            }
        }
        let Some(scan) = self.scan(place)? else { return Ok(Whole::default()) };
        let mut all = Vec::new();
        for part in 0..scan.partitions() {
            all.extend(self.part(place, &scan, part, allowance)?);
        }
        Ok((all, scan.warnings()))
    }
}

/// The values of a tag that series have, once each.
fn each_value(
    scan: &Scan,
    tag: &str,
    series: &[u32],
    each: &mut dyn FnMut(&str) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let column = scan.tag(tag, series);
    let Some(codes) = column.as_ref().and_then(|column| column.as_dictionary_opt::<Int32Type>()) else {
        return Ok(());
    };
    let mut is_met = vec![false; codes.values().len()];
    codes.keys_iter().flatten().for_each(|code| is_met[code] = true);
    let texts = codes.values().as_string_opt::<i32>().into_iter().flatten().zip(is_met);
    let met = texts.filter(|(_, is_met)| *is_met).filter_map(|(text, _)| text);
    met.filter(|text| !text.is_empty()).try_for_each(each)
}

fn failed(error: tsdb::Error) -> Failure {
    Failure { kind: FailureKind::Storage, message: error.to_string() }
}

impl Source for Stored<'_> {
    fn select(
        &self,
        wanted: Wanted<'_>,
        each: &mut dyn FnMut(Labels, Samples) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        self.read(wanted, &|labels, samples| Ok(Some((labels, samples))), &mut |(labels, samples)| {
            each(labels, samples)
        })
    }

    fn select_made(&self, wanted: Wanted<'_>, make: Make<'_>) -> Result<Vec<Series>, Failure> {
        let mut all = Vec::new();
        self.read(wanted, make, &mut |series| {
            all.push(series);
            Ok(())
        })?;
        Ok(all)
    }
}

/// Rows of a place, as samples.
struct Rows<'c> {
    times: &'c [i64],
    /// Floats that are all there, as those of nearly all metrics are.
    floats: Option<&'c [f64]>,
    /// Numbers of other kinds, or not of all rows.
    number: Option<Number<'c>>,
    histograms: Option<Columns<'c>>,
    starts: Option<&'c Int64Array>,
}

impl<'c> Rows<'c> {
    /// Rows with the columns that [`Reader::columns`] has behind the labels.
    fn of(place: &'c Place, columns: &'c [ArrayRef]) -> Rows<'c> {
        let times = columns[0].as_primitive::<TimestampNanosecondType>().values();
        let first = 1 + usize::from(place.field.is_some());
        let behind = first + place.histogram.len();
        let histograms = (!place.histogram.is_empty()).then(|| Columns::new(&place.histogram, &columns[first..behind]));
        let starts = columns.get(behind).and_then(|starts| starts.as_primitive_opt::<Int64Type>());
        let field = place.field.as_ref().map(|_| &columns[1]);
        let whole = field.and_then(|field| field.as_primitive_opt::<Float64Type>());
        let floats = whole.filter(|floats| floats.null_count() == 0).map(|floats| &floats.values()[..]);
        let number = field.filter(|_| floats.is_none()).map(number_of);
        Rows { times, floats, number, histograms, starts }
    }

    /// Some rows of one series, behind those that are there.
    fn take(&self, rows: Range<usize>, samples: &mut Samples) {
        if let (Some(floats), None, None) = (self.floats, &self.histograms, self.starts) {
            return take_floats(&self.times[rows.clone()], &floats[rows], samples);
        }
        for row in rows {
            let time = self.times[row].div_euclid(MS);
            let start = self.starts.map(|starts| if starts.is_valid(row) { starts.value(row) } else { 0 });
            let number = self.number.as_ref().and_then(|number| number(row));
            if let Some(value) = self.floats.map(|floats| floats[row]).or(number) {
                // Of several within a millisecond the last counts.
                if samples.times.last() == Some(&time) {
                    samples.times.pop();
                    samples.values.pop();
                    samples.starts.pop();
                }
                samples.push(time, value);
                samples.starts.extend(start);
            }
            if let Some(histogram) = self.histograms.as_ref().and_then(|columns| columns.histogram(row)) {
                if samples.histograms.last().is_some_and(|(last, _)| *last == time) {
                    samples.histograms.pop();
                    samples.histogram_starts.pop();
                }
                samples.push_sample(time, Sample::Histogram(histogram));
                samples.histogram_starts.extend(start);
            }
        }
    }
}

/// As [`Rows::take`], of floats alone.
fn take_floats(times: &[i64], values: &[f64], samples: &mut Samples) {
    let before = samples.times.len();
    let is_rising = push_ms(times, &mut samples.times);
    if is_rising {
        return samples.values.extend_from_slice(values);
    }
    // Of several within a millisecond the last counts.
    samples.times.truncate(before);
    for (time, value) in times.iter().zip(values) {
        let ms = time.div_euclid(MS);
        if samples.times.last() == Some(&ms) {
            samples.times.pop();
            samples.values.pop();
        }
        samples.push(ms, *value);
    }
}

/// Adds times in ms, and says whether each of them is behind the one before it.
fn push_ms(times: &[i64], all: &mut Vec<i64>) -> bool {
    /// Times in equal steps are looked at so many at once.
    const CHUNK: usize = 64;
    let mut is_rising = true;
    let mut last = all.last().copied().unwrap_or(i64::MIN);
    all.reserve(times.len());
    for chunk in times.chunks(CHUNK) {
        let first = chunk[0].div_euclid(MS);
        is_rising &= first > last;
        match whole_step_ms(chunk) {
            Some(step) => all.extend((0..chunk.len() as i64).map(|at| first + at * step)),
            None => {
                all.extend(chunk.iter().map(|time| time.div_euclid(MS)));
                is_rising &= all[all.len() - chunk.len()..].is_sorted_by(|one, other| one < other);
            }
        }
        last = all[all.len() - 1];
    }
    is_rising
}

/// How many milliseconds lie between times, if it is the same whole number of them, and more than none, everywhere, from a
/// whole one on. No time is divided for it but the first.
fn whole_step_ms(times: &[i64]) -> Option<i64> {
    let (first, second) = (*times.first()?, *times.get(1)?);
    let step = second.checked_sub(first).filter(|step| *step > 0 && step % MS == 0 && first % MS == 0)?;
    let last = first.checked_add(step.checked_mul(times.len() as i64 - 1)?)?;
    let pairs = times.iter().zip(&times[1..]);
    let differ = pairs.fold(0, |all, (one, other)| all | (other.wrapping_sub(*one) ^ step));
    (differ == 0 && times.last() == Some(&last)).then_some(step / MS)
}

/// The number of a row, if it has one.
type Number<'c> = Box<dyn Fn(usize) -> Option<f64> + 'c>;

/// A column of numbers of any kind.
fn number_of(column: &ArrayRef) -> Number<'_> {
    match column.data_type() {
        DataType::Float64 => {
            let column = column.as_primitive::<Float64Type>();
            Box::new(|row| column.is_valid(row).then(|| column.value(row)))
        }
        DataType::Int64 => {
            let column = column.as_primitive::<Int64Type>();
            Box::new(|row| column.is_valid(row).then(|| column.value(row) as f64))
        }
        DataType::UInt64 => {
            let column = column.as_primitive::<UInt64Type>();
            Box::new(|row| column.is_valid(row).then(|| column.value(row) as f64))
        }
        DataType::Boolean => {
            let column = column.as_boolean();
            Box::new(|row| column.is_valid(row).then(|| f64::from(u8::from(column.value(row)))))
        }
        _ => Box::new(|_| None),
    }
}

/// The labels of so many series, in their order. Names and values are there once, however many series have them.
fn labels(tag: &dyn Fn(&str) -> Option<ArrayRef>, place: &Place, count: usize) -> Vec<Labels> {
    let column = |label: &Label| Column::of_tag(&label.name, tag(&label.tag)?, count);
    let mut columns: Vec<Column> = place.labels.iter().filter_map(column).collect();
    columns.push(Column { name: NAME.into(), values: Values::Same(place.metric.as_str().into()) });
    // Sorted once for all series.
    columns.sort_by(|one, other| one.name.cmp(&other.name));
    let is_sorted = columns.windows(2).all(|pair| pair[0].name < pair[1].name);
    let of = |row: usize| {
        let mut all = Vec::with_capacity(columns.len());
        all.extend(columns.iter().filter_map(|column| Some((column.name.clone(), column.value(row)?))));
        if is_sorted { Labels::of_sorted(all) } else { Labels::new(all) }
    };
    (0..count).map(of).collect()
}

/// A label of series.
struct Column {
    name: Arc<str>,
    values: Values,
}

/// What a label is in series.
enum Values {
    /// In all of them.
    Same(Arc<str>),
    /// What a tag is, and the values that were asked for, by their codes: none of these where few are.
    OfTag(DictionaryArray<Int32Type>, RefCell<Vec<Option<Arc<str>>>>),
}

impl Column {
    fn of_tag(name: &str, tag: ArrayRef, count: usize) -> Option<Column> {
        let codes = tag.as_dictionary_opt::<Int32Type>()?.clone();
        let known = if count < codes.values().len() / 4 { 0 } else { codes.values().len() };
        Some(Column { name: name.into(), values: Values::OfTag(codes, RefCell::new(vec![None; known])) })
    }

    fn value(&self, row: usize) -> Option<Arc<str>> {
        let (codes, known) = match &self.values {
            Values::Same(value) => return Some(value.clone()),
            Values::OfTag(codes, known) => (codes, known),
        };
        let at = usize::try_from(codes.is_valid(row).then(|| codes.keys().value(row))?).ok()?;
        let text = || Some(Arc::from(codes.values().as_string_opt::<i32>()?.value(at)));
        match known.borrow_mut().get_mut(at) {
            None => text(),
            Some(Some(value)) => Some(value.clone()),
            Some(none) => {
                none.clone_from(&text());
                none.clone()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step that is no whole number of milliseconds, or begins within one, is none that can be gone on with.
    #[test]
    fn times_in_ms_are_those_of_a_division() {
        let mut random = 88_172_645_463_325_252u64;
        let mut next = |below: u64| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below) as i64
        };
        for _ in 0..2000 {
            let steps = [MS, 10 * MS, MS / 2, 1, 3 * MS + 1, 0, next(5 * MS as u64)];
            let mut times = vec![next(10) * MS - 5 * MS + next(2) * next(MS as u64)];
            let mut step = MS;
            for _ in 0..next(40) {
                if next(3) == 0 {
                    step = steps[next(steps.len() as u64) as usize];
                }
                times.push(times[times.len() - 1] + step);
            }
            let (first, second) = times.split_at(next(times.len() as u64) as usize);
            let values: Vec<f64> = (0..times.len()).map(|at| at as f64).collect();
            let mut samples = Samples::default();
            take_floats(first, &values[..first.len()], &mut samples);
            take_floats(second, &values[first.len()..], &mut samples);
            let mut expected: BTreeMap<i64, f64> = BTreeMap::new();
            expected.extend(times.iter().map(|time| time.div_euclid(MS)).zip(values));
            assert_eq!(samples.times, expected.keys().copied().collect::<Vec<_>>(), "{times:?}");
            assert_eq!(samples.values, expected.values().copied().collect::<Vec<_>>(), "{times:?}");
        }
    }
}
