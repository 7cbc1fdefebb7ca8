//! `time_bucket_gapfill`: a row for every bucket of a span, also for those without rows; `locf` carries the last value
//! into gaps, `interpolate` draws a line over them. As in TimescaleDB and InfluxDB 3.
//!
//! An analyzer rule ([`find`]) puts a [`node::GapFill`] over the `GROUP BY`, so that no condition on buckets wanders
//! below it; an optimizer rule ([`span`]) tells it the span, once the conditions on time lie at the scan. Rows and
//! buckets only: the store is not known here.

mod exec;
mod filling;
mod find;
mod node;
mod span;

pub(crate) use find::FindGaps;
pub(crate) use node::GapPlanner;
pub(crate) use span::BoundGaps;
