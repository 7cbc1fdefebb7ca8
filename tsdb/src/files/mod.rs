//! Files: the disk behind a trait, the data directory, blocks with checksums, maps, owners.
//! All bytes that the store keeps go through here, and nothing here knows what they mean.
//! What can be written by one file of another folder alone does not belong here.

pub(crate) mod aligned;
pub(crate) mod block;
pub(crate) mod data_dir;
pub(crate) mod disk;
pub(crate) mod json_file;
pub(crate) mod map;
pub(crate) mod owner;
pub(crate) mod read_only_disk;
