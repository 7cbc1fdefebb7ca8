//! Drops: a table or a field goes, and its name is free for one of another type.

use std::sync::Arc;

use domain::reserved::{Reserved, measurement, reserved};
use domain::tables::{CDN, HEARTBEAT, HOST, KNOWN};
use hyper::{Response, StatusCode};
use query::endpoint::Body;
use serde::Deserialize;
use tsdb::DEFAULT_SCHEMA;

use crate::admin::{administer, told};
use crate::answer::{done, failed};
use crate::call::{Call, Services};

/// What is to go: a table, or one field of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Drop {
    #[serde(default = "crate::admin::default_schema")]
    db: String,
    table: String,
    field: Option<String>,
}

/// `POST /api/v1/admin/drop`: what stands in the body.
pub(crate) async fn drop(call: Call) -> Response<Body> {
    let Call { services, request, .. } = call;
    match told::<Drop>(request, r#"{"table":"cpu"} or {"table":"cpu","field":"usage"}"#).await {
        Ok(drop) => drop.run(services).await,
        Err(refusal) => *refusal,
    }
}

/// `DELETE /api/v3/configure/table?db=...&table=...`: a table, in the words of InfluxDB 3.
pub(crate) async fn drop_table(call: Call) -> Response<Body> {
    let db = call.parameter("db").unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
    match call.parameter("table") {
        Some(table) => Drop { db, table, field: None }.run(call.services).await,
        None => failed(StatusCode::BAD_REQUEST, "expected a table, as in ?db=public&table=cpu"),
    }
}

impl Drop {
    async fn run(self, services: Arc<Services>) -> Response<Body> {
        let Drop { db, table, field } = self;
        // As SQL names it: a measurement that has the name of a view has another one there.
        let Some(stored) = measurement(&table).map(str::to_owned) else {
            return failed(StatusCode::BAD_REQUEST, &format!("'{table}' is a view, not a table"));
        };
        if let Some(whose) = kept(&stored, field.as_deref()) {
            return failed(StatusCode::BAD_REQUEST, &whose);
        }
        let drop = move |store: &tsdb::Store| match &field {
            Some(field) => store.drop_field(&db, &stored, field),
            None => store.drop_table(&db, &stored),
        };
        administer(&services, move |store| drop(store).map(|()| done())).await
    }
}

/// Why something stays, if it does: what the server or its prober writes would be missing something.
fn kept(table: &str, field: Option<&str>) -> Option<String> {
    let is_own = matches!(reserved(table), Some(Reserved::Table(_)));
    let declared = KNOWN.into_iter().chain([&HOST, &CDN, &HEARTBEAT]).find(|own| own.name == table);
    let is_kept = match (declared, field) {
        (Some(own), Some(field)) => own.fields.iter().any(|column| column.name == field),
        (own, _) => is_own || own.is_some(),
    };
    let what = field.map_or_else(String::new, |field| format!("field '{field}' of "));
    is_kept.then(|| format!("{what}'{table}' is the server's own and stays; its rows can be deleted (admin/delete)"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_server_writes_stays() {
        for (table, field) in [("probe", None), ("probe", Some("up")), ("maintenance", None), ("metric_metadata", None)]
        {
            assert!(kept(table, field).is_some(), "{table} {field:?}");
        }
        for (table, field) in [("cpu", None), ("cpu", Some("up")), ("probe", Some("of_an_agent")), ("outages", None)] {
            assert_eq!(kept(table, field), None);
        }
    }
}
