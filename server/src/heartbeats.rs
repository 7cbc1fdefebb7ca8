//! Heartbeats: jobs call when they begin, when they are through, and when they failed.

use domain::tables::{HEARTBEAT, check_job};
use hyper::{Method, Response, StatusCode};
use query::endpoint::Body;
use tsdb::{DEFAULT_SCHEMA, Row, Value, now_ns};

use crate::answer::{failed, respond};
use crate::call::{Call, whole};

/// As much of what a job says is kept, in bytes.
const MESSAGE_BYTES_MAX: usize = 1000;

/// `/heartbeat/JOB`, `/heartbeat/JOB/start`, `/heartbeat/JOB/fail`, `/heartbeat/JOB/EXIT_CODE`; by POST with a message.
pub(crate) async fn call(call: Call) -> Response<Body> {
    let path = call.path.strip_prefix("/heartbeat/").unwrap_or_default().trim_end_matches('/');
    let said = match read(path) {
        Ok(said) => said,
        Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
    };
    let message = match *call.request.method() {
        Method::POST => match whole(call.request.into_body()).await {
            Ok(body) => kept(&body),
            Err(error) => return failed(StatusCode::BAD_REQUEST, &error),
        },
        _ => String::new(),
    };
    let mut fields = vec![("code", Value::I64(said.code))];
    if !message.is_empty() {
        fields.push(("message", Value::Str(&message)));
    }
    let store = &call.services.store;
    let mut batch = store.batch(DEFAULT_SCHEMA);
    batch.admit_by(call.granted.agent);
    let tags = [("job", said.job), ("event", said.event)];
    let row = Row { measurement: HEARTBEAT.name, tags: &tags, time: now_ns(), fields: &fields };
    if let Err(error) = batch.push(&row) {
        return failed(StatusCode::BAD_REQUEST, &error.to_string());
    }
    let outcome = match store.submit(batch) {
        Ok(ack) => ack.await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => respond(StatusCode::OK, "text/plain", "OK\n".into()),
        // Whoever calls by `curl --retry` comes again.
        Err(error) => failed(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    }
}

/// What a call says.
#[derive(Debug, PartialEq, Eq)]
struct Said<'p> {
    job: &'p str,
    event: &'static str,
    code: i64,
}

fn read(path: &str) -> Result<Said<'_>, String> {
    let (job, event) = path.split_once('/').unwrap_or((path, "0"));
    check_job(job)?;
    match event {
        "start" => Ok(Said { job, event: "start", code: 0 }),
        "fail" => Ok(Said { job, event: "fail", code: 1 }),
        code => match code.parse::<u8>() {
            Ok(0) => Ok(Said { job, event: "ok", code: 0 }),
            Ok(code) => Ok(Said { job, event: "fail", code: code.into() }),
            Err(_) => Err(format!("'{code}' is not known; expected nothing, start, fail or an exit code up to 255")),
        },
    }
}

/// The end of what a job says, where the reason mostly stands.
fn kept(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    let start = text.len().saturating_sub(MESSAGE_BYTES_MAX);
    let start = (start..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_read_as_they_are_made() {
        let said = |event, code| Ok(Said { job: "backup", event, code });
        assert_eq!(read("backup"), said("ok", 0));
        assert_eq!(read("backup/0"), said("ok", 0));
        assert_eq!(read("backup/start"), said("start", 0));
        assert_eq!(read("backup/fail"), said("fail", 1));
        assert_eq!(read("backup/137"), said("fail", 137));
        for (path, why) in
            [("", "is no job"), ("a b", "is no job"), ("backup/256", "not known"), ("backup/a/b", "not known")]
        {
            assert!(read(path).unwrap_err().contains(why), "{path}");
        }
    }

    #[test]
    fn the_end_of_a_long_message_is_kept() {
        assert_eq!(kept(b" done\n"), "done");
        let long = format!("{}x", "\u{e4}".repeat(1000));
        let kept = kept(long.as_bytes());
        assert!(kept.ends_with("\u{e4}x") && kept.len() <= MESSAGE_BYTES_MAX);
    }
}
