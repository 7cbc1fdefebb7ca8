//! Units: what must be merged among itself, and with nothing else. Rows of one key are of one day, so a unit is a day
//! of a table, or a range of its series.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use crate::base::day::Day;
use crate::base::options::PAGE_ROWS_MAX;
use crate::catalog::deletion::Deletion;
use crate::catalog::filter::Filter;
use crate::log::head::frames_of;
use crate::log::head_rows::HeadRows;
use crate::read::reading::Reading;
use crate::rolled::file::RolledDay;
use crate::rows::merge::{Merge, Source};
use crate::segment::file::Segment;
use crate::segment::index::Page;
use crate::state::view::View;

/// Where rows are looked for.
pub(crate) struct Layers<'a> {
    pub view: &'a View,
    /// Segments in the order of age; all of the view's, or neighbours among them.
    pub segments: &'a [Arc<Segment>],
    /// The view's rolled days, too?
    pub rolled: bool,
    /// The view's heads, too?
    pub heads: bool,
}

/// All rows of a day that a filter wants, or those of some of its series.
#[derive(Debug, Clone)]
pub(crate) struct Unit {
    pub day: Day,
    reach: RangeInclusive<u32>,
    /// Older than the segments.
    rolled: Option<(Arc<RolledDay>, Filter)>,
    /// In the order of age, each with the pages that can have rows and with what of these is wanted.
    segments: Vec<(Arc<Segment>, Vec<Page>, Filter)>,
    /// Younger than the segments.
    head: Option<Arc<HeadRows>>,
}

impl Layers<'_> {
    /// The units of a table, day by day.
    pub(crate) fn units(&self, table: u32, filter: &Filter) -> Vec<Unit> {
        self.units_outside(table, filter, &BTreeMap::new())
    }

    /// The units of a table without these spans of days, which are known to have no rows in heads.
    pub(crate) fn units_outside(&self, table: u32, filter: &Filter, spans: &BTreeMap<Day, (i64, i64)>) -> Vec<Unit> {
        if filter.is_empty() {
            return Vec::new();
        }
        let (head, mut deletions) = self.head_rows(table, filter);
        let mut days: BTreeMap<Day, Unit> = BTreeMap::new();
        let unit = |days: &mut BTreeMap<Day, Unit>, day: Day, add: &dyn Fn(&mut Unit)| {
            let new = || Unit { day, reach: 0..=u32::MAX, rolled: None, segments: Vec::new(), head: None };
            add(days.entry(day).or_insert_with(new));
        };
        let is_left = |day: &Day| spans.get(day).is_none_or(|span| filter.span_on(*day) != Some(*span));
        let wanted = |day: &Day| filter.meets_times(day.first(), day.last()) && is_left(day);
        head.days().filter(is_left).for_each(|day| unit(&mut days, day, &|unit| unit.head = Some(head.clone())));
        // From the youngest to the oldest, so that what was deleted since is known.
        for segment in self.segments.iter().rev() {
            let own: BTreeSet<Day> = segment.days_of(table).filter(wanted).collect();
            for day in own.into_iter().filter(|day| self.view.counts(segment, table, *day)) {
                let filter = filter.on(day).without(meeting(&deletions, day, 0));
                let pages = segment.pages(table, day, &filter);
                if !pages.is_empty() {
                    let source = (segment.clone(), pages, filter);
                    unit(&mut days, day, &|unit| unit.segments.insert(0, source.clone()));
                }
            }
            deletions.extend(segment.index().deletions.iter().filter(|(_, own)| own.table == table).cloned());
        }
        let rolled = self.view.rolled.range((table, Day(i32::MIN))..=(table, Day(i32::MAX)));
        for ((_, day), rolled) in rolled.filter(|((_, day), _)| self.rolled && wanted(day)) {
            // Deletions up to the roll have been applied by it.
            let filter = filter.on(*day).without(meeting(&deletions, *day, rolled.id().through + 1));
            unit(&mut days, *day, &|unit| unit.rolled = Some((rolled.clone(), filter.clone())));
        }
        let around = |unit: Unit| match spans.get(&unit.day) {
            None => vec![unit],
            Some((from, to)) => {
                let before = from.checked_sub(1).map(|last| unit.within(i64::MIN, last));
                let behind = to.checked_add(1).map(|first| unit.within(first, i64::MAX));
                before.into_iter().chain(behind).flatten().collect()
            }
        };
        days.into_values().flat_map(around).collect()
    }

    /// The heads' rows, and what they delete of older ones.
    fn head_rows(&self, table: u32, filter: &Filter) -> (Arc<HeadRows>, Vec<(u64, Arc<Deletion>)>) {
        if !self.heads {
            return (Arc::default(), Vec::new());
        }
        let entries: Vec<_> = self.view.heads.iter().flat_map(|head| head.entries()).collect();
        let (frames, deletions) = frames_of(entries.into_iter(), table);
        let wanted = frames.into_iter().filter(|(frame, _)| filter.meets_times(frame.min_time, frame.max_time));
        let filtered = wanted.map(|(frame, without)| (frame, filter.without(without)));
        let deletions = deletions.into_iter().map(|deletion| (u64::MAX, deletion)).collect();
        (Arc::new(HeadRows::new(filtered.collect())), deletions)
    }
}

/// The deletions from a log file's number on that can concern a day.
fn meeting(deletions: &[(u64, Arc<Deletion>)], day: Day, from: u64) -> Vec<Arc<Deletion>> {
    let meets =
        |(number, deletion): &&(u64, Arc<Deletion>)| *number >= from && deletion.meets_times(day.first(), day.last());
    deletions.iter().filter(meets).map(|(_, deletion)| deletion.clone()).collect()
}

