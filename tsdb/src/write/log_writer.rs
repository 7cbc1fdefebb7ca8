//! The writer: the one thread that appends to the log, syncs it, and publishes to the head.
//!
//! Requests reach it through a bounded lock-free ring. It takes all that wait, writes them with one call, syncs
//! once, makes them visible, and only then acknowledges each. No other thread touches the log.

use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam::channel::{RecvTimeoutError, Sender};
use tokio::sync::oneshot;

use crate::base::error::{Error, Result};
use crate::base::fault::fault;
use crate::base::options::Durability;
use crate::catalog::change::Change;
use crate::catalog::deletion::Deletion;
use crate::files::block::{self, Kind};
use crate::files::data_dir::AppendFile;
use crate::log::head::{Entry, Head};
use crate::log::wal::{self, CatalogLog};
use crate::state::shared::Shared;
use crate::state::view::View;
use crate::write::ring::Taker;

/// The most bytes that one group commit writes.
const GROUP_BYTES_MAX: usize = 16 * 1024 * 1024;
/// How often the log is synced when acknowledgements do not wait for it.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Where an answer goes.
pub(crate) type Waiter = oneshot::Sender<Result<()>>;

/// A head to seal if there is one, and somebody to tell that all heads up to here are sealed.
pub(crate) struct Seal {
    pub head: Option<Arc<Head>>,
    pub answer: Option<Waiter>,
}

/// What the writer is asked to do.
#[derive(Debug)]
pub(crate) enum Order {
    /// Store rows; answered when they are durable and visible.
    Write { entries: Vec<Entry>, answer: Waiter },
    /// Hide older rows; answered when that is durable and visible.
    Delete { deletion: Deletion, answer: Waiter },
    /// Drop something; answered when that is durable and visible.
    Drop { change: Change<'static>, answer: Waiter },
    /// Seal the head; answered when the segment is durable and visible.
    Flush { answer: Waiter },
    /// Sync what is there and end.
    Close,
}

/// The writer's own state.
pub(crate) struct LogWriter {
    pub shared: Arc<Shared>,
    pub catalog_log: CatalogLog,
    pub log: AppendFile,
    pub head: Arc<Head>,
    pub orders: Taker<Order>,
    pub seals: Sender<Seal>,
    /// Why nothing can be written any more; set by the first failed write or sync, for good.
    pub broken: Option<String>,
    /// When the log was last known to be synced, if something was written since.
    pub unsynced_since: Option<Instant>,
}

impl LogWriter {
    /// Works until it is told to close or nobody can give orders any more; returns how the last sync went.
    pub(crate) fn run(mut self) -> Result<()> {
        loop {
            let mut next = match self.orders.receiver.recv_timeout(SYNC_INTERVAL) {
                Ok(order) => Some(order),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Order::Close),
            };
            while let Some(order) = next {
                next = match order {
                    Order::Write { entries, answer } => self.write_group(entries, answer),
                    Order::Delete { deletion, answer } => {
                        let _ = answer.send(self.delete(deletion)); // whoever asked may have gone away
                        None
                    }
                    Order::Drop { change, answer } => {
                        let _ = answer.send(self.drop(change));
                        None
                    }
                    Order::Flush { answer } => {
                        self.rotate(Some(answer));
                        None
                    }
                    Order::Close => return self.sync(),
                };
            }
            if self.unsynced_since.is_some_and(|since| since.elapsed() >= SYNC_INTERVAL) {
                drop(self.sync());
            }
        }
    }

    /// Writes these rows and those of all writes that wait. Returns the order that ended the group, if one did.
    fn write_group(&mut self, entries: Vec<Entry>, answer: Waiter) -> Option<Order> {
        let (mut entries, mut answers, mut interruption) = (entries, vec![answer], None);
        let mut bytes: usize = entries.iter().map(|entry| entry.block().len()).sum();
        while bytes < GROUP_BYTES_MAX {
            match self.orders.receiver.try_recv() {
                Ok(Order::Write { entries: more, answer }) => {
                    bytes += more.iter().map(|entry| entry.block().len()).sum::<usize>();
                    entries.extend(more);
                    answers.push(answer);
                }
                Ok(other) => {
                    interruption = Some(other);
                    break;
                }
                Err(_) => break,
            }
        }
        // From here on it is the group's size that bounds them.
        self.orders.taken(bytes);
        let blocks: Vec<_> = entries.iter().map(|entry| IoSlice::new(entry.block())).collect();
        let outcome = self.commit(&blocks);
        if outcome.is_ok() {
            self.shared.counters.committed(entries.iter().map(Entry::rows).sum(), bytes, answers.len());
            entries.into_iter().for_each(|entry| self.head.push(entry));
        }
        for answer in answers {
            let _ = answer.send(outcome.clone()); // a client that went away needs no answer
        }
        self.rotate_when_full();
        interruption
    }

