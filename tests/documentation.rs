//! The statements of `docs/sql.md` give what stands below them, and those of `tests/slt` what stands there, over the
//! rows of `docs/examples.lp`.

use std::path::Path;

use sqllogictest::{DB, DBOutput, DefaultColumnType, Runner};

use crate::server::{Server, post, wait_for};

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
const SCHEMA: &str = "docs";

/// A server that has the example's rows, in the head or in a segment.
fn server(is_sealed: bool) -> (Server, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    let rows = std::fs::read(Path::new(DOCS).join("examples.lp")).unwrap();
    // Apart from what the server measures itself.
    let reply = server.write(&format!("?precision=s&db={SCHEMA}"), &rows);
    assert_eq!(reply.status, 204, "{}", reply.body);
    if is_sealed {
        assert_eq!(post(&format!("{}/api/v1/admin/flush", server.url), b"").unwrap().status, 200);
    }
    (server, dir)
}

/// Blocks of a kind of code, and the text blocks that follow them at once.
fn examples(markdown: &str) -> Vec<(String, Option<String>)> {
    let mut blocks: Vec<(&str, String, usize)> = Vec::new();
    let mut open = None;
    for (number, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(kind), None) => open = Some((kind, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take().map(|(kind, text)| (kind, text, number))),
            (None, Some((_, text))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    let statements = blocks.iter().enumerate().filter(|(_, (kind, ..))| *kind == "sql");
    let told = statements.map(|(at, (_, sql, end))| {
        let answer = blocks
            .get(at + 1)
            .filter(|(kind, text, next_end)| *kind == "text" && next_end - end == text.lines().count() + 2);
        (sql.clone(), answer.map(|(_, text, _)| text.clone()))
    });
    told.collect()
}

#[test]
fn the_documentations_statements_give_what_it_says() {
    let markdown = std::fs::read_to_string(Path::new(DOCS).join("sql.md")).unwrap();
    let examples = examples(&markdown);
    assert!(examples.iter().filter(|(_, answer)| answer.is_some()).count() > 5);
    for is_sealed in [false, true] {
        let (server, _dir) = server(is_sealed);
        for (sql, answer) in &examples {
            let reply = server.sql_in(SCHEMA, sql, "pretty");
            assert_eq!(reply.status, 200, "{sql}{}", reply.body);
            if let Some(answer) = answer {
                assert_eq!(reply.body.trim_end(), answer.trim_end(), "{sql}\nactually:\n{}", reply.body);
            }
        }
    }
}

/// A server, as sqllogictest asks it. What is empty in CSV is NULL.
struct Asked(Server);

#[derive(Debug)]
struct Refused(String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl DB for Asked {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    fn run(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let reply = self.0.sql_in(SCHEMA, sql, "csv");
        if reply.status != 200 {
            return Err(Refused(reply.body));
        }
        let mut table = csv::ReaderBuilder::new().flexible(false).from_reader(reply.body.as_bytes());
        let columns = table.headers().map_or(0, csv::StringRecord::len);
        let cell = |text: &str| if text.is_empty() { "NULL".into() } else { text.into() };
        let rows = table.records().map(|row| row.map(|row| row.iter().map(cell).collect()));
        let rows = rows.collect::<Result<_, _>>().map_err(|error| Refused(error.to_string()))?;
        Ok(DBOutput::Rows { types: vec![DefaultColumnType::Any; columns], rows })
    }
}

#[test]
fn functions_do_what_their_test_files_say() {
    let mut files: Vec<_> = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/slt"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(!files.is_empty());
    for file in files {
        let (server, _dir) = server(true);
        let mut server = Some(server);
        let mut runner = Runner::new(|| std::future::ready(Ok(Asked(server.take().expect("one connection")))));
        runner.run_file(&file).unwrap_or_else(|error| panic!("{}", error.display(false)));
    }
}

/// With Grafana's variables as Grafana puts them; over what a server measures itself, so that every table is there.
#[test]
fn the_statements_for_grafana_run() {
    let markdown = std::fs::read_to_string(Path::new(DOCS).join("grafana.md")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    wait_for("rows of this machine", || server.sql("SELECT load1 FROM host", "csv").body.lines().count() > 1);
    wait_for("a probe", || server.rows("SELECT count(*) FROM probe WHERE up")[0][0] != "0");
    let now = jiff::Timestamp::now();
    let iso = |minutes: i64| format!("{:.3}", now + jiff::SignedDuration::from_mins(minutes));
    let examples = examples(&markdown);
    assert!(examples.len() >= 7);
    for (sql, _) in examples {
        let sql = sql
            .replace("${__from:date:iso}", &iso(-5))
            .replace("${__to:date:iso}", &iso(1))
            .replace("${__interval_ms}", "15000");
        assert!(!sql.contains("${"), "{sql}");
        let reply = server.sql(&sql, "json");
        assert_eq!(reply.status, 200, "{sql}{}", reply.body);
        let rows: Vec<serde_json::Value> = serde_json::from_str(&reply.body).unwrap();
        assert!(!rows.is_empty() || sql.contains("maintenance"), "{sql}");
    }
}
