//! Administration: what changes the store as a whole, and what says which time counts.

use std::collections::BTreeMap;

use domain::instant;
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use query::endpoint::Body;
use query::{Declaration, Engine, Entry, Kind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tsdb::{DEFAULT_SCHEMA, Store, TagPredicate, now_ns};

use crate::answer::{done, failed, json};
use crate::call::{Call, Services, whole};
use crate::snapshots;

pub(crate) async fn flush(call: Call) -> Response<Body> {
    administer(&call.services, |store| store.flush().map(|()| done())).await
}

pub(crate) async fn compact(call: Call) -> Response<Body> {
    administer(&call.services, |store| store.compact().map(|()| done())).await
}

pub(crate) async fn snapshot(call: Call) -> Response<Body> {
    let dir = call.services.data_dir.clone();
    let take = move |store: &Store| {
        let path = snapshots::take(store, &dir)?;
        Ok(serde_json::json!({ "status": "done", "path": path.display().to_string() }))
    };
    administer(&call.services, take).await
}

pub(crate) async fn accept_damage(call: Call) -> Response<Body> {
    let accept = |store: &Store| {
        store.accept_damage().map(|accepted| serde_json::json!({ "status": "done", "accepted": accepted }))
    };
    administer(&call.services, accept).await
}

/// Deletes rows: which ones stands in the body.
pub(crate) async fn delete(call: Call) -> Response<Body> {
    let example = r#"{"table":"cpu","from":"2026-11-01T00:00:00Z","to":"2026-11-02T00:00:00Z","tags":{"host":["a"]}}"#;
    let deletion: Deletion = match told(call.request, example).await {
        Ok(deletion) => deletion,
        Err(refusal) => return *refusal,
    };
    if deletion.to.0 <= deletion.from.0 {
        let reason = "to: expected a time after from: rows from 'from' on and before 'to' are deleted";
        return failed(StatusCode::BAD_REQUEST, reason);
    }
    administer(&call.services, move |store| {
        let tags: Vec<_> = deletion.tags.into_iter().map(|(tag, values)| TagPredicate::In(tag, values)).collect();
        let (from, to) = (deletion.from.0, deletion.to.0.saturating_sub(1));
        store.delete(&deletion.db, &deletion.table, from, to, &tags).map(|()| done())
    })
    .await
}

/// Adds time that does not count.
pub(crate) async fn exclude(call: Call, kind: Kind) -> Response<Body> {
    let example = r#"{"targets":"target = 'portal'","from":"2026-11-25T22:00:00Z","to":"2026-11-26T02:00:00Z","author":"J. Doe","reason":"upgrade"}"#;
    let told: Exclusion = match told(call.request, example).await {
        Ok(told) => told,
        Err(refusal) => return *refusal,
    };
    let from = told.from.map_or_else(now_ns, |from| from.0);
    let until = told.to.map(|to| to.0);
    let entry = Entry { from, until, targets: told.targets, author: told.author, reason: told.reason };
    ask_engine(&call.services, move |engine| {
        engine.exclude(&told.db, kind, &entry).map(|id| serde_json::json!({ "id": id }))
    })
    .await
}

/// Gives time that does not count another end.
pub(crate) async fn end_exclusion(call: Call, kind: Kind) -> Response<Body> {
    let told: End = match told(call.request, r#"{"id":"18ff3a9c01","to":"2026-11-26T01:10:00Z"}"#).await {
        Ok(told) => told,
        Err(refusal) => return *refusal,
    };
    let until = told.to.map_or_else(now_ns, |to| to.0);
    ask_engine(&call.services, move |engine| engine.end_exclusion(&told.db, kind, &told.id, until).map(|()| done()))
        .await
}

/// Declares a rollup.
pub(crate) async fn declare_rollup(call: Call) -> Response<Body> {
    let told: Declaration = match told(call.request, r#"{"measurement":"probe","interval":"1d","where":"up"}"#).await {
        Ok(told) => told,
        Err(refusal) => return *refusal,
    };
    let rollup = match told.rollup() {
        Ok(rollup) => rollup,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error.to_string()),
    };
    let name = rollup.name.clone();
    let declare = move |store: &Store| store.declare_rollup(rollup);
    administer(&call.services, move |store| declare(store).map(|()| serde_json::json!({ "name": name }))).await
}

