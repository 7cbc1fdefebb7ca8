//! What makes the store durable and says what counts: the write-ahead log, the catalogue's log, the manifest, the marks
//! of a clean end and of damage; and the head, which holds what the log holds. It reads and writes its own files. Who
//! writes when is decided above.

pub(crate) mod closed;
pub(crate) mod damage_list;
pub(crate) mod head;
pub(crate) mod head_rows;
pub(crate) mod manifest;
pub(crate) mod wal;
