//! The other end of the door: what talks to a running server.
//!
//! | module | what it does |
//! | --- | --- |
//! | [`asking`] | requests over HTTP or HTTPS, with the token in `FOURNINES_TOKEN` |
//! | [`import`] | files into a server, in pieces that are durable one by one |
//! | [`forward`] | files of a spool to another server, in order, until it has them |
//!
//! Nothing here prints: whoever calls shows what there is to be seen.

pub mod asking;
pub mod forward;
pub mod import;
