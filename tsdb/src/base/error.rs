//! What can go wrong, with the evidence: which file, which offset, what was expected.

use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why the store could not do what it was asked to.
///
/// Cloneable, because one failed group commit answers every request that waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The operating system refused a file operation.
    #[error("{action} {path}: {source}")]
    Io {
        /// What was tried, as a verb: "read", "sync".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's own reason.
        source: Arc<std::io::Error>,
    },
    /// Bytes on disk are not what was written.
    #[error("{path} is damaged at byte {offset}: {reason}")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What was expected and what was found.
        reason: String,
    },
    /// A later version of fournines wrote the file. It is left as it is.
    #[error("{path} is of format version {version}; this build reads versions 1 to {newest}; open it with a newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format version.
        version: u32,
        /// The newest version that can be read.
        newest: u32,
    },
    /// Another process has the data directory open.
    #[error("{path} is open in another process; stop it, or ask it over HTTP")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// What waits for the writer is as much as may wait: try again shortly.
    #[error("the store is busy: {reason}; try again shortly")]
    Busy {
        /// Which limit is reached, and its knob.
        reason: String,
    },
    /// The disk has no room; nothing was written. Writes resume by themselves when there is room.
    #[error("no room on the disk for {path}: the rows were not written")]
    DiskFull {
        /// The log file.
        path: PathBuf,
    },
    /// An earlier write or sync failed: the store takes no writes until it is opened again.
    #[error("the store takes no writes until it is reopened, because: {reason}")]
    ReadOnly {
        /// The failure that latched it.
        reason: String,
    },
    /// The store was closed.
    #[error("the store is closed")]
    Closed,
    /// No such table.
    #[error("there is no table {schema}.{table}")]
    UnknownTable {
        /// The schema that was asked for.
        schema: String,
        /// The table that was asked for.
        table: String,
    },
    /// A pattern is no regular expression.
    #[error("'{pattern}' is no regular expression: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No such column.
    #[error("table {table} has no column {column}")]
    UnknownColumn {
        /// The table.
        table: String,
        /// The column that was asked for.
        column: String,
    },
    /// A tag is dropped with its table only.
    #[error(
        "'{tag}' is a tag of '{table}', which tells its series apart and cannot be dropped: expected a field; rows can be deleted, and the table be dropped"
    )]
    IsTag {
        /// The table.
        table: String,
        /// The tag.
        tag: String,
    },
    /// A column that cannot be reckoned with.
    #[error("column {column} of table {table} is {kind}, no number")]
    NoNumber {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: crate::base::value::FieldType,
    },
    /// A sum has no value in the type of its field.
    #[error(
        "the sum of column {column} of table {table} is beyond {kind}: expected avg({column}), or the sum of {column} as a float"
    )]
    SumOverflow {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: crate::base::value::FieldType,
    },
    /// A rollup cannot be declared.
    #[error("rollup '{name}': {reason}")]
    Rollup {
        /// What it is called.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A field is compared with a value of another type.
    #[error("column '{column}' of '{table}' is {kind} and is compared with {with}")]
    NotComparable {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// Its type.
        kind: crate::base::value::FieldType,
        /// The type of the value.
        with: crate::base::value::FieldType,
    },
}

/// The result of a store operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Did the system refuse because the disk, or what its user may have of it, is used up?
pub(crate) fn is_disk_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded)
}

impl Error {
    /// Is it that the disk, or what its user may have of it, is used up?
    pub(crate) fn is_disk_full(&self) -> bool {
        match self {
            Error::DiskFull { .. } => true,
            Error::Io { source, .. } => is_disk_full(source),
            _ => false,
        }
    }

    pub(crate) fn corrupt(path: &Path, offset: u64, reason: impl Into<String>) -> Error {
        Error::Corrupt { path: path.to_owned(), offset, reason: reason.into() }
    }
}

/// Adds what was tried, and on which file, to an I/O error.
pub(crate) trait IoContext<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T>;
}

impl<T> IoContext<T> for std::io::Result<T> {
    fn on(self, action: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error::Io { action, path: path.to_owned(), source: Arc::new(source) })
    }
}

