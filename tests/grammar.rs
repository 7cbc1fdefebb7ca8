//! The grammar of line protocol, case by case, as [InfluxDB's
//! documentation](https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/) states it; and beside it
//! what a real InfluxDB 1 makes of the same lines.

use std::process::{Child, Command, Stdio};

use crate::parts::free_port;
use crate::server::{Server, agent, post, wait_for};

use Says::{Accepts, Refuses};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Says {
    Accepts,
    Refuses,
}

/// A line, what the documentation says of it, and why InfluxDB 1.6 or we do otherwise, if so.
struct Case {
    line: &'static str,
    documented: Says,
    influxdb_differs: bool,
    we_differ: Option<&'static str>,
}

const fn case(documented: Says, line: &'static str) -> Case {
    Case { line, documented, influxdb_differs: false, we_differ: None }
}

/// InfluxDB 1.6 does otherwise than the documentation of InfluxDB 2.
const fn newer(documented: Says, line: &'static str) -> Case {
    Case { influxdb_differs: true, ..case(documented, line) }
}

const CASES: [Case; 79] = [
    // The elements: measurement, tags, fields, timestamp.
    case(Accepts, "myMeasurement,tag1=value1,tag2=value2 fieldKey=\"fieldValue\" 1556813561098000000"),
    case(Accepts, "airSensors,sensorId=A0100,location=Main fieldKey=32.5"),
    case(Accepts, "m f=1 1556813561098000000"),
    case(Accepts, "m f=1"),
    case(Accepts, "m,t=v f=1,g=2"),
    case(Refuses, "m"),
    case(Refuses, "m,t=v"),
    case(Refuses, "m,t=v 1556813561098000000"),
    case(Refuses, "m 1556813561098000000"),
    case(Refuses, " f=1"),
    case(Refuses, ",t=v f=1"),
    case(Refuses, "m, f=1"),
    case(Refuses, "m,t f=1"),
    case(Refuses, "m,t= f=1"),
    case(Refuses, "m,=v f=1"),
    case(Refuses, "m =1"),
    case(Refuses, "m f="),
    case(Refuses, "m f"),
    case(Refuses, "m f=1,"),
    // Whitespace: the first space that is not escaped ends the tags, the second the fields.
    case(Refuses, "m, t=v f=1"),
    case(Refuses, "m f=1, g=2"),
    case(Refuses, "m f = 1"),
    case(Refuses, "m f=1 1556813561098000000 2"),
    // Floats, also in scientific notation.
    case(Accepts, "m f=1.0"),
    case(Accepts, "m f=1"),
    case(Accepts, "m f=-1.234456e+78"),
    case(Accepts, "m f=1E5"),
    case(Accepts, "m f=-0"),
    case(Accepts, "m f=0.5e-3"),
    case(Refuses, "m f=1.2.3"),
    case(Refuses, "m f=1e"),
    case(Refuses, "m f=--1"),
    case(Refuses, "m f=0x1f"),
    case(Refuses, "m f=1a"),
    case(Refuses, "m f=NaN"),
    case(Refuses, "m f=Inf"),
    case(Refuses, "m f=1,5"),
    // Integers, with a trailing i; unsigned with a trailing u.
    case(Accepts, "m i=1i"),
    case(Accepts, "m i=12485903i"),
    case(Accepts, "m i=-12485903i"),
    case(Accepts, "m i=9223372036854775807i"),
    case(Accepts, "m i=-9223372036854775808i"),
    case(Refuses, "m i=9223372036854775808i"),
    case(Refuses, "m i=1.5i"),
    case(Refuses, "m i=i"),
    newer(Accepts, "m u=1u"),
    newer(Accepts, "m u=18446744073709551615u"),
    case(Refuses, "m u=18446744073709551616u"),
    case(Refuses, "m u=-1u"),
    // Strings, in double quotes only.
    case(Accepts, "m s=\"this is a string\""),
    case(Accepts, "m s=\"\""),
    case(Accepts, "m s=\"\\\"string\\\" within a string\""),
    case(Accepts, "m s=\"a, b=c d\""),
    case(Refuses, "m s='single'"),
    case(Refuses, "m s=unquoted"),
    case(Refuses, "m s=\"open"),
    newer(Refuses, "m s=\"closed\"early"),
    // Booleans, unquoted.
    case(Accepts, "m b=t,c=T,d=true,e=True,g=TRUE"),
    case(Accepts, "m b=f,c=F,d=false,e=False,g=FALSE"),
    case(Refuses, "m b=tRUE"),
    case(Refuses, "m b=yes"),
    // Timestamps: whole numbers of 64 bits.
    case(Accepts, "m f=1 0"),
    case(Accepts, "m f=1 -1"),
    case(Accepts, "m f=1 1556813561098000000"),
    case(Refuses, "m f=1 1556813561098000000i"),
    case(Refuses, "m f=1 1.5"),
    case(Refuses, "m f=1 \"1556813561098000000\""),
    case(Refuses, "m f=1 99999999999999999999"),
    case(Refuses, "m f=1 2019-05-02T16:12:41Z"),
    // Escapes, and characters that need none.
    case(Accepts, "my\\ Measurement f=1"),
    case(Accepts, "my\\,Measurement f=1"),
    case(Accepts, "m,tag\\ Key1=tag\\ Value1,tag\\,Key2=tag\\=Value2 f=100"),
    case(Accepts, "m field\\ Key=1,field\\,Key2=2,field\\=Key3=3"),
    case(Accepts, "m,tagKey=🍭 s=\"Launch 🚀\" 1556813561098000000"),
    case(Accepts, "m,t=a\\b f=1"),
    case(Accepts, "m,t=\"quoted\" f=1"),
    // Comments.
    case(Accepts, "# This is a comment\nm f=1"),
    // Names that begin with an underscore are "reserved", which no InfluxDB enforces.
    Case {
        line: "_m,_t=v _f=1",
        documented: Refuses,
        influxdb_differs: true,
        we_differ: Some("every InfluxDB takes them, and clients send them"),
    },
    // "Line protocol does not support the newline character in field values", which every InfluxDB takes.
    Case {
        line: "m s=\"two\nlines\"",
        documented: Refuses,
        influxdb_differs: true,
        we_differ: Some("every InfluxDB takes them in quotes"),
    },
];

