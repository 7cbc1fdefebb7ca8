//! An embedded time-series store: durable at acknowledgement, compressed, memory-mapped.
//!
//! Rows of a measurement become a table: tags that say what is measured, fields with what was measured, and a time.
//! [`Store`] is the face: open, write, scan, flush, close. It knows nothing of HTTP, SQL or probes.
//!
//! Inside, a value goes one way: [`Batch`] (rows become columns of a frame) -> ring -> writer (log, one sync for all
//! that wait) -> head -> sealer -> segment; a [`Scan`] reads head and segments as one table, as Arrow.
//! `docs/format.md` describes every file, ARCHITECTURE.md the whole.

mod admission;
mod aggregate;
mod aligned;
mod appender;
mod batch;
mod block;
mod bucket;
mod catalog;
mod cells;
mod change;
mod clock;
mod closed;
mod codec;
mod columns;
mod compactor;
mod cuts;
mod damage_list;
mod data_dir;
mod day;
mod deletion;
mod disk;
mod error;
mod fault;
mod field_predicate;
mod filter;
mod footer;
mod frame;
mod function;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod head;
mod head_rows;
mod health;
mod histogram;
mod ids;
mod json_file;
mod keeper;
mod last_rows;
mod limits;
mod log;
mod manifest;
mod map;
mod merge;
mod names;
mod newest;
mod options;
mod outliving;
mod owner;
mod parts;
mod published;
mod read_only_disk;
mod reading;
mod rebuild;
mod recovery;
mod retainer;
mod retention;
mod ring;
mod rolled;
mod roller;
mod rollup;
mod rollup_day;
mod rollup_file;
mod rollups;
mod row;
mod rows;
mod samples;
mod scan;
mod sealer;
mod segment;
mod segment_index;
mod segment_writer;
mod series_ref;
mod series_runs;
mod series_set;
mod shared;
mod sketch;
mod snapshot;
mod spellings;
mod stats;
mod store;
mod sweeper;
mod sync;
mod tag;
mod unit;
mod value;
mod verify;
mod view;
mod warnings;
mod writer;

pub use admission::Admission;
pub use aggregate::{Aggregate, AggregateRequest, Aggregation, Groups};
pub use appender::{AppendError, Writer};
pub use batch::Batch;
pub use bucket::{Bucket, Buckets, Calendar};
pub use columns::{Column, Columns};
pub use disk::{Disk, DiskFile, RealDisk};
pub use error::{Error, Result, RowError};
#[doc(hidden)]
pub use fault::fault;
pub use field_predicate::{Comparison, FieldPredicate, Literal};
pub use function::Function;
pub use histogram::{Histogram, Summary};
pub use limits::Limits;
pub use names::{DEFAULT_SCHEMA, TIME_COLUMN};
pub use options::{Durability, Options, PAGE_ROWS_MAX};
pub use owner::inherit_owner;
pub use parts::Part;
pub use retention::Retention;
pub use rollup::{Rollup, RollupState};
pub use row::Row;
pub use scan::{Batches, Scan, ScanRequest, Untagged};
pub use series_ref::SeriesRef;
pub use series_set::TagPredicate;
pub use sketch::Sketch;
pub use snapshot::restore;
pub use stats::{Stats, WriterStats};
pub use store::{Ack, Store, TableInfo};
pub use value::{FieldType, Value};
pub use verify::{Verification, verify, verify_on};