/// Why one row was refused; the rows around it are not touched by that.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RowError {
    /// A field's type is fixed by its first write.
    #[error("field '{column}' of '{table}' is {known}, this row has {got}")]
    FieldType {
        /// The table.
        table: String,
        /// The field.
        column: String,
        /// The type that its first write fixed.
        known: crate::base::value::FieldType,
        /// The type in the refused row.
        got: crate::base::value::FieldType,
    },
    /// One name cannot be both a tag and a field.
    #[error("'{column}' of '{table}' is a {known}, this row uses it as a {got}")]
    ColumnKind {
        /// The table.
        table: String,
        /// The column.
        column: String,
        /// `tag` or `field`, as first written.
        known: &'static str,
        /// `tag` or `field`, as in the refused row.
        got: &'static str,
    },
    /// `time` is the timestamp's column.
    #[error("'time' is the timestamp's name; a {kind} cannot be called so")]
    ReservedName {
        /// `tag` or `field`.
        kind: &'static str,
    },
    /// The same tag twice in one row.
    #[error("tag '{tag}' stands twice")]
    DuplicateTag {
        /// The tag.
        tag: String,
    },
    /// The batch does not take rows of this series.
    #[error("{reason}")]
    NotAdmitted {
        /// Why not.
        reason: String,
    },
    /// A row without a field says nothing.
    #[error("a row needs at least one field")]
    NoFields,
    /// An empty measurement, tag, field name or tag value.
    #[error("an empty {what} is not allowed")]
    Empty {
        /// What was empty.
        what: &'static str,
    },
    /// A name with an end of a line or the like in it, which no terminal, header or file could show as it is.
    #[error("the name of a {what} has a control character: {name:?}")]
    ControlCharacter {
        /// What is called so.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The table has as many columns as a table may have.
    #[error("'{table}' has {limit} columns, a table has no more (store.columns_max): '{column}' is not added")]
    TooManyColumns {
        /// The table.
        table: String,
        /// The column that would be one too many.
        column: String,
        /// The limit.
        limit: usize,
    },
    /// The series that are known take as much memory as they may; rows of these are still taken.
    #[error(
        "a new series of '{table}' is refused: those that are known take {limit} bytes of memory, which is store.catalog_max"
    )]
    CatalogFull {
        /// The table.
        table: String,
        /// The limit in bytes ([`Options::catalog_bytes_max`](crate::Options::catalog_bytes_max)).
        limit: usize,
    },
    /// A table has as many series as one may have; rows of these are still taken.
    #[error("a new series of '{table}' is refused: it has {limit}, which is store.table_series_max")]
    TooManySeries {
        /// The table.
        table: String,
        /// The limit.
        limit: u32,
    },
    /// A series with more tags than one may have.
    #[error("a series of '{table}' with {tags} tags: the limit is {limit} (store.tags_max)")]
    TooManyTags {
        /// The table.
        table: String,
        /// The tags of the refused row.
        tags: usize,
        /// The limit.
        limit: usize,
    },
    /// The values of a tag have together as many bytes as Arrow's offsets reach.
    #[error("tag '{tag}' has more values than fit (2 GiB of text)")]
    TooManyTagValues {
        /// The tag.
        tag: String,
    },
    /// Columns that are not rows of one table.
    #[error("the columns do not fit together: {reason}")]
    Columns {
        /// What does not fit.
        reason: String,
    },
    /// The batch would take too much memory: too many rows with too many different fields.
    #[error(
        "the request is too large: rows times columns reach {limit} values (store.batch_values_max); send it in parts"
    )]
    BatchTooLarge {
        /// The limit, in values.
        limit: usize,
    },
    /// Rows of that time have left by retention.
    #[error("'{table}' keeps rows from {} on (store.retention); this row is older", instant(*floor))]
    BeforeRetention {
        /// The table.
        table: String,
        /// The first time that it keeps, ns since the epoch.
        floor: i64,
    },
    /// The table of a series was dropped since the series was looked up.
    #[error("'{table}' was dropped meanwhile; its series have to be named once more")]
    Dropped {
        /// The table.
        table: String,
    },
    /// A name or tag value over its limit.
    #[error("{what} has {bytes} bytes, the limit is {limit} ({knob})")]
    TooLong {
        /// What was too long.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit in bytes.
        limit: usize,
        /// The knob that moves it.
        knob: &'static str,
    },
}

impl RowError {
    /// One word for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            RowError::FieldType { .. } => "field_type",
            RowError::ColumnKind { .. } => "column_kind",
            RowError::ReservedName { .. }
            | RowError::DuplicateTag { .. }
            | RowError::Empty { .. }
            | RowError::ControlCharacter { .. } => "name",
            RowError::NotAdmitted { .. } => "not_admitted",
            RowError::NoFields => "no_fields",
            RowError::Columns { .. } => "columns",
            RowError::TooManyColumns { .. }
            | RowError::TooManyTags { .. }
            | RowError::TooManyTagValues { .. }
            | RowError::TooLong { .. }
            | RowError::BatchTooLarge { .. } => "limit",
            RowError::CatalogFull { .. } | RowError::TooManySeries { .. } => "series_limit",
            RowError::BeforeRetention { .. } => "retention",
            RowError::Dropped { .. } => "dropped",
        }
    }
}

/// A time as people write it.
fn instant(ns: i64) -> String {
    jiff::Timestamp::from_nanosecond(ns.into()).expect("years are far beyond ns in 64 bits").to_string()
}
