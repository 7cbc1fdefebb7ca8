//! The tables that mean something to more than one part of the house: what probes and agents write there, what SQL
//! reads, and what only the server may write.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`table`] | how a table is declared: tags, fields, types, units |
//! | [`tables`] | the tables, one a file |
//! | [`mod@reserved`] | names that agents cannot write to |
//! | [`metric`] | how labels and values of metrics are spelled as columns |
//! | [`instant`] | times as people write them |
//! | [`duration`] | durations as people write them |
//!
//! Nothing here does anything. A table is declared once, and whoever writes or reads it takes the names from here.

pub mod duration;
pub mod instant;
pub mod metric;
pub mod reserved;
pub mod table;
pub mod tables;

pub use reserved::{Reserved, reserved};
pub use table::{Column, Table, Unit};