impl Unit {
    /// About how many rows it has.
    pub(crate) fn rows(&self) -> usize {
        let pages =
            |(_, pages, _): &(Arc<Segment>, Vec<Page>, Filter)| -> usize { pages.iter().map(|page| page.rows).sum() };
        self.segments.iter().map(pages).sum::<usize>()
            + self.rolled.as_ref().map_or(0, |(rolled, _)| rolled.rows())
            + self.head.as_ref().map_or(0, |head| head.len(self.day, &self.reach))
    }

    /// About how many of its rows are wanted: of pages by the share of their times and series.
    pub(crate) fn rows_likely(&self) -> usize {
        let of_page = |page: &Page, filter: &Filter| page.rows as f64 * filter.share(&page.series, &page.times);
        let pages = |(_, pages, filter): &(Arc<Segment>, Vec<Page>, Filter)| -> f64 {
            pages.iter().map(|page| of_page(page, filter)).sum()
        };
        self.segments.iter().map(pages).sum::<f64>() as usize
            + self.rolled.as_ref().map_or(0, |(rolled, _)| rolled.rows())
            + self.head.as_ref().map_or(0, |head| head.len(self.day, &self.reach))
    }

    /// The part of it that is of some series; nothing if there is none.
    pub(crate) fn of_series(&self, series: &RangeInclusive<u32>) -> Option<Unit> {
        let unit = self.reaching(*series.start().max(self.reach.start())..=*series.end().min(self.reach.end()));
        let has_rows = unit.rolled.is_some()
            || unit.segments.iter().any(|(_, pages, _)| !pages.is_empty())
            || unit.head.as_ref().is_some_and(|head| head.len(unit.day, &unit.reach) > 0);
        has_rows.then_some(unit)
    }

    /// The segments whose pages it reads.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter().map(|(segment, ..)| segment)
    }

    /// Can it be taken apart? Only if pages say where series end.
    pub(crate) fn split(self, parts: usize) -> Vec<Unit> {
        let largest = self.segments.iter().max_by_key(|(_, pages, _)| pages.len());
        let Some((_, pages, _)) = largest.filter(|(_, pages, _)| pages.len() >= 2 * parts && parts > 1) else {
            return vec![self];
        };
        // Behind the last series of a page the next part begins.
        let mut ends: Vec<u32> = (1..parts).map(|part| *pages[part * pages.len() / parts].series.start()).collect();
        ends.dedup();
        let mut first = *self.reach.start();
        let mut units = Vec::new();
        for end in ends.into_iter().chain([u32::MAX]) {
            units.push(self.reaching(first..=end));
            first = end.saturating_add(1);
        }
        units
    }

    /// The part of it between two times, without heads; nothing if there is none.
    fn within(&self, from: i64, to: i64) -> Option<Unit> {
        let segments = self.segments.iter().map(|(segment, pages, filter)| {
            let filter = filter.within(from, to);
            let meets = |page: &&Page| filter.meets_times(*page.times.start(), *page.times.end());
            (segment.clone(), pages.iter().filter(meets).cloned().collect::<Vec<_>>(), filter)
        });
        let unit = Unit {
            day: self.day,
            reach: self.reach.clone(),
            rolled: self.rolled.as_ref().map(|(rolled, filter)| (rolled.clone(), filter.within(from, to))),
            segments: segments.filter(|(_, pages, _)| !pages.is_empty()).collect(),
            head: None,
        };
        (from <= to && (unit.rolled.is_some() || !unit.segments.is_empty())).then_some(unit)
    }

    fn reaching(&self, reach: RangeInclusive<u32>) -> Unit {
        let segments = self.segments.iter().map(|(segment, pages, filter)| {
            let filter = filter.reaching(&reach);
            let meets = |page: &&Page| filter.meets_series(*page.series.start(), *page.series.end());
            (segment.clone(), pages.iter().filter(meets).cloned().collect(), filter)
        });
        Unit {
            day: self.day,
            rolled: self.rolled.as_ref().map(|(rolled, filter)| (rolled.clone(), filter.reaching(&reach))),
            segments: segments.collect(),
            head: self.head.clone(),
            reach,
        }
    }

    /// Its rows, in key order, each key once, of these fields of the table. Without `times`, those of pages whose rows
    /// are all wanted are left out where nothing has to be merged.
    pub(crate) fn read(self, fields: &[u32], times: bool, reading: &Reading) -> Source<'static> {
        let times = times || self.rolled.is_some() || self.head.is_some() || self.segments.len() > 1;
        let mut sources: Vec<Source<'static>> = Vec::new();
        if let Some((rolled, filter)) = self.rolled {
            sources.push(rolled.read(fields, filter, reading.on_damaged_group()));
        }
        for (segment, pages, filter) in self.segments {
            let (fields, reading) = (fields.to_vec(), reading.clone());
            let rows = move |page: Page| reading.page(&segment, &page, &fields, times, &filter);
            sources.push(Box::new(pages.into_iter().filter_map(rows)));
        }
        if let Some(head) = &self.head {
            sources.push(Box::new(head.read(self.day, &self.reach, fields.to_vec(), PAGE_ROWS_MAX)));
        }
        match sources.len() {
            1 => sources.pop().expect("one"),
            _ => Box::new(Merge::new(sources)),
        }
    }
}
