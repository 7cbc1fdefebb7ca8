//! `/api/v2/delete`: rows of a span of time, by measurement and tags.

use std::collections::BTreeMap;

use domain::instant;
use hyper::{Response, StatusCode};
use query::endpoint::Body;
use serde::Deserialize;
use tsdb::{DEFAULT_SCHEMA, Store, TagPredicate};

use super::buckets::refused;
use super::signed;
use crate::answer::respond;
use crate::call::{Call, whole};

/// What the name of the measurement is called in a predicate.
const MEASUREMENT: &str = "_measurement";

/// `POST /api/v2/delete?bucket=...`: both times are included, as InfluxDB has it.
pub(crate) async fn delete(call: Call) -> Response<Body> {
    let bucket = call.parameter("bucket").or_else(|| call.parameter("db"));
    let bucket = bucket.unwrap_or_else(|| DEFAULT_SCHEMA.to_owned());
    let deletion = whole(call.request.into_body()).await.and_then(|body| Deletion::read(&body));
    let deletion = match deletion {
        Ok(deletion) => deletion,
        Err(error) => return refused(StatusCode::BAD_REQUEST, "invalid", &error),
    };
    let store = call.services.store.clone();
    match tokio::task::spawn_blocking(move || deletion.run(&store, &bucket)).await {
        Ok(Ok(())) => signed(respond(StatusCode::NO_CONTENT, "text/plain", String::new())),
        Ok(Err(error)) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal error", &error.to_string()),
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, "internal error", &error.to_string()),
    }
}

/// What is to go.
#[derive(Debug, PartialEq, Eq)]
struct Deletion {
    from: i64,
    to: i64,
    /// Of all measurements without one.
    measurement: Option<String>,
    tags: BTreeMap<String, String>,
}

impl Deletion {
    fn read(body: &[u8]) -> Result<Deletion, String> {
        #[derive(Deserialize)]
        struct Asked {
            start: String,
            stop: String,
            #[serde(default)]
            predicate: String,
        }
        let example =
            r#"{"start":"2026-11-01T00:00:00Z","stop":"2026-11-02T00:00:00Z","predicate":"_measurement=\"cpu\""}"#;
        let asked: Asked = serde_json::from_slice(body)
            .map_err(|error| format!("the body: {error}; expected something like {example}"))?;
        let time = |name: &str, text: &str| instant::parse(text).map_err(|error| format!("{name}: {error}"));
        let mut tags = conditions(&asked.predicate)?;
        let (from, to) = (time("start", &asked.start)?, time("stop", &asked.stop)?);
        if to < from {
            return Err("stop: expected a time that is not before start".into());
        }
        Ok(Deletion { from, to, measurement: tags.remove(MEASUREMENT), tags })
    }

    fn run(&self, store: &Store, schema: &str) -> tsdb::Result<()> {
        let all = store.tables().filter(|(own, _)| *own == schema).map(|(_, name)| name);
        let is_meant = |name: &str| self.measurement.as_deref().is_none_or(|own| own == name);
        let tables: Vec<_> = all.filter(|name| is_meant(name)).filter_map(|name| store.table(schema, name)).collect();
        for table in tables {
            // A series without a tag does not have the value that is asked for.
            if self.tags.keys().all(|tag| table.tags.iter().any(|own| own == tag)) {
                let tags: Vec<_> =
                    self.tags.iter().map(|(tag, value)| TagPredicate::In(tag.clone(), vec![value.clone()])).collect();
                store.delete(schema, &table.name, self.from, self.to, &tags)?;
            }
        }
        Ok(())
    }
}

/// `_measurement="cpu" AND host="a"`: names and values with or without quotes.
fn conditions(predicate: &str) -> Result<BTreeMap<String, String>, String> {
    let expected = |at: &str| {
        format!(
            "predicate: at '{at}' expected conditions like _measurement=\"cpu\" AND host=\"a\"; = and AND are known"
        )
    };
    let mut conditions = BTreeMap::new();
    let mut rest = predicate.trim();
    while !rest.is_empty() {
        let (name, behind) = word(rest).ok_or_else(|| expected(rest))?;
        let behind =
            behind.strip_prefix('=').filter(|behind| !behind.starts_with(['=', '~'])).ok_or_else(|| expected(rest))?;
        let (value, behind) = word(behind.trim_start()).ok_or_else(|| expected(rest))?;
        conditions.insert(name, value);
        rest = match behind.get(..3) {
            Some(and) if and.eq_ignore_ascii_case("and") && behind.len() > 3 => behind[3..].trim_start(),
            None if behind.is_empty() => "",
            _ => return Err(expected(behind)),
        };
    }
    Ok(conditions)
}

/// The word at the start, and what stands behind it.
fn word(text: &str) -> Option<(String, &str)> {
    let quote = text.chars().next().filter(|first| matches!(first, '"' | '\''));
    let Some(quote) = quote else {
        let end = text.find(|char: char| char.is_whitespace() || "=!~()\"'".contains(char)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), text[end..].trim_start()));
    };
    let mut word = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => word.extend(chars.next().map(|(_, next)| next)),
            _ if char == quote => return Some((word, text[at + 1..].trim_start())),
            _ => word.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicates_are_read_as_clients_write_them() {
        let read = |text: &str| conditions(text).map(|all| format!("{all:?}"));
        assert_eq!(read("").unwrap(), "{}");
        let expected = r#"{"_measurement": "cpu", "host": "a b"}"#;
        for text in [
            r#"_measurement="cpu" AND host="a b""#,
            r#"_measurement='cpu' and "host" = 'a b'"#,
            r#"_measurement=cpu AND host="a b""#,
        ] {
            assert_eq!(read(text).unwrap(), expected, "{text}");
        }
        assert_eq!(read(r#"a="x \"y\"""#).unwrap(), r#"{"a": "x \"y\""}"#);
        for text in ["a", "a=", "a!=b", "a=~/b/", "a=b OR c=d", "a=b c=d", "a=\"b", "a=b AND"] {
            assert!(read(text).unwrap_err().contains("expected conditions like"), "{text}: {:?}", read(text));
        }
    }

    #[test]
    fn a_deletion_says_its_times() {
        let read = |text: &str| Deletion::read(text.as_bytes());
        let all = read(r#"{"start":"1970-01-01T00:00:00Z","stop":"1970-01-01T00:00:01Z"}"#).unwrap();
        assert_eq!(all, Deletion { from: 0, to: 1_000_000_000, measurement: None, tags: BTreeMap::new() });
        for (text, said) in [
            ("{}", "missing field `start`"),
            (r#"{"start":"x","stop":"1970-01-01T00:00:01Z"}"#, "start: "),
            (r#"{"start":"1970-01-02T00:00:00Z","stop":"1970-01-01T00:00:01Z"}"#, "not before start"),
        ] {
            assert!(read(text).unwrap_err().contains(said), "{text}");
        }
    }
}
