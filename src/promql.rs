//! `fournines promql`: a question to a running server or to a data directory, as a table, JSON or CSV.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use client::asking;
use comfy_table::{CellAlignment, Table, presets};
use http_body_util::BodyExt;
use promql::api::{self, Asked, Parameters, Waiting};
use promql::engine::Settings;
use promql::stored::Metrics;
use promql::syntax::Limits;
use query::Engine;
use serde_json::Value;
use tsdb::{DEFAULT_SCHEMA, Store};
use url::form_urlencoded::Serializer;

use crate::progress;
use crate::sql::{self, Source};

/// Ask a server, or a data directory, in PromQL: a question at one time, or at many
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  fournines promql 'avg by (target) (avg_over_time(probe_up[1h]))'
  fournines promql 'probe_total_ms' --at 2026-11-01T00:00:00Z
  fournines promql 'sum(rate(requests[5m]))' --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z --step 1h
  fournines promql 'up' --format csv > up.csv
  fournines promql --data-dir fournines-data 'count({__name__!=\"\"})' --at 2026-11-01T00:00:00Z")]
pub struct Args {
    /// The question; `-` reads it from standard input
    question: String,
    /// At which time: RFC 3339, or seconds [default: now]
    #[arg(long, value_name = "TIME", conflicts_with_all = ["from", "to", "step"])]
    at: Option<String>,
    /// The first of many times
    #[arg(long, value_name = "TIME", requires_all = ["to", "step"])]
    from: Option<String>,
    /// The last of many times
    #[arg(long, value_name = "TIME", requires = "from")]
    to: Option<String>,
    /// What lies between two times, like 30s or 1h
    #[arg(long, value_name = "DURATION", requires = "from")]
    step: Option<String>,
    /// The server to ask
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:9999", env = "FOURNINES_URL")]
    url: String,
    /// Read this data directory instead of asking a server; no server may be using it, and nothing in it is changed
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// The schema whose metrics are meant
    #[arg(long, value_name = "SCHEMA", default_value = DEFAULT_SCHEMA)]
    db: String,
    /// table, json (as the API answers) or csv
    #[arg(long, default_value = "table", value_parser = ["table", "json", "csv"])]
    format: String,
}

pub fn run(args: Args) -> Result<ExitCode> {
    let question = match args.question.as_str() {
        "-" => std::io::read_to_string(std::io::stdin()).context("read the question from standard input")?,
        question => question.to_owned(),
    };
    let when = [("time", &args.at), ("start", &args.from), ("end", &args.to), ("step", &args.step)];
    let when: Vec<_> = when.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))).collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let source = Source::of(&args.url, args.data_dir.as_deref())?;
    let answered = runtime.block_on(ask(&source, &question, &args.db, &when));
    source.close();
    print(&answered?, &args.format)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks at one time, or at many if there is a `start`, and shows on a terminal that it takes a while. The answer is as the
