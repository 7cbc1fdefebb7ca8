//! Opening, and what is done to a whole directory: recovery, making a manifest anew, verifying, snapshots.
//! It knows every file that there is.
//! Nothing here runs while the store is open, but the snapshot.

pub(crate) mod rebuild;
pub(crate) mod recovery;
pub(crate) mod snapshot;
pub(crate) mod verify;
