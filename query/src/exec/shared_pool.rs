//! The memory of a runner, as DataFusion asks for it: what SQL holds counts with what other languages hold.

use std::fmt;
use std::sync::Arc;

use datafusion::common::resources_datafusion_err;
use datafusion::error::Result;
use datafusion::execution::memory_pool::{
    MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation, human_readable_size,
};
use runner::{Full, Holder, Memory};

/// A pool that all queries share.
#[derive(Debug)]
pub(crate) struct SharedPool(Arc<Memory>);

impl SharedPool {
    pub(crate) fn new(memory: Arc<Memory>) -> SharedPool {
        SharedPool(memory)
    }
}

fn holder(reservation: &MemoryReservation) -> Holder {
    if reservation.consumer().can_spill() { Holder::Spiller } else { Holder::Fixed }
}

impl fmt::Display for SharedPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shared(pool_size: {})", human_readable_size(self.0.bytes_max()))
    }
}

impl MemoryPool for SharedPool {
    fn name(&self) -> &str {
        "shared"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.0.enter_spiller();
        }
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        if consumer.can_spill() {
            self.0.leave_spiller();
        }
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.0.take_anyway(holder(reservation), additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.0.give_back(holder(reservation), shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let has = reservation.size();
        self.0.take(holder(reservation), has, additional).map_err(|Full { available }| {
            resources_datafusion_err!(
                "{} holds {} and asked for {} more, of which {} are left",
                reservation.consumer().name(),
                human_readable_size(has),
                human_readable_size(additional),
                human_readable_size(available)
            )
        })
    }

    fn reserved(&self) -> usize {
        self.0.held()
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.0.bytes_max())
    }
}
