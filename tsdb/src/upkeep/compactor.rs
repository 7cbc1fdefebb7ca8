//! The compactor: merges segments, so that queries read few and large ones, and drops what does not count any more.
//!
//! Neighbours in age are merged when there are enough of them and none of them is larger than the others together.
//! So a row's segment at least doubles each time that the row is rewritten, and the number of segments grows with the
//! logarithm of the data. A segment of which half was rolled or has left is rewritten alone.
//!
//! A merge streams: it holds a page of each segment, a few of what it writes, and what is said of all pages. As many
//! neighbours as that leaves room for within `Options::compact_bytes_max` are merged at once, two at the least; the
//! rest follows. A large merge takes minutes, in which heads go on being sealed: these are merged in the midst of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::base::day::Day;
use crate::base::error::{Error, Result};
use crate::base::ids::SegmentId;
use crate::base::value::FieldType;
use crate::catalog::filter::Filter;
use crate::codec::Effort;
use crate::read::reading::Reading;
use crate::read::unit::Layers;
use crate::segment::file::Segment;
use crate::segment::writer::SegmentWriter;
use crate::state::shared::Shared;
use crate::state::view::View;
use crate::upkeep::outliving;

/// Fewer neighbours than this are not worth a merge.
const SEGMENTS_MIN: usize = 4;

/// So many segments that are younger than those of a merge are not left to wait for its end: every question would read
/// each of them.
const YOUNGER_MAX: usize = 2 * SEGMENTS_MIN;

/// Is there something that is worth a merge?
pub(crate) fn is_worthwhile(shared: &Shared) -> bool {
    worth(&shared.view.load()).is_some()
}

/// Does the first merge that is worth it.
pub(crate) fn compact_once(shared: &Arc<Shared>) -> Result<()> {
    let view = shared.view.load_full();
    match worth(&view) {
        Some(range) => compact_or_leave(shared, &view, &Merging::of(shared, &view, range)),
        None => Ok(()),
    }
}

/// Merges all segments into one. Those with damaged pages stay as they are, between their neighbours.
pub(crate) fn compact_all(shared: &Arc<Shared>) -> Result<()> {
    loop {
        let view = shared.view.load_full();
        let stretches = stretches(&view);
        let wanted = |stretch: &Range<usize>| {
            stretch.len() > 1
                || (stretch.len() == 1 && gains(&view, &view.segments[stretch.start], is_oldest(&view, stretch.start)))
        };
        let Some(range) = stretches.into_iter().find(wanted) else { return Ok(()) };
        compact_or_leave(shared, &view, &Merging::of(shared, &view, range))?;
    }
}

/// A merge of neighbours.
struct Merging {
    /// Their places.
    range: Range<usize>,
    /// How much memory is left for a merge of younger ones in the midst of it; `None` in such a one.
    bytes_left: Option<usize>,
}

impl Merging {
    /// The first of some neighbours whose merge takes no more memory than is allowed, two at the least.
    fn of(shared: &Shared, view: &View, range: Range<usize>) -> Merging {
        let bytes_max = shared.options.compact_bytes_max;
        let sizes = decoded_sizes(view, &range);
        let count = affordable_count(&sizes, bytes_max);
        let range = range.start..range.start + count;
        Merging { range, bytes_left: Some(bytes_max.saturating_sub(needed_bytes(&sizes[..count]))) }
    }

    /// The same in the midst of another one.
    fn beside(view: &View, range: Range<usize>, bytes_max: usize) -> Merging {
        let count = affordable_count(&decoded_sizes(view, &range), bytes_max);
        Merging { range: range.start..range.start + count, bytes_left: None }
    }
}

/// Of each segment, what a page takes and what is said of its pages.
fn decoded_sizes(view: &View, range: &Range<usize>) -> Vec<(usize, usize)> {
    view.segments[range.clone()].iter().map(|segment| segment.decoded_bytes()).collect()
}

/// About how much memory a merge of all of them takes.
fn needed_bytes(sizes: &[(usize, usize)]) -> usize {
    /// Pages that wait to be written, with the one that is put together of them.
    const WRITTEN: usize = 4;
    let largest = sizes.iter().map(|(page, _)| page).max().copied().unwrap_or(0);
    // What is said of pages is there twice: as it is read, and as it is written.
    sizes.iter().map(|(page, known)| page + 2 * known).sum::<usize>() + WRITTEN * largest
}

/// How many of them can be merged at once.
fn affordable_count(sizes: &[(usize, usize)], bytes_max: usize) -> usize {
    let is_affordable = |count: &usize| needed_bytes(&sizes[..*count]) <= bytes_max;
    (2..=sizes.len()).rev().find(is_affordable).unwrap_or(sizes.len().min(2))
}

