//! The sealer: the background thread that turns heads into segments.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender};

use crate::base::error::{Error, Result};
use crate::base::fault::fault;
use crate::base::ids::SegmentId;
use crate::base::value::FieldType;
use crate::catalog::filter::Filter;
use crate::codec::Effort;
use crate::log::head::{Entry, Head, frames_of};
use crate::log::head_rows::HeadRows;
use crate::log::wal;
use crate::segment::file::Segment;
use crate::segment::writer::SegmentWriter;
use crate::state::shared::Shared;
use crate::upkeep::keeper::Task;
use crate::upkeep::rollup_maker::Which;
use crate::upkeep::sweeper;
use crate::write::log_writer::{Seal, Waiter};

/// How long the sealer waits before it tries again what failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The sealer's own state.
pub(crate) struct Sealer {
    pub shared: Arc<Shared>,
    pub seals: Receiver<Seal>,
    /// Told of log files that are not needed any more.
    pub sweeps: Sender<PathBuf>,
    /// Told of every new segment.
    pub keeper: Sender<Task>,
}

impl Sealer {
    /// Seals the heads of earlier runs, then works until the writer has ended.
    pub(crate) fn run(self, backlog: Vec<Arc<Head>>) {
        for head in backlog {
            self.seal_at_last(&head, None);
        }
        while let Ok(Seal { head, answer }) = self.seals.recv() {
            fault("sealer");
            match head {
                Some(head) => self.seal_at_last(&head, answer),
                None => tell(answer, Ok(())),
            }
        }
    }

    /// Seals a head, again and again until it works or the store closes: nothing is lost by waiting, the log has
    /// the rows. Whoever waits for it is told of the first failure.
    fn seal_at_last(&self, head: &Arc<Head>, mut answer: Option<Waiter>) {
        while !self.shared.closing.load(Ordering::Relaxed) {
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
        let (id, number) = (segment.id(), head.number);
        self.shared.change(
            |manifest| {
                manifest.segments.push(id);
                manifest.first_log = number + 1;
            },
            |view| {
                view.segments.push(segment.clone());
                view.heads.retain(|other| other.number != number);
            },
        )?;
        self.shared.counters.sealed();
        sweeper::remove(&self.shared, &self.sweeps, wal::path(&self.shared.dir, number));
        // If it is busy, it looks again anyway before it rests.
        let _ = self.keeper.try_send(Task::Look(Which::Quiet));
        Ok(())
    }

    /// Nothing is tried again on a file that failed: every attempt writes a new one.
    fn write_segment(&self, head: &Head) -> Result<Arc<Segment>> {
        let shared = &self.shared;
        let id = SegmentId { number: head.number, generation: 0 };
        let mut writer = SegmentWriter::create(&shared.dir, id, head.number, shared.options.page_rows, Effort::Fast)?;
        let tables: BTreeSet<u32> = head.entries().flat_map(Entry::tables).collect();
        for table in tables {
            let (frames, deletions) = frames_of(head.entries(), table);
            let known = shared.catalog.table(table).expect("an entry is of a known table").columns();
            // A field that is in no frame of this head needs no place in the segment.
            let fields: BTreeSet<u32> =
                frames.iter().flat_map(|(frame, _)| frame.fields().map(|(field, _)| field)).collect();
            let fields: Vec<u32> = fields.into_iter().collect();
            let kinds: Vec<(u32, FieldType)> =
                fields.iter().map(|field| (*field, known.fields[*field as usize].1)).collect();
            let filtered = frames.into_iter().map(|(frame, without)| (frame, Filter::ALL.without(without)));
            let rows = Arc::new(HeadRows::new(filtered.collect()));
            for day in rows.days() {
                writer.start_section(table, day, &kinds)?;
                for rows in rows.read(day, &(0..=u32::MAX), fields.clone(), shared.options.page_rows) {
                    if shared.closing.load(Ordering::Relaxed) {
                        return Err(Error::Closed);
                    }
                    writer.push(rows?)?;
                }
            }
            deletions.into_iter().rev().for_each(|deletion| writer.delete(head.number, deletion));
        }
        writer.finish()
    }
}

fn tell(answer: Option<Waiter>, outcome: Result<()>) {
    if let Some(answer) = answer {
        let _ = answer.send(outcome); // whoever asked may have gone away
    }
}
