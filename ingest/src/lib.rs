//! Wire formats in, rows out: what arrives over HTTP is decoded into a [`tsdb::Batch`] and stored.
//!
//! One file a format: [`line_protocol`], [`remote_write`], [`otlp`] and [`otlp_json`], [`exposition`], [`json_rows`],
//! [`csv_rows`], [`arrow_rows`], `annotated_csv`; [`write`](mod@write) is the request around them, [`admission`] what agents may write,
//! [`body`] what is common to all bodies, [`stats`] what is counted.

pub mod admission;
mod annotated_csv;
pub mod arrow_rows;
pub mod body;
pub mod csv_rows;
mod exemplar;
pub mod exposition;
#[cfg(any(fuzzing, test))]
pub mod fuzz;
mod json;
pub mod json_rows;
pub mod line_protocol;
pub mod metadata;
mod native_histogram;
mod number;
pub mod otlp;
pub mod otlp_json;
mod push_group;
pub mod remote_write;
pub mod report;
pub mod row_options;
mod rows;
pub mod samples;
mod scraped_series;
pub mod stats;
pub mod write;