/// Merges what was sealed since a merge of older segments began, where that became much. The two know nothing of each
/// other.
fn compact_younger(shared: &Arc<Shared>, number: u64, bytes_max: usize) -> Result<()> {
    loop {
        let view = shared.view.load_full();
        let first = view.segments.partition_point(|segment| segment.id().number <= number);
        if view.segments.len() - first <= YOUNGER_MAX {
            return Ok(());
        }
        match worthwhile_neighbours(&view, first) {
            Some(range) => compact_or_leave(shared, &view, &Merging::beside(&view, range, bytes_max))?,
            None => return Ok(()),
        }
    }
}

/// Merges neighbours, unless one of them is found damaged: then it is known to be, and the others go on without it.
fn compact_or_leave(shared: &Arc<Shared>, view: &View, merging: &Merging) -> Result<()> {
    let known = shared.health.count();
    match compact(shared, view, merging) {
        Err(Error::Corrupt { .. }) if shared.health.count() > known => Ok(()),
        outcome => outcome,
    }
}

/// Would rewriting a segment alone make it smaller or faster to read?
fn gains(view: &View, segment: &Segment, oldest: bool) -> bool {
    let gone = segment.days().any(|(table, day)| !is_needed(view, segment, table, day));
    gone || segment.id().generation == 0
        || oldest && segment.index().deletions.iter().any(|(number, own)| !view.waits_for(*number, own))
}

/// Does a day's part of a segment still count?
fn is_needed(view: &View, segment: &Segment, table: u32, day: Day) -> bool {
    view.counts(segment, table, day) && day.last() >= view.floor(table)
}

/// Neighbours without a damaged page or a lost segment between them: what may be merged.
fn stretches(view: &View) -> Vec<Range<usize>> {
    let mut stretches: Vec<Range<usize>> = Vec::new();
    // Made whole again, a lost segment takes its place between those around it.
    let divided = |at: usize| {
        let between = view.segments[at - 1].id()..view.segments[at].id();
        view.lost_segments.iter().any(|lost| between.contains(lost))
    };
    for (at, segment) in view.segments.iter().enumerate() {
        match stretches.last_mut() {
            _ if segment.is_damaged() => {}
            Some(last) if last.end == at && !divided(at) => last.end += 1,
            _ => stretches.push(at..at + 1),
        }
    }
    stretches
}

/// Is nothing older than this segment of the view?
fn is_oldest(view: &View, at: usize) -> bool {
    at == 0 && view.lost_segments.first().is_none_or(|lost| *lost > view.segments[0].id())
}

/// Neighbours that are worth a merge, or one segment that is worth rewriting.
fn worth(view: &View) -> Option<Range<usize>> {
    let segments = &view.segments;
    let half_gone = |at: &usize| {
        let segment = &segments[*at];
        let days: Vec<(u32, Day)> = segment.days().collect();
        let gone = days.iter().filter(|(table, day)| !is_needed(view, segment, *table, *day));
        let bytes = |table: u32, day: Day| -> usize {
            segment.bytes_of(table).filter(|(own, _)| *own == day).map(|(_, bytes)| bytes).sum()
        };
        let gone: usize = gone.map(|(table, day)| bytes(*table, *day)).sum();
        gone > 0 && gone * 2 >= segment.file_bytes() && !segment.is_damaged()
    };
    worthwhile_neighbours(view, 0).or_else(|| (0..segments.len()).find(half_gone).map(|at| at..at + 1))
}

/// Neighbours that are worth a merge, from a place on.
fn worthwhile_neighbours(view: &View, first: usize) -> Option<Range<usize>> {
    let sizes: Vec<usize> = view.segments.iter().map(|segment| segment.file_bytes()).collect();
    stretches(view).into_iter().find_map(|stretch| {
        let start = stretch.start.max(first);
        let range = worthwhile(sizes.get(start..stretch.end)?)?;
        Some(start + range.start..start + range.end)
    })
}

/// Merges neighbours in age into one segment, which takes their place at one instant.
fn compact(shared: &Arc<Shared>, view: &View, merging: &Merging) -> Result<()> {
    let merged = merge(shared, view, merging)?;
    let inputs = &view.segments[merging.range.clone()];
    let number = merged.id().number;
    let outliving = outliving::outliving(view);
    let ids: BTreeSet<SegmentId> = inputs.iter().map(|segment| segment.id()).collect();
    shared.change(
        |manifest| {
            manifest.segments.retain(|id| !ids.contains(id));
            manifest.segments.push(merged.id());
            manifest.segments.sort_unstable();
            outliving::prolong(manifest.rollup_days.iter_mut(), &outliving, number);
        },
        |view| {
            outliving::prolong(view.rollup_days.values_mut().flatten().map(|day| &mut day.id), &outliving, number);
            view.segments.retain(|segment| !ids.contains(&segment.id()));
            view.segments.push(merged.clone());
            view.segments.sort_unstable_by_key(|segment| segment.id());
        },
    )?;
    shared.counters.compacted();
    // Scans that have begun keep reading what they have mapped.
    inputs.iter().for_each(|segment| shared.dir.remove_leftover(segment.path()));
    Ok(())
}

