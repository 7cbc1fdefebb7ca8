//! An embedded time-series store: durable at acknowledgement, compressed, memory-mapped.
//!
//! Rows of a measurement become a table: tags that say what is measured, fields with what was measured, and a time.
//! [`Store`] is the face: open, write, scan, flush, close. It knows nothing of HTTP, SQL or probes.
//!
//! ```
//! use tsdb::{Options, Row, ScanRequest, Store, Value};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! let store = Store::open(dir.path(), Options::default())?;
//! let mut batch = store.batch("public");
//! let fields = [("ms", Value::F64(12.5))];
//! batch.push(&Row { measurement: "response", tags: &[("site", "portal")], time: 1_767_225_600_000_000_000, fields: &fields })?;
//! store.write(batch)?; // durable when this returns
//! let rows: usize = store.scan("public", "response", &ScanRequest::default())?.read_all().map(|batch| batch.unwrap().num_rows()).sum();
//! assert_eq!(rows, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! `examples/keep_and_ask.rs` asks with conditions.
//!
//! | | |
//! | --- | --- |
//! | write | [`Store::batch`] and [`Store::write`] or [`Store::submit`]; [`Store::appender`] for columns; [`Admission`] for whose rows are taken |
//! | read | [`Store::scan`], [`Store::aggregate`], [`Store::last_rows`] |
//! | keep | [`Options`], [`Retention`], [`Rollup`], [`Store::delete`] |
//! | look after | [`verify()`], [`restore`], [`Store::snapshot`], [`Store::stats`] |
//!
//! Inside, a value goes one way: [`Batch`] (rows become columns of a frame) -> ring -> writer (log, one sync for all
//! that wait) -> head -> sealer -> segment; a [`Scan`] reads head and segments as one table, as Arrow.
//! `docs/format.md` describes every file, ARCHITECTURE.md the whole.

mod appender;
mod base;
mod catalog;
mod codec;
mod files;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod log;
mod open;
mod read;
mod rolled;
mod rollup;
mod rows;
mod segment;
mod state;
mod store;
mod upkeep;
mod write;

pub use appender::{AppendError, Appender};
pub use base::admission::Admission;
pub use base::bucket::{Bucket, Buckets, Calendar};
pub use base::clock::now_ns;
pub use base::error::{Error, Result, RowError};
#[doc(hidden)]
pub use base::fault::fault;
pub use base::function::Function;
pub use base::histogram::{Histogram, Quantiles};
pub use base::limits::Limits;
pub use base::mark::{STALE_MARK, is_stale_mark};
pub use base::names::{DEFAULT_SCHEMA, TIME_COLUMN};
pub use base::options::{Durability, Options, PAGE_ROWS_MAX};
pub use base::retention::Retention;
pub use base::row::Row;
pub use base::series_ref::SeriesRef;
pub use base::text_pattern::{TextPattern, TextWithGaps};
pub use base::value::{FieldType, Value};
pub use catalog::field_predicate::{Comparison, FieldPredicate, Literal};
pub use catalog::rollup::{Rollup, RollupState};
pub use catalog::series_set::TagPredicate;
pub use files::disk::{Disk, DiskFile, RealDisk};
pub use files::map::let_go_of_maps;
pub use files::owner::inherit_owner;
pub use open::snapshot::restore;
pub use open::verify::{Verification, verify, verify_on};
pub use read::aggregate::{Aggregate, AggregateRequest, Aggregation, Groups};
pub use read::newest::Newest;
pub use read::parts::Part;
pub use read::scan::{Batches, Scan, ScanRequest, Untagged};
pub use rows::columns::{Column, Columns};
pub use rows::sketch::Sketch;
pub use state::stats::{Stats, WriterStats};
pub use store::{Ack, Store, TableInfo};
pub use write::batch::Batch;
