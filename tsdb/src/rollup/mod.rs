//! Days of rollups in files.
//! They are read and written here.
//! Which are made, and which answer, is decided above.

pub(crate) mod day;
pub(crate) mod file;
