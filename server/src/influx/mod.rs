//! What clients of InfluxDB 1, 2 and 3 ask beside writing: who is there, which databases there are, make one. Rows are
//! asked for in SQL; what InfluxQL and Flux ask of them is refused with a word about that.
//!
//! A database, a bucket and a schema are one thing here. It is there once it has a row; one that was made is listed
//! from then on, too, until the server ends. Organisations, retention policies and users are not told apart.

mod buckets;
mod delete;
mod influxql;
mod statements;

use std::collections::BTreeSet;

use hyper::Response;
use hyper::header::{HeaderName, HeaderValue};
use query::endpoint::Body;
use tsdb::DEFAULT_SCHEMA;

use crate::answer::respond;
use crate::call::{Call, Services};

pub(crate) use buckets::{buckets, configure_database, organisations};
pub(crate) use delete::delete;
pub(crate) use statements::query;

/// The version whose paths `/ping`, `/write` and `/query` are: what clients take for the server's own.
const VERSION: &str = "1.8.10";
/// So many schemas are remembered that were made and have no row.
const MADE_MAX: usize = 1000;

/// `GET /ping`, what clients ask first.
pub(crate) async fn ping(call: Call) -> Response<Body> {
    let is_verbose = call.request.uri().query().is_some_and(|query| query.contains("verbose=true"));
    let response = match is_verbose {
        true => crate::answer::json(hyper::StatusCode::OK, &serde_json::json!({ "version": VERSION })),
        false => respond(hyper::StatusCode::NO_CONTENT, "text/plain", String::new()),
    };
    signed(response)
}

/// An answer that says who gives it, as InfluxDB does.
fn signed(mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("x-influxdb-version"), HeaderValue::from_static(VERSION));
    let build = HeaderValue::from_static(concat!("fournines ", env!("CARGO_PKG_VERSION")));
    headers.insert(HeaderName::from_static("x-influxdb-build"), build);
    response
}

/// The schemas that there are.
fn schemas(services: &Services) -> BTreeSet<String> {
    let mut schemas = services.made.lock().expect("nothing panics while it holds this").clone();
    schemas.insert(DEFAULT_SCHEMA.to_owned());
    schemas.extend(services.store.tables().map(|(schema, _)| schema.to_owned()));
    schemas
}

/// Makes a schema; was it not there before?
///
/// # Errors
///
/// Why it cannot be.
fn make_schema(services: &Services, name: &str) -> Result<bool, String> {
    ingest::write::check_schema(name)?;
    if schemas(services).contains(name) {
        return Ok(false);
    }
    let mut made = services.made.lock().expect("nothing panics while it holds this");
    // It is made by its first row all the same.
    if made.len() < MADE_MAX {
        made.insert(name.to_owned());
    }
    Ok(true)
}
