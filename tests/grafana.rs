//! What Grafana's data source for Prometheus sends when it starts, is saved, explores and draws, after its source: methods,
//! forms and headers, replayed. Grafana itself is in no registry that tests install from. Each answer has what it needs.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};

use crate::clients::token;
use crate::server::{Server, agent};

struct Source {
    url: String,
    token: String,
}

impl Source {
    fn answer(&self, request: Result<ureq::http::Response<ureq::Body>, ureq::Error>, what: &str) -> Value {
        let mut answer = request.unwrap();
        let bytes = answer.body_mut().read_to_vec().unwrap();
        let mut text = String::new();
        // What is long comes packed.
        match answer.headers().get("content-encoding").map(|coding| coding.to_str().unwrap()) {
            None => text.push_str(std::str::from_utf8(&bytes).unwrap()),
            Some(coding) => {
                assert_eq!(coding, "gzip", "{what}");
                flate2::read::GzDecoder::new(&bytes[..]).read_to_string(&mut text).unwrap();
            }
        }
        assert_eq!(answer.status(), 200, "{what}: {text}");
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with("application/json"), "{what}");
        let json: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["status"], "success", "{what}: {text}");
        json["data"].clone()
    }

    fn get(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let query = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = agent()
            .get(format!("{}/api/v1/{path}?{query}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Accept-Encoding", "gzip, deflate, br")
            .header("User-Agent", "Grafana/12.1.0")
            .call();
        self.answer(request, path)
    }

    fn post(&self, path: &str, parameters: &[(&str, &str)]) -> Value {
        let form = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish();
        let request = agent()
            .post(format!("{}/api/v1/{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .header("Accept-Encoding", "gzip")
            .header("X-Datasource-Uid", "fournines")
            .header("X-Query-Group-Id", "9b2c")
            .send(form);
        self.answer(request, path)
    }
}

#[test]
fn a_session_of_grafana_has_the_answers_that_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let token = token(dir.path(), &["read", "write"]);
    let server = Server::start(dir.path(), "").with_token(&token);
    let now_s = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let mut page = String::from("# TYPE requests_total counter\n# HELP requests_total Requests.\n");
    for at in 0..60 {
        for (code, more) in [("200", 7), ("500", 1)] {
            page.push_str(&format!(
                "requests_total{{job=\"web\",code=\"{code}\"}} {} {}\n",
                at * more,
                (now_s - 900 + at * 15) * 1000
            ));
        }
    }
    let url = format!("{}/api/v1/import/prometheus", server.url);
    let sent = agent().post(url).header("Authorization", format!("Bearer {token}")).send(page).unwrap();
    assert_eq!(sent.status(), 204);
    let grafana = Source { url: server.url.clone(), token };
    let (start, end) = ((now_s - 900).to_string(), now_s.to_string());
    let span = [("start", start.as_str()), ("end", end.as_str())];

    // Saved and tested: does it reckon, and what is it? Features would make it Mimir.
    let two = grafana.post("query", &[("query", "1+1"), ("time", &format!("{end}.123"))]);
    assert_eq!((&two["resultType"], &two["result"][1]), (&json!("scalar"), &json!("2")));
    let what = grafana.get("status/buildinfo", &[]);
    assert!(what["version"].as_str().unwrap().starts_with("3.") && what.get("features").is_none(), "{what}");
    // Are there exemplars? In ms, where seconds are meant.
    let (start_ms, end_ms) = (format!("{start}000"), format!("{end}000"));
    assert!(grafana.get("query_exemplars", &[("query", "test"), ("start", &start_ms), ("end", &end_ms)]).is_array());
    // Rules and alerts of the source, on the pages of alerts.
    assert!(grafana.get("rules", &[])["groups"].is_array() && grafana.get("alerts", &[])["alerts"].is_array());

    // The builder of questions and Explore: names, what is said of them, labels and values.
    let names = grafana.get("label/__name__/values", &span);
    assert!(names.as_array().unwrap().contains(&json!("requests_total")));
    let said = grafana.get("metadata", &[("limit", "40000")]);
    assert_eq!(
        (&said["requests_total"][0]["type"], &said["requests_total"][0]["help"]),
        (&json!("counter"), &json!("Requests."))
    );
    let of_metric = [&span[..], &[("match[]", "requests_total")]].concat();
    assert_eq!(grafana.get("labels", &of_metric), json!(["__name__", "code", "job"]));
    assert_eq!(grafana.post("labels", &of_metric), json!(["__name__", "code", "job"]));
    assert_eq!(grafana.get("label/code/values", &of_metric), json!(["200", "500"]));
    let limited = [&span[..], &[("match[]", "{__name__=~\".*quests.*\"}"), ("limit", "40000")]].concat();
    assert_eq!(grafana.get("label/__name__/values", &limited), json!(["requests_total"]));
    let series = grafana.post("series", &of_metric);
    assert_eq!(
        series,
        json!([{"__name__": "requests_total", "code": "200", "job": "web"}, {"__name__": "requests_total", "code": "500", "job": "web"}])
    );

    // A variable that is a question, and one whose labels come from a question.
    let jobs = grafana.get("query", &[("query", "count by (job) (requests_total)"), ("time", &end)]);
    assert_eq!(jobs["result"][0]["metric"], json!({"job": "web"}));

    // A panel: range and, for Explore, instant beside; the interval is a number of seconds.
    let panel =
        [&span[..], &[("query", "sum by (code) (rate(requests_total{job=~\"web|api\"}[1m0s]))"), ("step", "15")]]
            .concat();
    let drawn = grafana.post("query_range", &panel);
    assert_eq!(drawn["resultType"], "matrix");
    let points = drawn["result"][0]["values"].as_array().unwrap();
    assert!(points.len() > 50 && points.iter().all(|point| point[0].is_number() && point[1].is_string()), "{drawn}");
    let instant = grafana.post("query", &[("query", "sum(requests_total)"), ("time", &format!("{end}.5"))]);
    assert_eq!(instant["result"].as_array().unwrap().len(), 1);
    // What the editor asks while somebody types.
    assert_eq!(
        grafana.post("format_query", &[("query", "sum(requests_total)by(code)")]),
        "sum by (code) (requests_total)"
    );
}

/// What is wrong comes as Grafana shows it: a status whose body it reads, and a sentence in `error`.
#[test]
fn grafana_can_show_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), "");
    let two =
        "(label_replace(vector(1), \"a\", \"x\", \"\", \"\") or label_replace(vector(1), \"a\", \"y\", \"\", \"\"))";
    let many_to_one = format!("{two} + on () vector(1)");
    for (query, status, kind) in [("sum(", 400, "bad_data"), (many_to_one.as_str(), 422, "execution")] {
        let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
        let mut answer = agent()
            .post(format!("{}/api/v1/query", server.url))
            .header("Content-Type", "application/x-www-form-urlencoded")
            .send(form)
            .unwrap();
        let json: Value = serde_json::from_str(&answer.body_mut().read_to_string().unwrap()).unwrap();
        assert_eq!((answer.status().as_u16(), &json["errorType"]), (status, &json!(kind)), "{json}");
        assert!(!json["error"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_provisioned_source_is_the_one_of_prometheus() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("dist/grafana/datasource.yaml");
    let text = std::fs::read_to_string(file).unwrap();
    for line in ["apiVersion: 1", "type: prometheus", "url: http://127.0.0.1:9999", "httpMethod: POST"] {
        assert!(text.contains(line), "{line}");
    }
}
