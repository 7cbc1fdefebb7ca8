//! The compactor: the background thread that merges segments, so that queries read few and large ones.
//!
//! Neighbours in age are merged when there are enough of them and none of them is larger than the others together.
//! So a row's segment at least doubles each time that the row is rewritten, and the number of segments grows with the
//! logarithm of the data.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use crossbeam::channel::Receiver;

use crate::disk;
use crate::error::{Error, Result};
use crate::manifest::{ManifestFile, SegmentId};
use crate::merge::{Merge, Source};
use crate::rows::Rows;
use crate::scan::Filter;
use crate::segment::{Segment, SegmentWriter};
use crate::view::View;
use crate::writer::Answer;

/// Fewer neighbours than this are not worth a merge.
const SEGMENTS_MIN: usize = 4;

/// What the compactor is asked to do.
pub(crate) enum Compact {
    /// Merge where enough segments of about the same size have come together.
    IfWorthwhile,
    /// Merge all segments into one; answered when that is done.
    All { answer: Answer },
}

/// The compactor's own state.
pub(crate) struct Compactor {
    pub dir: PathBuf,
    pub page_rows: usize,
    pub manifest: Arc<ManifestFile>,
    pub view: Arc<ArcSwap<View>>,
    pub orders: Receiver<Compact>,
    /// Set when the store closes: a merge under way is given up, its inputs are still there.
    pub closing: Arc<AtomicBool>,
}

impl Compactor {
    /// Works until nobody can give orders any more.
    pub(crate) fn run(self) {
        while let Ok(order) = self.orders.recv() {
            match order {
                Compact::IfWorthwhile => self.compact_worthwhile(),
                Compact::All { answer } => {
                    let segments = self.view.load().segments.clone();
                    let outcome = if segments.len() > 1 { self.compact(&segments) } else { Ok(()) };
                    let _ = answer.send(outcome); // whoever asked may have gone away
                }
            }
        }
    }

    /// Merges until nothing is worth it. After a failure waits for the next occasion: nothing is lost by it.
    fn compact_worthwhile(&self) {
        loop {
            let segments = self.view.load().segments.clone();
            let sizes: Vec<usize> = segments.iter().map(|segment| segment.file_bytes()).collect();
            let Some(range) = worthwhile(&sizes) else { return };
            match self.compact(&segments[range]) {
                Ok(()) => {}
                Err(Error::Closed) => return,
                Err(error) => return tracing::error!("compaction failed and is tried after the next seal: {error}"),
            }
        }
    }

    /// Merges neighbours in age into one segment, which takes their place at one instant.
    fn compact(&self, inputs: &[Arc<Segment>]) -> Result<()> {
        let merged = self.merge(inputs)?;
        let ids: BTreeSet<SegmentId> = inputs.iter().map(|segment| segment.id()).collect();
        self.manifest.update(|manifest| {
            manifest.segments.retain(|id| !ids.contains(id));
            manifest.segments.push(merged.id());
            manifest.segments.sort_unstable();
        })?;
        self.view.rcu(|view| {
            let mut view = View::clone(view);
            view.segments.retain(|segment| !ids.contains(&segment.id()));
            view.segments.push(merged.clone());
            view.segments.sort_unstable_by_key(|segment| segment.id());
            view
        });
        // Scans that have begun keep reading what they have mapped.
        inputs.iter().for_each(|segment| disk::remove_leftover(segment.path()));
        Ok(())
    }

    fn merge(&self, inputs: &[Arc<Segment>]) -> Result<Arc<Segment>> {
        let number = inputs.iter().map(|segment| segment.id().number).max().expect("something to merge");
        let generation = inputs.iter().map(|segment| segment.id().generation).max().expect("something to merge") + 1;
        let mut writer = SegmentWriter::create(&self.dir, SegmentId { number, generation })?;
        let tables: BTreeSet<u32> = inputs.iter().flat_map(|segment| segment.tables()).collect();
        for table in tables {
            let kinds: BTreeMap<u32, _> = inputs.iter().flat_map(|segment| segment.fields(table).to_vec()).collect();
            let (fields, kinds): (Vec<u32>, Vec<_>) =
                kinds.iter().map(|(field, kind)| (*field, (*field, *kind))).unzip();
            writer.start_table(table, &kinds);
            let source = |segment: &Arc<Segment>| -> Source<'_> {
                let (segment, fields) = (segment.clone(), &fields);
                let pages = segment.pages(table, &Filter::ALL).into_iter();
                Box::new(pages.map(move |page| segment.read(table, &page, fields, &Filter::ALL)))
            };
            let mut waiting = Rows::empty(fields.len());
            for rows in Merge::new(inputs.iter().map(source).collect()) {
                if self.closing.load(Ordering::Relaxed) {
                    return Err(Error::Closed);
                }
                waiting = waiting.followed_by(&rows?);
                while waiting.len() >= self.page_rows {
                    writer.page(&waiting.slice(0..self.page_rows))?;
                    waiting = waiting.slice(self.page_rows..waiting.len());
                }
            }
            if waiting.len() > 0 {
                writer.page(&waiting)?;
            }
        }
        writer.finish()
    }
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
