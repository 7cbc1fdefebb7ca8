//! Wire formats in, rows out: what arrives over HTTP is decoded into a [`tsdb::Batch`] and stored.
//!
//! One file a format ([`line_protocol`]), one for the request around it ([`write`](mod@write)), one for what is common to all
//! bodies ([`body`]).

pub mod body;
pub mod line_protocol;
mod number;
pub mod write;
