//! Buckets of InfluxDB 2 and databases of InfluxDB 3: both are schemas.

use hyper::{Method, Response, StatusCode};
use query::endpoint::Body;
use ring::digest::{SHA256, digest};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{make_schema, schemas, signed};
use crate::answer;
use crate::call::{Call, whole};
use crate::tokens::Scope;

/// What an organisation is called that was not named. They are not told apart.
const ORGANISATION: &str = "fournines";

/// `GET /api/v2/orgs`: one, with the name that was asked for.
pub(crate) async fn organisations(call: Call) -> Response<Body> {
    let name = call.parameter("org").unwrap_or_else(|| ORGANISATION.to_owned());
    let organisation = json!({ "id": id("org", ORGANISATION), "name": name });
    signed(answer::json(StatusCode::OK, &json!({ "links": { "self": "/api/v2/orgs" }, "orgs": [organisation] })))
}

/// `GET`, `POST /api/v2/buckets`: the schemas, or one more.
pub(crate) async fn buckets(call: Call) -> Response<Body> {
    #[derive(Deserialize)]
    struct Asked {
        name: String,
    }
    if call.request.method() == Method::POST {
        if !call.granted.has(Scope::Write) {
            return refused(StatusCode::FORBIDDEN, "forbidden", "the token does not have the scope write");
        }
        let read = whole(call.request.into_body()).await;
        let asked: Result<Asked, String> =
            read.and_then(|body| serde_json::from_slice(&body).map_err(|error| format!("the body: {error}")));
        return match asked.and_then(|asked| Ok((make_schema(&call.services, &asked.name)?, asked.name))) {
            Ok((true, name)) => signed(answer::json(StatusCode::CREATED, &bucket(&name))),
            Ok((false, name)) => {
                let reason = format!("bucket with name {name} already exists");
                refused(StatusCode::UNPROCESSABLE_ENTITY, "conflict", &reason)
            }
            Err(error) => refused(StatusCode::BAD_REQUEST, "invalid", &error),
        };
    }
    if !call.granted.has(Scope::Read) {
        return refused(StatusCode::FORBIDDEN, "forbidden", "the token does not have the scope read");
    }
    let (name, wanted_id) = (call.parameter("name"), call.parameter("id"));
    let number = |name, unset| call.parameter(name).and_then(|text| text.parse().ok()).unwrap_or(unset);
    let (offset, limit): (usize, usize) = (number("offset", 0), number("limit", 20));
    let is_wanted = |schema: &String| {
        name.as_ref().is_none_or(|name| name == schema)
            && wanted_id.as_ref().is_none_or(|own| *own == id("bucket", schema))
    };
    let found: Vec<Value> = schemas(&call.services)
        .iter()
        .filter(|name| is_wanted(name))
        .skip(offset)
        .take(limit)
        .map(|name| bucket(name))
        .collect();
    signed(answer::json(StatusCode::OK, &json!({ "links": { "self": "/api/v2/buckets" }, "buckets": found })))
}

/// `GET`, `POST /api/v3/configure/database`: the same in the words of InfluxDB 3.
pub(crate) async fn configure_database(call: Call) -> Response<Body> {
    #[derive(Deserialize)]
    struct Asked {
        db: String,
    }
    if call.request.method() != Method::POST {
        if !call.granted.has(Scope::Read) {
            return answer::failed(StatusCode::FORBIDDEN, "the token does not have the scope read");
        }
        let names = schemas(&call.services).into_iter().map(|name| json!({ "iox::database": name }));
        return signed(answer::json(StatusCode::OK, &names.collect()));
    }
    if !call.granted.has(Scope::Write) {
        return answer::failed(StatusCode::FORBIDDEN, "the token does not have the scope write");
    }
    let read = whole(call.request.into_body()).await;
    let asked: Result<Asked, String> =
        read.and_then(|body| serde_json::from_slice(&body).map_err(|error| format!("the body: {error}")));
    match asked.and_then(|asked| make_schema(&call.services, &asked.db)) {
        Ok(true) => signed(answer::json(StatusCode::CREATED, &json!({}))),
        Ok(false) => answer::failed(StatusCode::CONFLICT, "the database is there already"),
        Err(error) => answer::failed(StatusCode::BAD_REQUEST, &error),
    }
}

fn bucket(name: &str) -> Value {
    json!({
        "id": id("bucket", name),
        "orgID": id("org", ORGANISATION),
        "type": "user",
        "name": name,
        "retentionRules": [],
        "labels": [],
    })
}

/// A number of 16 hexadecimal digits, the same for a name whenever it is asked for.
fn id(kind: &str, name: &str) -> String {
    let hash = digest(&SHA256, format!("{kind} {name}").as_bytes());
    hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As InfluxDB 2 says it.
pub(super) fn refused(status: StatusCode, code: &str, reason: &str) -> Response<Body> {
    signed(answer::json(status, &json!({ "code": code, "message": reason, "error": reason })))
}