/// Removes a rollup.
pub(crate) async fn remove_rollup(call: Call) -> Response<Body> {
    let told: Named = match told(call.request, r#"{"name":"probe_1d"}"#).await {
        Ok(told) => told,
        Err(refusal) => return *refusal,
    };
    administer(&call.services, move |store| store.remove_rollup(&told.name).map(|()| done())).await
}

/// Has the engine do what blocks, and answers when it is done.
async fn ask_engine(
    services: &Services,
    work: impl FnOnce(&Engine) -> Result<serde_json::Value, query::Error> + Send + 'static,
) -> Response<Body> {
    let engine = services.engine.clone();
    match tokio::task::spawn_blocking(move || work(&engine)).await {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(error @ query::Error::Statement(_))) => failed(StatusCode::BAD_REQUEST, &error.to_string()),
        Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Does work of the store's that blocks, and answers when it is done.
pub(crate) async fn administer(
    services: &Services,
    work: impl FnOnce(&Store) -> tsdb::Result<serde_json::Value> + Send + 'static,
) -> Response<Body> {
    let store = services.store.clone();
    match tokio::task::spawn_blocking(move || work(&store)).await {
        Ok(Ok(answer)) => json(StatusCode::OK, &answer),
        Ok(Err(error @ (tsdb::Error::UnknownTable { .. } | tsdb::Error::UnknownColumn { .. }))) => {
            failed(StatusCode::NOT_FOUND, &error.to_string())
        }
        Ok(Err(error @ (tsdb::Error::Rollup { .. } | tsdb::Error::IsTag { .. }))) => {
            failed(StatusCode::BAD_REQUEST, &error.to_string())
        }
        Ok(Err(error @ tsdb::Error::DiskFull { .. })) => failed(StatusCode::INSUFFICIENT_STORAGE, &error.to_string()),
        Ok(Err(error)) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// What `/api/v1/admin/delete` is told. The times must be said: nobody deletes everything by leaving something out.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deletion {
    #[serde(default = "default_schema")]
    db: String,
    table: String,
    /// The first time.
    from: Instant,
    /// Up to this time, which is not deleted itself.
    to: Instant,
    /// The values of each tag that all must have; no tags: all series.
    #[serde(default)]
    tags: BTreeMap<String, Vec<String>>,
}

/// What `/api/v1/admin/maintenance` and `exclusions` are told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exclusion {
    #[serde(default = "default_schema")]
    db: String,
    /// A condition on tags; none: all targets.
    #[serde(default)]
    targets: String,
    /// When it begins: now, unless told otherwise.
    from: Option<Instant>,
    /// When it ends, if that is known.
    to: Option<Instant>,
    author: String,
    reason: String,
}

/// Which entry ends when: now, unless told otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    #[serde(default = "default_schema")]
    db: String,
    id: String,
    to: Option<Instant>,
}

/// Which rollup.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Named {
    name: String,
}

/// What the body of an administrative request says, or why it cannot be read.
pub(crate) async fn told<T: DeserializeOwned>(
    request: Request<Incoming>,
    example: &str,
) -> Result<T, Box<Response<Body>>> {
    let refused = |reason: &str| Box::new(failed(StatusCode::BAD_REQUEST, reason));
    let body = whole(request.into_body()).await.map_err(|error| refused(&error))?;
    serde_json::from_slice(&body)
        .map_err(|error| refused(&format!("the body: {error}; expected something like {example}")))
}

pub(crate) fn default_schema() -> String {
    DEFAULT_SCHEMA.into()
}

/// A time, written as `2026-11-01T00:00:00Z` or as nanoseconds since the epoch.
#[derive(Debug, Deserialize)]
#[serde(try_from = "serde_json::Value")]
pub(crate) struct Instant(pub i64);

impl TryFrom<serde_json::Value> for Instant {
    type Error = String;

    fn try_from(value: serde_json::Value) -> Result<Instant, String> {
        let expected = || format!("{value} is neither a time like 2026-11-01T00:00:00Z nor nanoseconds");
        match &value {
            serde_json::Value::String(text) => instant::parse(text).map(Instant).map_err(|_| expected()),
            other => other.as_i64().map(Instant).ok_or_else(expected),
        }
    }
}
