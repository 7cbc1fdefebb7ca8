//! `/query`: InfluxQL, as far as clients need it to start.

use std::collections::BTreeMap;

use arrow::datatypes::DataType;
use hyper::{Method, Response, StatusCode};
use query::endpoint::Body;
use serde_json::{Value, json};
use tsdb::{DEFAULT_SCHEMA, TIME_COLUMN, TableInfo};

use super::influxql::{List, Name, Statement, parse};
use super::{make_schema, schemas, signed};
use crate::answer;
use crate::call::{Call, Services, whole};
use crate::tokens::Scope;

/// `GET`, `POST /query`: statements in `q`, about the database `db`. Lists need the scope `read`; to make a database is
/// what every client may that writes.
pub(crate) async fn query(call: Call) -> Response<Body> {
    let Call { services, granted, request, .. } = call;
    let pairs = |text: &[u8]| url::form_urlencoded::parse(text).into_owned().collect::<Vec<_>>();
    let mut parameters: BTreeMap<String, String> = BTreeMap::new();
    parameters.extend(pairs(request.uri().query().unwrap_or_default().as_bytes()));
    if request.method() == Method::POST {
        match whole(request.into_body()).await {
            Ok(body) => parameters.extend(pairs(&body)),
            Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
        }
    }
    let statements = match parse(parameters.get("q").map_or("", String::as_str)) {
        Ok(statements) => statements,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let is_list =
        |statement: &Statement| !matches!(statement, Statement::CreateDatabase(_) | Statement::CreateRetentionPolicy);
    if statements.iter().any(is_list) && !granted.has(Scope::Read) {
        return failed(StatusCode::FORBIDDEN, "the token does not have the scope read");
    }
    let database = parameters.get("db").map(String::as_str).filter(|name| !name.is_empty());
    let mut results = Vec::new();
    for statement in &statements {
        let mut result = result(&services, statement, database).unwrap_or_else(|error| json!({ "error": error }));
        result["statement_id"] = results.len().into();
        results.push(result);
    }
    signed(answer::json(StatusCode::OK, &json!({ "results": results })))
}

fn failed(status: StatusCode, reason: &str) -> Response<Body> {
    signed(answer::failed(status, reason))
}

/// What a statement comes to.
fn result(services: &Services, statement: &Statement, database: Option<&str>) -> Result<Value, String> {
    match statement {
        Statement::CreateDatabase(name) => make_schema(services, name).map(|_| json!({})),
        Statement::CreateRetentionPolicy => {
            let text = "how long rows are kept is said by store.retention of the configuration; nothing was changed";
            Ok(json!({ "messages": [{ "level": "warning", "text": text }] }))
        }
        Statement::ShowDatabases => {
            Ok(series([named("databases", &["name"], schemas(services).into_iter().map(|name| json!([name])))]))
        }
        Statement::ShowUsers => Ok(series([named("", &["user", "admin"], [])])),
        Statement::ShowRetentionPolicies => {
            let columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"];
            Ok(series([named("", &columns, [json!(["autogen", "0s", "168h0m0s", 1, true])])]))
        }
        Statement::Show { list, database: own, from, limit, offset } => {
            let database = own.as_deref().or(database).unwrap_or(DEFAULT_SCHEMA);
            if !schemas(services).contains(database) {
                return Err(format!("database not found: {database}"));
            }
            let paged = |values: Vec<Value>| values.into_iter().skip(*offset).take(*limit).collect::<Vec<_>>();
            Ok(series(listed(services, database, list, from.as_ref(), &paged)?))
        }
    }
}

/// The series of a list, of those measurements that are meant.
fn listed(
    services: &Services,
    database: &str,
    list: &List,
    from: Option<&Name>,
    paged: &dyn Fn(Vec<Value>) -> Vec<Value>,
) -> Result<Vec<Value>, String> {
    let store = &services.store;
    let mut names: Vec<&str> = store.tables().filter(|(schema, _)| *schema == database).map(|(_, name)| name).collect();
    names.retain(|name| from.is_none_or(|from| from.means(name)));
    names.sort_unstable();
    if let List::Measurements = list {
        let values = paged(names.into_iter().map(|name| json!([name])).collect());
        return Ok(vec![named("measurements", &["name"], values)]);
    }
    let mut all = Vec::new();
    for table in names.into_iter().filter_map(|name| store.table(database, name)) {
        let (columns, values): (&[&str], Vec<Value>) = match list {
            List::TagKeys => (&["tagKey"], table.tags.iter().map(|tag| json!([tag])).collect()),
            List::FieldKeys => (&["fieldKey", "fieldType"], fields(&table)),
            List::TagValues(key) => (&["key", "value"], tag_values(services, &table, key)?),
            List::Measurements => unreachable!("answered above"),
        };
        all.push(named(&table.name, columns, paged(values)));
    }
    Ok(all)
}

fn fields(table: &TableInfo) -> Vec<Value> {
    let is_field = |name: &str| name != TIME_COLUMN && !table.tags.iter().any(|tag| tag == name);
    let fields = table.columns.fields().iter().filter(|field| is_field(field.name()));
    let mut fields: Vec<_> = fields.map(|field| (field.name().clone(), type_name(field.data_type()))).collect();
    fields.sort_unstable();
    fields.into_iter().map(|(name, kind)| json!([name, kind])).collect()
}

fn type_name(kind: &DataType) -> &'static str {
    match kind {
        DataType::Boolean => "boolean",
        DataType::Int64 => "integer",
        DataType::UInt64 => "unsigned",
        DataType::Float64 => "float",
        _ => "string",
    }
}

fn tag_values(services: &Services, table: &TableInfo, key: &Name) -> Result<Vec<Value>, String> {
    let mut values = Vec::new();
    for tag in table.tags.iter().filter(|tag| key.means(tag)) {
        let own = services.store.tag_values(&table.schema, &table.name, tag).map_err(|error| error.to_string())?;
        // Of series without the tag.
        values.extend(own.into_iter().filter(|value| !value.is_empty()).map(|value| json!([tag, value])));
    }
    Ok(values)
}

fn named(name: &str, columns: &[&str], values: impl IntoIterator<Item = Value>) -> Value {
    let mut series = json!({ "columns": columns, "values": values.into_iter().collect::<Vec<_>>() });
    if !name.is_empty() {
        series["name"] = name.into();
    }
    series
}

/// A result of these series; those without a value are left out, as InfluxDB does, but for lists that have no name.
fn series(all: impl IntoIterator<Item = Value>) -> Value {
    let is_shown =
        |series: &Value| series.get("name").is_none() || series["values"].as_array().is_some_and(|v| !v.is_empty());
    let all: Vec<Value> = all.into_iter().filter(is_shown).collect();
    if all.is_empty() { json!({}) } else { json!({ "series": all }) }
}
