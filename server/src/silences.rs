//! `/api/v2/silences`: silences as Alertmanager's API has them, so that its tools work.

use alerts::base::clock::NS_PER_MS;
use alerts::silences::{Matching, Silence, Wrong};
use hyper::{Method, Response, StatusCode};
use query::endpoint::Body;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::admin::{Instant, told};
use crate::answer::{failed, json as answer};
use crate::call::Call;
use crate::tokens::Scope;

const EXAMPLE: &str = r#"{"matchers":[{"name":"target","value":"portal","isRegex":false,"isEqual":true}],"startsAt":"2026-12-01T10:00:00Z","endsAt":"2026-12-01T12:00:00Z","createdBy":"J. Doe","comment":"upgrade"}"#;

/// What is posted.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Posted {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<Matching>,
    starts_at: Instant,
    ends_at: Instant,
    created_by: String,
    comment: String,
}

/// Lists silences, or adds one.
pub(crate) async fn all(call: Call) -> Response<Body> {
    match *call.request.method() {
        Method::POST => add(call).await,
        _ => list(&call),
    }
}

fn list(call: &Call) -> Response<Body> {
    if let Some(refused) = lacks(call, Scope::Read) {
        return refused;
    }
    let all: Vec<Value> = call.services.rules.silences().list().iter().map(shown).collect();
    answer(StatusCode::OK, &Value::Array(all))
}

async fn add(call: Call) -> Response<Body> {
    if let Some(refused) = lacks(&call, Scope::Admin) {
        return refused;
    }
    let services = call.services.clone();
    let posted: Posted = match told(call.request, EXAMPLE).await {
        Ok(posted) => posted,
        Err(refusal) => return *refusal,
    };
    let span = (posted.starts_at.0 / NS_PER_MS, posted.ends_at.0 / NS_PER_MS);
    let id = posted.id.unwrap_or_default();
    let added = Silence::new(id, posted.matchers, span, &posted.created_by, &posted.comment);
    let set = move || services.rules.silences().set(&services.store, added?);
    match tokio::task::spawn_blocking(set).await {
        Ok(Ok(id)) => answer(StatusCode::OK, &json!({ "silenceID": id })),
        Ok(Err(wrong)) => refused(&wrong),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Shows a silence, or ends it.
pub(crate) async fn one(call: Call) -> Response<Body> {
    let id = call.path.rsplit('/').next().unwrap_or_default().to_owned();
    if *call.request.method() != Method::DELETE {
        if let Some(refused) = lacks(&call, Scope::Read) {
            return refused;
        }
        let found = call.services.rules.silences().list().into_iter().find(|own| own.id == id);
        return match found {
            Some(own) => answer(StatusCode::OK, &shown(&own)),
            None => failed(StatusCode::NOT_FOUND, &format!("there is no silence {id}")),
        };
    }
    if let Some(refused) = lacks(&call, Scope::Admin) {
        return refused;
    }
    let services = call.services.clone();
    let end = move || services.rules.silences().end(&services.store, &id);
    match tokio::task::spawn_blocking(end).await {
        Ok(Ok(())) => answer(StatusCode::OK, &json!({})),
        Ok(Err(wrong)) => refused(&wrong),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

fn lacks(call: &Call, scope: Scope) -> Option<Response<Body>> {
    let say = || failed(StatusCode::FORBIDDEN, &format!("this token does not have the scope '{}'", scope.name()));
    (!call.granted.has(scope)).then(say)
}

fn refused(wrong: &Wrong) -> Response<Body> {
    let status = match wrong {
        Wrong::Asked(_) => StatusCode::BAD_REQUEST,
        Wrong::Nowhere(_) => StatusCode::NOT_FOUND,
        Wrong::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    failed(status, &wrong.to_string())
}

fn shown(own: &Silence) -> Value {
    let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).map(|time| format!("{time:.3}")).unwrap_or_default();
    json!({
        "id": own.id,
        "status": { "state": own.state(jiff::Timestamp::now().as_millisecond()) },
        "updatedAt": time(own.updated_ms),
        "startsAt": time(own.from_ms),
        "endsAt": time(own.until_ms),
        "createdBy": own.author,
        "comment": own.reason,
        "matchers": own.matching,
    })
}
