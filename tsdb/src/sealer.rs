//! The sealer: the background thread that turns heads into segments.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use crossbeam::channel::{Receiver, Sender};

use crate::catalog::Catalog;
use crate::compactor::Compact;
use crate::disk;
use crate::error::{Error, Result};
use crate::frame::Frame;
use crate::frame_rows::FrameRows;
use crate::head::Head;
use crate::log;
use crate::manifest::{ManifestFile, SegmentId};
use crate::scan::Filter;
use crate::segment::{Segment, SegmentWriter};
use crate::view::View;
use crate::writer::Answer;

/// How long the sealer waits before it tries again what failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A head to seal if there is one, and somebody to tell that all heads up to here are sealed.
pub(crate) struct Seal {
    pub head: Option<Arc<Head>>,
    pub answer: Option<Answer>,
}

/// The sealer's own state.
pub(crate) struct Sealer {
    pub dir: PathBuf,
    pub page_rows: usize,
    pub catalog: Arc<Catalog>,
    pub manifest: Arc<ManifestFile>,
    pub view: Arc<ArcSwap<View>>,
    pub seals: Receiver<Seal>,
    /// Told of every new segment.
    pub compactor: Sender<Compact>,
    /// Set when the store closes: a seal under way is given up, the log still has its rows.
    pub closing: Arc<AtomicBool>,
}

impl Sealer {
    /// Seals the heads of earlier runs, then works until the writer has ended.
    pub(crate) fn run(self, backlog: Vec<Arc<Head>>) {
        for head in backlog {
            self.seal_at_last(&head, None);
        }
        while let Ok(Seal { head, answer }) = self.seals.recv() {
            match head {
                Some(head) => self.seal_at_last(&head, answer),
                None => tell(answer, Ok(())),
            }
        }
    }

    /// Seals a head, again and again until it works or the store closes: nothing is lost by waiting, the log has
    /// the rows. Whoever waits for it is told of the first failure.
    fn seal_at_last(&self, head: &Arc<Head>, mut answer: Option<Answer>) {
        while !self.closing.load(Ordering::Relaxed) {
            match self.seal(head) {
                Ok(()) => return tell(answer, Ok(())),
                Err(Error::Closed) => break,
                Err(error) => {
                    tracing::error!("sealing failed and is tried again: {error}");
                    tell(answer.take(), Err(error));
                    std::thread::sleep(RETRY_INTERVAL);
                }
            }
        }
        tell(answer, Err(Error::Closed));
    }

    /// Writes a head as a segment, makes the manifest say so, shows it to queries, and drops the log file.
    fn seal(&self, head: &Arc<Head>) -> Result<()> {
        let segment = self.write_segment(head)?;
        self.manifest.update(|manifest| {
            manifest.segments.push(segment.id());
            manifest.first_log = head.number + 1;
        })?;
        self.view.rcu(|view| {
            let mut view = View::clone(view);
            view.heads.retain(|other| other.number != head.number);
            view.segments.push(segment.clone());
            view
        });
        disk::remove_leftover(&log::path(&self.dir, head.number));
        // If it is busy, it looks again anyway before it rests.
        let _ = self.compactor.try_send(Compact::IfWorthwhile);
        Ok(())
    }

    /// Nothing is tried again on a file that failed: every attempt writes a new one.
    fn write_segment(&self, head: &Head) -> Result<Arc<Segment>> {
        let mut writer = SegmentWriter::create(&self.dir, SegmentId { number: head.number, generation: 0 })?;
        let mut tables: Vec<u32> = head.frames().map(|frame| frame.table).collect();
        tables.sort_unstable();
        tables.dedup();
        for table in tables {
            let frames: Vec<Frame> = head.frames().filter(|frame| frame.table == table).cloned().collect();
            let known = self.catalog.table(table).expect("a frame is of a known table").columns();
            // A field that is in no frame of this head needs no place in the segment.
            let mut fields: Vec<u32> = frames.iter().flat_map(|frame| frame.fields().map(|(field, _)| field)).collect();
            fields.sort_unstable();
            fields.dedup();
            let kinds: Vec<_> = fields.iter().map(|field| (*field, known.fields[*field as usize].1)).collect();
            writer.start_table(table, &kinds);
            for rows in FrameRows::new(frames, fields, &Filter::ALL, self.page_rows) {
                if self.closing.load(Ordering::Relaxed) {
                    return Err(Error::Closed);
                }
                writer.page(&rows?)?;
            }
        }
        writer.finish()
    }
}

fn tell(answer: Option<Answer>, outcome: Result<()>) {
    if let Some(answer) = answer {
        let _ = answer.send(outcome); // whoever asked may have gone away
    }
}
