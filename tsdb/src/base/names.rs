//! Names that mean something everywhere.

/// The name of the timestamp's column.
pub const TIME_COLUMN: &str = "time";
/// The schema of a write that names none.
pub const DEFAULT_SCHEMA: &str = "public";
