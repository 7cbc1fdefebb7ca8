//! Samples of the store: which tables and fields a metric is, and their rows as samples.

mod catalog;
mod native;
mod places;
mod predicates;
mod read;
mod side_by_side;

pub use catalog::{Cardinality, cardinality, label_values, names_of_series, series, values_of_series};
pub use native::HistogramRow;
pub use places::Metrics;
pub use read::Stored;