    fn delete(&mut self, deletion: Deletion) -> Result<()> {
        let block = block::wrap(&deletion.encode(), Kind::Deletion);
        self.commit(&[IoSlice::new(&block)])?;
        self.head.push(Entry::Deletion(deletion.into()));
        self.rotate_when_full();
        Ok(())
    }

    /// Makes a change of the catalogue durable, and then visible. What others grow meanwhile is of the time before.
    fn drop(&mut self, change: Change<'_>) -> Result<()> {
        self.unless_broken(|writer| writer.commit_catalog(Some(change)))?;
        self.shared.catalog.replay(change).expect("what is dropped was found in the catalogue");
        Ok(())
    }

    /// Makes blocks durable, and before them the catalogue's changes that they may refer to.
    fn commit(&mut self, blocks: &[IoSlice<'_>]) -> Result<()> {
        self.unless_broken(|writer| writer.try_commit(blocks))
    }

    fn unless_broken(&mut self, commit: impl FnOnce(&mut LogWriter) -> Result<()>) -> Result<()> {
        if let Some(reason) = &self.broken {
            return Err(Error::ReadOnly { reason: reason.clone() });
        }
        if let Some(name) = self.shared.counters.ended() {
            // Without the sealer heads would pile up, without the keeper segments.
            return Err(Error::ReadOnly { reason: format!("its thread '{name}' ended; the log says why") });
        }
        fault("writer");
        let outcome = commit(self);
        match &outcome {
            Ok(()) | Err(Error::DiskFull { .. }) => {}
            // What the file holds now is not known: nothing more is written to it, and no sync is tried again.
            Err(error) => self.break_off(error),
        }
        outcome
    }

    fn try_commit(&mut self, blocks: &[IoSlice<'_>]) -> Result<()> {
        self.commit_catalog(None)?;
        let bytes = blocks.iter().map(|block| block.len() as u64).sum();
        let mark = wal::group_mark(self.log.synced(), bytes);
        let mut parts: Vec<_> = std::iter::once(IoSlice::new(&mark)).chain(blocks.iter().copied()).collect();
        self.log.append(&mut parts)?;
        match self.shared.options.durability {
            Durability::Sync => {
                let start = Instant::now();
                let outcome = self.log.sync();
                self.shared.counters.sync_ns.record(start.elapsed().as_nanos() as u64);
                outcome
            }
            Durability::Process => {
                self.unsynced_since.get_or_insert_with(Instant::now);
                Ok(())
            }
        }
    }

    /// Makes the catalogue's changes durable, and one more.
    fn commit_catalog(&mut self, last: Option<Change<'_>>) -> Result<()> {
        let pending = self.shared.catalog.take_pending();
        let mut block = pending.changes.clone();
        last.iter().for_each(|change| change.encode(&mut block));
        if block.is_empty() {
            return Ok(());
        }
        let block = block::wrap(&block, Kind::Catalog);
        match self.catalog_log.append(&block) {
            Ok(()) => self.shared.catalog.made_durable(&pending),
            Err(error) => {
                self.shared.catalog.return_pending(pending);
                return Err(error);
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        self.unsynced_since = None;
        if self.broken.is_some() {
            return Ok(()); // whoever waited for what is not synced was told so
        }
        self.log.sync().inspect_err(|error| self.break_off(error))
    }

    fn break_off(&mut self, error: &Error) {
        tracing::error!("the store takes no more writes until it is reopened: {error}");
        self.broken = Some(error.to_string());
        self.shared.counters.set_read_only();
    }

    fn rotate_when_full(&mut self) {
        if self.head.bytes() >= self.shared.options.head_bytes_max {
            self.rotate(None);
        }
    }

    /// Gives the head to the sealer and starts a new one, with a new log file. An empty head stays.
    fn rotate(&mut self, answer: Option<Waiter>) {
        let head = match self.head.is_empty() {
            true => Ok(None),
            false => self.change_head().map(Some),
        };
        match head {
            // Waits while the sealer is behind: the ring fills up, and requests are told to come back.
            Ok(head) => drop(self.seals.send(Seal { head, answer })),
            Err(error) => {
                tracing::error!("the head cannot be sealed: {error}");
                if let Some(answer) = answer {
                    let _ = answer.send(Err(error));
                }
            }
        }
    }

    /// Starts a new head and returns the old one.
    fn change_head(&mut self) -> Result<Arc<Head>> {
        self.sync()?;
        let number = self.head.number + 1;
        self.log = wal::create(&self.shared.dir, number)?;
        let new = Arc::new(Head::new(number, Vec::new()));
        self.shared.view.rcu(|view| {
            let mut view = View::clone(view);
            view.heads.push(new.clone());
            view
        });
        Ok(std::mem::replace(&mut self.head, new))
    }
}
