//! What everything stands on: days, values, names, limits, errors, counters.
//! It knows nothing of files, rows or threads of the store, and nothing else of this crate.
//! What two folders need that know nothing of each other goes here, if it means something by itself.

pub(crate) mod admission;
pub(crate) mod bucket;
pub(crate) mod clock;
pub(crate) mod day;
pub(crate) mod error;
pub(crate) mod fault;
pub(crate) mod function;
pub(crate) mod histogram;
pub(crate) mod ids;
pub(crate) mod limits;
pub(crate) mod mark;
pub(crate) mod names;
pub(crate) mod options;
pub(crate) mod published;
pub(crate) mod retention;
pub(crate) mod row;
pub(crate) mod series_ref;
pub(crate) mod series_runs;
pub(crate) mod sync;
pub(crate) mod text_pattern;
pub(crate) mod value;
pub(crate) mod warnings;
