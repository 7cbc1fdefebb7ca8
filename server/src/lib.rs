//! The one door: everything that comes in over HTTP passes here.
//!
//! | module | what is in it |
//! | --- | --- |
//! | [`Server`] | connections: how many, how long, over TLS or not |
//! | `routes` | the table of paths: what each takes, which scope it needs, who answers |
//! | `door` | who is let in: tokens, hosts, origins |
//! | [`tokens`], [`tls`] | the files beside the data that say who may come, and over which certificate |
//! | `health`, `ingesting`, `admin` | what answers; SQL is answered by [`query::endpoint`] |
//! | `influx` | what clients of InfluxDB ask when they start |
//! | `prometheus` | what clients of Prometheus ask |
//! | [`metrics`] | what is counted |
//!
//! A path that is not in the table is refused, and one that is names its scope: nothing comes in because a list was
//! forgotten.

mod admin;
mod answer;
mod call;
mod connections;
mod door;
mod drops;
mod grpc;
mod head_timed;
mod health;
mod heartbeats;
mod influx;
mod ingesting;
pub mod metrics;
mod prometheus;
mod routes;
mod silences;
pub mod snapshots;
pub mod tls;
pub mod tokens;

pub use connections::{Neighbours, Options, Server};
pub use prometheus::PromqlOptions;