fn accepted(status: u16) -> Says {
    if status == 204 { Accepts } else { Refuses }
}

#[test]
fn lines_are_accepted_or_refused_as_documented() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(&dir.path().join("data"), "");
    for (number, case) in CASES.iter().enumerate() {
        // Each in a schema of its own, so that no field has a type from before.
        let reply = server.write(&format!("?db=case{number}"), case.line.as_bytes());
        let expected = match (case.we_differ, case.documented) {
            (None, documented) => documented,
            (Some(_), Accepts) => Refuses,
            (Some(_), Refuses) => Accepts,
        };
        assert!(reply.status == 204 || reply.status == 400, "{:?}: {}", case.line, reply.status);
        assert_eq!(accepted(reply.status), expected, "{:?}: {}", case.line, reply.body);
    }
}

struct Influxd(Child);

impl Drop for Influxd {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[cfg_attr(not(part = "influxd"), ignore = "needs influxd: .ci/run installs it")]
fn influxdb_does_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let (http, rpc) = (format!("127.0.0.1:{}", free_port()), format!("127.0.0.1:{}", free_port()));
    let path = |name: &str| dir.path().join(name);
    let child = Command::new("influxd")
        .env("INFLUXDB_META_DIR", path("meta"))
        .env("INFLUXDB_DATA_DIR", path("data"))
        .env("INFLUXDB_DATA_WAL_DIR", path("wal"))
        .env("INFLUXDB_HTTP_BIND_ADDRESS", &http)
        .env("INFLUXDB_BIND_ADDRESS", rpc)
        .env("INFLUXDB_REPORTING_DISABLED", "true")
        .env("INFLUXDB_MONITOR_STORE_ENABLED", "false")
        .args(["-config", "/dev/null"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let _influxd = Influxd(child);
    wait_for("influxd", || agent().get(format!("http://{http}/ping")).call().is_ok());
    let mut others = Vec::new();
    for (number, case) in CASES.iter().enumerate() {
        post(&format!("http://{http}/query?q=CREATE+DATABASE+case{number}"), b"").unwrap();
        let reply = post(&format!("http://{http}/write?db=case{number}"), case.line.as_bytes()).unwrap();
        if (accepted(reply.status) == case.documented) == case.influxdb_differs {
            others.push(format!(
                "{:?}: documented {:?}, answered {} {}",
                case.line, case.documented, reply.status, reply.body
            ));
        }
    }
    assert!(others.is_empty(), "InfluxDB does otherwise than noted:\n{}", others.join(""));
}
