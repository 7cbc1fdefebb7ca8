//! Line protocol from the specification, case by case, through a real server.
//!
//! <https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/>

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

use crate::server::Server;

/// A server, and a schema for every case so that they do not meet.
struct Cases {
    server: Server,
    _dir: tempfile::TempDir,
    count: usize,
}

impl Cases {
    fn new() -> Cases {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::start(&dir.path().join("data"), "");
        Cases { server, _dir: dir, count: 0 }
    }

    /// Writes `lines`, which must all be taken, and compares the answer to `sql` (JSON) with `expected`.
    fn taken(&mut self, lines: &str, sql: &str, expected: &str) {
        self.count += 1;
        let schema = format!("case{}", self.count);
        let reply = self.server.write(&format!("?db={schema}"), lines.as_bytes());
        assert_eq!(reply.status, 204, "{lines}: {}", reply.body);
        let answer = self.server.sql_in(&schema, sql, "jsonl");
        assert_eq!(answer.body.trim_end(), expected, "{lines}");
    }

    /// Writes `lines`, of which exactly `bad` (numbers with part of the reason) must be refused, and `good` rows kept.
    fn refused(&mut self, lines: &str, bad: &[(usize, &str)], good: usize) {
        self.count += 1;
        let schema = format!("case{}", self.count);
        let reply = self.server.write(&format!("?db={schema}"), lines.as_bytes());
        assert_eq!(reply.status, 400, "{lines}");
        for (line, reason) in bad {
            assert!(reply.body.contains(&format!("\"line_number\":{line},")), "{lines}: {}", reply.body);
            assert!(reply.body.contains(reason), "{lines}: {}", reply.body);
        }
        assert!(reply.body.contains(&format!("\"lines_refused\":{},", bad.len())), "{lines}: {}", reply.body);
        assert!(reply.body.contains(&format!("\"lines_written\":{good},")), "{lines}: {}", reply.body);
        let kept = self.server.sql_in(&schema, "SELECT count(*) AS n FROM m", "csv");
        let kept = if kept.status == 200 { kept.body.lines().nth(1).unwrap().parse().unwrap() } else { 0 };
        assert_eq!(kept, good, "{lines}");
    }
}