fn merge(shared: &Arc<Shared>, view: &View, merging: &Merging) -> Result<Arc<Segment>> {
    let oldest = is_oldest(view, merging.range.start);
    let inputs = &view.segments[merging.range.clone()];
    let ids = || inputs.iter().map(|segment| segment.id());
    let number = ids().map(|id| id.number).max().expect("something to merge");
    let generation = ids().map(|id| id.generation).max().expect("something to merge") + 1;
    let first_log = inputs.iter().map(|segment| segment.index().first_log).min().expect("something to merge");
    let id = SegmentId { number, generation };
    let page_rows = shared.options.page_rows;
    let mut writer = SegmentWriter::create(&shared.dir, id, first_log, page_rows, Effort::Small)?;
    let layers = Layers { view, segments: inputs, rolled: false, heads: false };
    // A page that is found damaged here keeps its segment from being merged.
    let reading = Reading::in_background(shared);
    let tables: BTreeSet<u32> = inputs.iter().flat_map(|segment| segment.days().map(|(table, _)| table)).collect();
    for table in tables {
        let known = shared.catalog.table(table).expect("a segment's tables are known");
        if known.is_dropped() {
            continue;
        }
        let columns = known.columns();
        let days: BTreeSet<Day> = inputs.iter().flat_map(|segment| segment.days_of(table)).collect();
        let all = Filter::new(view.floor(table), i64::MAX, None);
        // A day at a time, so that what is known of pages is of one day only.
        for unit in days.into_iter().flat_map(|day| layers.units(table, &all.on(day))) {
            let mut kinds: BTreeMap<u32, FieldType> =
                unit.segments().flat_map(|segment| segment.fields(table, unit.day)).collect();
            if kinds.keys().any(|field| !columns.is_dropped(*field)) {
                // The rows stay where all that they had was dropped.
                kinds.retain(|field, _| !columns.is_dropped(*field));
            }
            let fields: Vec<u32> = kinds.keys().copied().collect();
            writer.start_section(table, unit.day, &kinds.into_iter().collect::<Vec<_>>())?;
            for rows in unit.read(&fields, true, &reading) {
                if shared.closing.load(Ordering::Relaxed) {
                    return Err(Error::Closed);
                }
                writer.push(rows?)?;
                if let Some(bytes_left) = merging.bytes_left {
                    compact_younger(shared, number, bytes_left)?;
                }
            }
        }
    }
    for (number, deletion) in inputs.iter().flat_map(|segment| &segment.index().deletions) {
        // It has been applied to everything that is older.
        if oldest && !view.waits_for(*number, deletion) {
            shared.last_rows.forget(deletion.table);
        } else {
            writer.delete(*number, deletion.clone());
        }
    }
    writer.finish()
}

/// The fewest neighbours that are worth a merge.
fn worthwhile(sizes: &[usize]) -> Option<Range<usize>> {
    (SEGMENTS_MIN..=sizes.len()).find_map(|count| {
        let balanced = |window: &[usize]| window.iter().max().expect("not empty") * 2 <= window.iter().sum::<usize>();
        let first = sizes.windows(count).position(balanced)?;
        Some(first..first + count)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_merged_when_none_outweighs_the_others() {
        assert_eq!(worthwhile(&[100, 100, 100]), None);
        assert_eq!(worthwhile(&[100, 120, 110, 100]), Some(0..4));
        assert_eq!(worthwhile(&[5000, 100, 120, 110]), None);
        assert_eq!(worthwhile(&[5000, 100, 120, 110, 100]), Some(1..5));
    }

    #[test]
    fn as_many_are_merged_as_memory_allows_and_two_at_the_least() {
        let sizes = [(1000, 10); 8];
        assert_eq!(affordable_count(&sizes, 1 << 20), 8);
        assert_eq!(affordable_count(&sizes, 8000), 3); // 4 pages that wait, and 1020 bytes of each
        assert_eq!(affordable_count(&sizes, 10), 2);
        assert_eq!(affordable_count(&sizes[..1], 10), 1);
        assert_eq!(affordable_count(&[(10, 0), (10, 0), (1_000_000, 0)], 10_000), 2);
    }

    #[test]
    fn the_number_of_segments_grows_with_the_logarithm_whatever_their_sizes() {
        let mut random = 1u64;
        let mut sizes: Vec<usize> = Vec::new();
        let (mut rewritten, mut added) = (0, 0);
        for _ in 0..20_000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let size = 1 << (random >> 60);
            added += size;
            sizes.push(size);
            while let Some(range) = worthwhile(&sizes) {
                let merged: usize = sizes[range.clone()].iter().sum();
                rewritten += merged;
                sizes.splice(range, [merged]);
            }
            assert!(sizes.len() < 60, "{} segments: {sizes:?}", sizes.len());
        }
        assert!(rewritten / added < 20, "each byte was rewritten {} times", rewritten / added);
    }
}
