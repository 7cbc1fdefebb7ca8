//! Writing: a batch becomes frames, waits in the ring, and is made durable by the writer's one thread.
//! No other thread touches the log.
//! What happens to a head that is full is upkeep.

pub(crate) mod batch;
pub(crate) mod log_writer;
pub(crate) mod ring;