#[test]
fn every_type_is_kept_exactly() {
    let mut cases = Cases::new();
    cases.taken("m f=1 1", "SELECT f FROM m", r#"{"f":1.0}"#);
    cases.taken("m f=-1.5e3 1", "SELECT f FROM m", r#"{"f":-1500.0}"#);
    cases.taken("m f=1.E-3 1", "SELECT f FROM m", r#"{"f":0.001}"#);
    cases.taken("m f=1.7976931348623157e308 1", "SELECT f FROM m", r#"{"f":1.7976931348623157e308}"#);
    cases.taken("m f=5e-324 1", "SELECT f FROM m", r#"{"f":5.0e-324}"#);
    cases.taken("m f=-0.0 1", "SELECT f FROM m", r#"{"f":-0.0}"#);
    cases.taken("m f=0.1 1", "SELECT f FROM m", r#"{"f":0.1}"#);
    cases.taken("m i=-9223372036854775808i 1", "SELECT i FROM m", r#"{"i":-9223372036854775808}"#);
    cases.taken("m i=9223372036854775807i 1", "SELECT i FROM m", r#"{"i":9223372036854775807}"#);
    // Times of QuestDB's clients, as whole numbers in the unit that they were sent in.
    cases.taken("m i=1767225600000000t 1", "SELECT i FROM m", r#"{"i":1767225600000000}"#);
    cases.taken("m i=-1n 1", "SELECT i FROM m", r#"{"i":-1}"#);
    cases.taken("m u=18446744073709551615u 1", "SELECT u FROM m", r#"{"u":18446744073709551615}"#);
    for (word, value) in [("t", true), ("T", true), ("true", true), ("True", true), ("TRUE", true)].into_iter().chain([
        ("f", false),
        ("F", false),
        ("false", false),
        ("False", false),
        ("FALSE", false),
    ]) {
        cases.taken(&format!("m b={word} 1"), "SELECT b FROM m", &format!(r#"{{"b":{value}}}"#));
    }
    cases.taken(r#"m s="" 1"#, "SELECT s FROM m", r#"{"s":""}"#);
    cases.taken(r#"m s="12i" 1"#, "SELECT s FROM m", r#"{"s":"12i"}"#);
}

#[test]
fn escapes_quotes_and_unicode() {
    let mut cases = Cases::new();
    cases.taken(
        r"my\ m\,x,t\ a\,g=v\ a\,l\=ue f\ i\,e\=ld=1 1",
        r#"SELECT * FROM "my m,x""#,
        r#"{"time":"1970-01-01T00:00:00.000000001Z","t a,g":"v a,l=ue","f i,e=ld":1.0}"#,
    );
    cases.taken(r#"m s="say \"hi\", a\\b, c=d e" 1"#, "SELECT s FROM m", r#"{"s":"say \"hi\", a\\b, c=d e"}"#);
    // A backslash before anything else is a backslash.
    cases.taken(r#"m,t=a\b s="x\ny" 1"#, "SELECT t, s FROM m", r#"{"t":"a\\b","s":"x\\ny"}"#);
    cases.taken(r#"m,t=it's f=1 1"#, "SELECT t FROM m", r#"{"t":"it's"}"#);
    // Quotes mean nothing outside of string fields.
    cases.taken(r#"m,"t"="v" "f"=1 1"#, r#"SELECT """t""", """f""" FROM m"#, r#"{"\"t\"":"\"v\"","\"f\"":1.0}"#);
    cases.taken(
        "m,städte=köln 气温=21.5,s=\"🌡 warm\" 1",
        r#"SELECT * FROM m"#,
        r#"{"time":"1970-01-01T00:00:00.000000001Z","städte":"köln","气温":21.5,"s":"🌡 warm"}"#,
    );
    // A measurement may hold '='; a string may hold a newline, and the line behind it is still found.
    cases.taken("a=b f=1 1", r#"SELECT f FROM "a=b""#, r#"{"f":1.0}"#);
    cases.taken(
        "m s=\"two\nlines\" 1\nm s=\"x\" 2",
        "SELECT s FROM m ORDER BY time",
        "{\"s\":\"two\\nlines\"}\n{\"s\":\"x\"}",
    );
    // Names are first looked for where the line before had them; one is the other's beginning, or has an escape.
    cases.taken(
        "m ab=1,a=2 1\nm a=3,ab=4 2\nm a\\=b=5,a=6 3\nm a=7,a\\=b=8 4\nm a=9 5",
        "SELECT a, ab, \"a=b\" AS e FROM m ORDER BY time",
        r#"{"a":2.0,"ab":1.0,"e":null}
{"a":3.0,"ab":4.0,"e":null}
{"a":6.0,"ab":null,"e":5.0}
{"a":7.0,"ab":null,"e":8.0}
{"a":9.0,"ab":null,"e":null}"#,
    );
}

#[test]
fn lines_comments_blank_lines_and_crlf() {
    let mut cases = Cases::new();
    let lines = "# a comment\r\n\r\nm f=1 1\r\n   \n  m f=2 2\n#m f=9 9\nm f=3 3";
    cases.taken(lines, "SELECT sum(f) AS f FROM m", r#"{"f":6.0}"#);
    cases.taken("m,t=a   f=1   5  \r\n", "SELECT t, CAST(time AS BIGINT) AS at FROM m", r#"{"t":"a","at":5}"#);
    let reply = cases.server.write("", b"");
    assert_eq!(reply.status, 204, "nothing to write is no mistake");
}

#[test]
fn rows_of_one_series_and_time_merge() {
    let mut cases = Cases::new();
    cases.taken(
        "m,a=1,b=2 f=1,g=1 1\nm,b=2,a=1 g=2 1",
        "SELECT * FROM m",
        r#"{"time":"1970-01-01T00:00:00.000000001Z","a":"1","b":"2","f":1.0,"g":2.0}"#,
    );
    cases.taken("m f=1,f=2 1", "SELECT f FROM m", r#"{"f":2.0}"#);
}

#[test]
fn timestamps_and_precision() {
    let cases = Cases::new();
    let at = |schema: &str| cases.server.sql_in(schema, "SELECT CAST(time AS BIGINT) AS at FROM m", "csv").body;
    for (precision, ns) in [
        ("ns", "7"),
        ("n", "7"),
        ("us", "7000"),
        ("u", "7000"),
        ("ms", "7000000"),
        ("s", "7000000000"),
        ("m", "420000000000"),
        ("h", "25200000000000"),
    ] {
        let reply = cases.server.write(&format!("?db=p{precision}&precision={precision}"), b"m f=1 7");
        assert_eq!(reply.status, 204, "{}", reply.body);
        assert_eq!(at(&format!("p{precision}")), format!("at\n{ns}\n"));
    }
    assert_eq!(cases.server.write("?db=neg", b"m f=1 -1").status, 204);
    assert_eq!(at("neg"), "at\n-1\n");
    for body in ["m f=1 9223372036854775807", "m f=1 -9223372036854775808"] {
        assert_eq!(cases.server.write("?db=edge", body.as_bytes()).status, 204);
    }
    assert_eq!(cases.server.sql_in("edge", "SELECT count(*) AS n FROM m", "csv").body, "n\n2\n");
    let reply = cases.server.write("?precision=fortnight", b"m f=1 7");
    assert!(reply.status == 400 && reply.body.contains("precision 'fortnight'"), "{}", reply.body);
    // Without a timestamp it is now.
    cases.server.write("?db=now", b"m f=1");
    let near = "SELECT count(*) AS n FROM m WHERE time BETWEEN now() - INTERVAL '1 minute' AND now()";
    assert_eq!(cases.server.sql_in("now", near, "csv").body, "n\n1\n");
}

#[test]
fn bad_lines_are_named_and_cost_nothing_else() {
    let mut cases = Cases::new();
    for (bad, reason) in [
        ("m", "expected a space and fields"),
        ("m ", "expected a field"),
        ("m,t=a", "expected a space and fields"),
        ("m,t=a 1", "expected '=' and a value after field '1'"),
        ("m f=1,g 1", "expected '=' and a value after field 'g'"),
        ("m f=1, 1", "expected a field"),
        (",t=a f=1 1", "expected a measurement"),
        ("m, f=1 1", "expected a tag after ','"),
        ("m,t= f=1 1", "expected '=' and a value after tag 't'"),
        ("m,t f=1 1", "expected '=' and a value after tag 't'"),
        ("m,=a f=1 1", "expected a tag name"),
        ("m,t=a,t=b f=1 1", "tag 't' stands twice"),
        ("m,t=a=b f=1 1", "tag 't': a '=' in a value"),
        ("m,time=a f=1 1", "'time' is the timestamp's name"),
        ("m time=1 1", "'time' is the timestamp's name"),
        ("m =1 1", "expected a field name"),
        ("m f= 1", "expected a value after 'f='"),
        ("m f=NaN 1", "found 'NaN'"),
        ("m f=inf 1", "found 'inf'"),
        ("m f=-inf 1", "found '-inf'"),
        ("m f=1e400 1", "out of range for a 64-bit float"),
        ("m f=1.2.3 1", "found '1.2.3'"),
        ("m f=0x10 1", "found '0x10'"),
        ("m f=tru 1", "found 'tru'"),
        ("m f=1é 1", "found '1é'"),
        ("m f=9223372036854775808i 1", "is no 64-bit integer"),
        ("m f=1.5i 1", "is no 64-bit integer"),
        ("m f=18446744073709551616u 1", "is no unsigned 64-bit integer"),
        ("m f=-1u 1", "is no unsigned 64-bit integer"),
        ("m f=\"open 1", "has no closing quote"),
        ("m f=\"a\"b 1", "after the closing quote"),
        ("m f=1 soon", "expected a whole number as timestamp"),
        ("m f=1 1.5", "expected a whole number as timestamp"),
        ("m f=1 9223372036854775808", "is out of range"),
        ("m f=1 1 2", "expected the end of the line"),
        ("m x=1 1", "field 'x' of 'm' is an integer, this row has a float"),
        ("m tag=1 1", "'tag' of 'm' is a tag, this row uses it as a field"),
        ("m,x=a f=1 1", "'x' of 'm' is a field, this row uses it as a tag"),
    ] {
        let lines = format!("m,tag=v x=1i 1\n{bad}\nm,tag=w x=2i 2");
        cases.refused(&lines, &[(2, reason.replace('"', "\\\"").as_str())], 2);
    }
    cases.refused("m f=1 1\n\n#\nm f=a 2\nm f=2 2\nm f=b", &[(4, "found 'a'"), (6, "found 'b'")], 2);
    cases.refused("m s=\"a\nb\" 1\nm s=bad 2", &[(3, "found 'bad'")], 1);
}

#[test]
fn a_line_that_is_not_utf_8_costs_only_itself() {
    let cases = Cases::new();
    let reply = cases.server.write("?db=bytes", b"m f=1 1\nm s=\"\xff\" 2\nm f=3 3\n");
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("\"line_number\":2,") && reply.body.contains("not UTF-8"), "{}", reply.body);
    assert_eq!(cases.server.sql_in("bytes", "SELECT count(*) AS n FROM m", "csv").body, "n\n2\n");
}

#[test]
fn gzip_is_unpacked_and_limits_name_their_knob() {
    let dir = tempfile::tempdir().unwrap();
    let config = "[server]\nbody_max = '10KB'\nunpacked_max = '20KB'\n";
    let server = Server::start(&dir.path().join("data"), config);
    let post = |body: &[u8]| {
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(body).unwrap();
        let request = crate::server::agent().post(format!("{}/api/v2/write?bucket=b", server.url));
        let mut answer = request.header("content-encoding", "gzip").send(packed.finish().unwrap()).unwrap();
        (answer.status().as_u16(), answer.body_mut().read_to_string().unwrap())
    };
    assert_eq!(post(b"m f=1 1\n").0, 204);
    let (status, body) = post("m f=1 1\n".repeat(3000).as_bytes());
    assert!(status == 413 && body.contains("server.unpacked_max"), "{status} {body}");
    let reply = server.write("?db=b", "m f=1 1\n".repeat(2000).as_bytes());
    assert!(reply.status == 413 && reply.body.contains("server.body_max"), "{}", reply.body);
    assert_eq!(server.sql_in("b", "SELECT count(*) AS n FROM m", "csv").body, "n\n1\n");
}

#[test]
fn new_series_past_the_limit_are_refused_and_known_ones_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "[store]\ncatalog_max = '40KB'\n");
    let lines = |time: i64| (0..500).map(|n| format!("m,host=h{n} v={n} {time}\n")).collect::<String>();
    let refused = server.write("", lines(1).as_bytes());
    assert_eq!(refused.status, 400);
    assert!(refused.body.contains("store.catalog_max"), "{}", refused.body);
    let series = &server.rows("SELECT count(DISTINCT host) FROM m")[0][0];
    assert!((50..500).contains(&series.parse().unwrap()), "{series} series");
    // Those that are known, once more.
    let known = |n: usize| format!("m,host=h{n} v={n}.5 2\n");
    let known: String = (0..series.parse().unwrap()).map(known).collect();
    assert_eq!(server.write("", known.as_bytes()).status, 204);
    assert_eq!(
        &server.rows("SELECT count(*) FROM m WHERE time = arrow_cast(2, 'Timestamp(Nanosecond, Some(\"UTC\"))')")[0][0],
        series
    );
}