/// API gives it.
pub async fn ask(source: &Source, question: &str, db: &str, when: &[(&str, String)]) -> Result<String> {
    let waiting = progress::waiting();
    let is_range = when.iter().any(|(name, _)| *name == "start");
    let pairs = [("query", question), ("db", db)].into_iter();
    let pairs = pairs.chain(when.iter().map(|(name, value)| (*name, value.as_str())));
    let answered = match source {
        Source::Server(url) => {
            let path = if is_range { "/api/v1/query_range" } else { "/api/v1/query" };
            ask_server(url, path, Serializer::new(String::new()).extend_pairs(pairs).finish()).await
        }
        Source::Directory(store, engine) => {
            let parameters = Parameters::new(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
            ask_directory(store.clone(), engine, db.to_owned(), parameters, is_range).await
        }
    };
    waiting.finish_and_clear();
    answered
}

async fn ask_server(url: &str, path: &str, form: String) -> Result<String> {
    let answer = asking::ask_form(url, path, form).await?;
    let body = answer.into_body().collect().await.context("the answer broke off")?.to_bytes();
    String::from_utf8(body.into()).with_context(|| format!("{url} did not answer with text"))
}

/// The work runs beside whoever waits for it, and ends with them.
async fn ask_directory(
    store: Arc<Store>,
    engine: &Engine,
    schema: String,
    parameters: Parameters,
    is_range: bool,
) -> Result<String> {
    let waiting = Waiting::default();
    let (nobody_waits, runner) = (waiting.sign(), engine.runner().clone());
    let work = move || {
        let (settings, limits, metrics) = (Settings::default(), Limits::default(), Metrics::default());
        let asked = Asked {
            store: &store,
            metrics: &metrics,
            schema: &schema,
            parameters: &parameters,
            settings: &settings,
            limits: &limits,
            deadline: Instant::now() + runner.limits().timeout,
            is_given_up: &nobody_waits,
            memory: runner.memory(),
        };
        let answered = if is_range { api::query_range(&asked) } else { api::query(&asked) };
        answered.map(|answered| answered.pieces().collect())
    };
    let found = tokio::task::spawn_blocking(work).await.context("the question broke off")?;
    found.map_err(|error| anyhow!(error.message))
}

/// Prints an answer: `json` as it is, `csv`, or a table.
pub fn print(body: &str, format: &str) -> Result<()> {
    if format == "json" {
        sql::print(format!("{}\n", body.trim_end()).as_bytes())?;
        return Ok(());
    }
    let answer: Value = serde_json::from_str(body).context("the answer is no JSON")?;
    for kind in ["warnings", "infos"] {
        for note in answer[kind].as_array().into_iter().flatten().filter_map(Value::as_str) {
            errln!("{}: {note}", kind.trim_end_matches('s'));
        }
    }
    let rows = Rows::of(&answer["data"]);
    let text = if format == "csv" { rows.csv()? } else { rows.table() };
    sql::print(text.as_bytes())?;
    Ok(())
}

/// An answer as lines of columns: the metric and its labels, the time, the value.
struct Rows {
    columns: Vec<String>,
    lines: Vec<Vec<String>>,
}

impl Rows {
    /// Of what the API gives as `data`.
    fn of(data: &Value) -> Rows {
        let result = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
        if matches!(data["resultType"].as_str(), Some("scalar" | "string")) {
            let line = result.iter().enumerate().map(|(at, value)| if at == 0 { time(value) } else { shown(value) });
            return Rows { columns: vec!["time".into(), "value".into()], lines: vec![line.collect()] };
        }
        // The metric first: by bytes, labels in capitals would stand before `__name__`.
        let labels: BTreeSet<(bool, &str)> = result
            .iter()
            .filter_map(|series| series["metric"].as_object())
            .flat_map(|metric| metric.keys().map(|name| (name != "__name__", name.as_str())))
            .collect();
        let own = labels.iter().map(|(_, name)| (*name).to_owned());
        let columns = own.chain(["time".to_owned(), "value".to_owned()]).collect();
        let mut lines = Vec::new();
        for series in result {
            let named = |name: &str| series["metric"][name].as_str().unwrap_or_default().to_owned();
            let own: Vec<String> = labels.iter().map(|(_, name)| named(name)).collect();
            for point in points(series) {
                lines.push(own.iter().cloned().chain([time(&point[0]), shown(&point[1])]).collect());
            }
        }
        Rows { columns, lines }
    }

    fn table(&self) -> String {
        let mut table = Table::new();
        table.load_preset(presets::UTF8_BORDERS_ONLY).set_header(&self.columns).add_rows(&self.lines);
        if let Some(value) = table.column_mut(self.columns.len() - 1) {
            value.set_cell_alignment(CellAlignment::Right);
        }
        format!("{table}\n")
    }

    fn csv(&self) -> Result<String> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(&self.columns)?;
        self.lines.iter().try_for_each(|line| writer.write_record(line))?;
        Ok(String::from_utf8(writer.into_inner().context("write")?)?)
    }
}

/// Times and values of a series, in the order of time.
fn points(series: &Value) -> Vec<&Value> {
    let many = ["values", "histograms"].iter().filter_map(|kind| series[*kind].as_array()).flatten();
    let one = ["value", "histogram"].iter().filter_map(|kind| series.get(*kind));
    let mut points: Vec<&Value> = many.chain(one).collect();
    points.sort_by(|one, other| one[0].as_f64().unwrap_or(0.0).total_cmp(&other[0].as_f64().unwrap_or(0.0)));
    points
}

/// A time in seconds, as RFC 3339.
fn time(seconds: &Value) -> String {
    let ms = (seconds.as_f64().unwrap_or(0.0) * 1000.0).round() as i64;
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// A value; a histogram as JSON.
fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn vectors_and_matrices_are_lines_of_labels_times_and_values() {
        let vector = json!({"resultType": "vector", "result": [
            {"metric": {"__name__": "up", "Zone": "a"}, "value": [1.5, "1"]},
            {"metric": {"__name__": "up", "job": "b,c"}, "value": [1.5, "NaN"]},
        ]});
        let expected =
            "__name__,Zone,job,time,value\nup,a,,1970-01-01T00:00:01.5Z,1\nup,,\"b,c\",1970-01-01T00:00:01.5Z,NaN\n";
        assert_eq!(Rows::of(&vector).csv().unwrap(), expected);
        let matrix = json!({"resultType": "matrix", "result": [
            {"metric": {}, "values": [[0, "1"], [120, "3"]], "histograms": [[60, {"count": "2", "sum": "4"}]]},
        ]});
        let table = Rows::of(&matrix).table();
        let times: Vec<usize> = ["00:00:00Z", "00:01:00Z", "00:02:00Z"].map(|time| table.find(time).unwrap()).to_vec();
        assert!(times.is_sorted(), "{table}");
        let scalar = json!({"resultType": "scalar", "result": [60, "+Inf"]});
        assert_eq!(Rows::of(&scalar).csv().unwrap(), "time,value\n1970-01-01T00:01:00Z,+Inf\n");
    }
}
