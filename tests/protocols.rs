//! Every protocol under kill -9: clients send until they are told that it is stored, while the server is killed and
//! started again; in the end each row is there once, to the bit.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::array::{DictionaryArray, Float64Array, RecordBatch, TimestampMillisecondArray};
use arrow::datatypes::Int32Type;
use arrow::ipc::writer::StreamWriter;

use crate::server::{Reply, Server, agent};

/// Rows of each protocol, and of a request.
const ROWS: usize = 24_000;
const REQUEST_ROWS: usize = 60;
const KILLS: usize = 4;

/// Row `n` of a protocol: its host, its time in ms, its value.
fn row(n: usize) -> (String, i64, f64) {
    let mut random = fastrand::Rng::with_seed(n as u64);
    // Any float that is a number, large or small or a negative zero.
    let value = match n % 10 {
        0 => -0.0,
        1 => n as f64,
        _ => std::iter::repeat_with(|| f64::from_bits(random.u64(..))).find(|value| value.is_finite()).unwrap(),
    };
    (format!("host {}", n % 7), 1_767_225_600_000 + n as i64, value)
}

/// A protocol: the table that its rows go to here, its path, its media type, and how rows of a table are written.
pub struct Protocol {
    pub table: &'static str,
    /// `{table}` stands for the table.
    path: &'static str,
    media_type: &'static str,
    encode: fn(&str, &[usize]) -> Vec<u8>,
}

impl Protocol {
    /// Sends rows of a table once.
    pub fn send(&self, agent: &ureq::Agent, url: &str, table: &str, rows: &[usize]) -> Result<Reply, ureq::Error> {
        let path = self.path.replace("{table}", table);
        let request = agent.post(format!("{url}{path}")).header("Content-Type", self.media_type);
        let mut answer = request.send(&(self.encode)(table, rows)[..])?;
        let body = String::from_utf8_lossy(&answer.body_mut().read_to_vec()?).into_owned();
        Ok(Reply { status: answer.status().as_u16(), body })
    }
}

pub const PROTOCOLS: [Protocol; 10] = [
    Protocol { table: "lp1", path: "/write?precision=ms", media_type: "text/plain", encode: line_protocol },
    Protocol { table: "lp3", path: "/api/v3/write_lp?db=public", media_type: "text/plain", encode: line_protocol },
    Protocol { table: "rw1", path: "/api/v1/write", media_type: "application/x-protobuf", encode: remote_write_1 },
    Protocol {
        table: "rw2",
        path: "/api/v1/write",
        media_type: "application/x-protobuf;proto=io.prometheus.write.v2.Request",
        encode: remote_write_2,
    },
    Protocol { table: "otlp", path: "/v1/metrics", media_type: "application/x-protobuf", encode: otlp },
    Protocol { table: "otlp_json", path: "/v1/metrics", media_type: "application/json", encode: otlp_json },
    Protocol { table: "text", path: "/api/v1/import/prometheus", media_type: "text/plain", encode: text },
    Protocol { table: "json", path: "/api/v1/import/json?precision=ms", media_type: "application/json", encode: json },
    Protocol {
        table: "csv",
        path: "/api/v1/import/csv?precision=ms&measurement={table}",
        media_type: "text/csv",
        encode: csv,
    },
    Protocol {
        table: "arrow",
        path: "/api/v1/import/arrow?measurement={table}",
        media_type: "application/vnd.apache.arrow.stream",
        encode: arrow,
    },
];

fn line_protocol(table: &str, rows: &[usize]) -> Vec<u8> {
    let lines = rows.iter().map(|n| {
        let (host, time, value) = row(*n);
        format!("{table},host={} value={value:e} {time}\n", host.replace(' ', "\\ "))
    });
    lines.collect::<String>().into_bytes()
}

fn text(table: &str, rows: &[usize]) -> Vec<u8> {
    let lines = rows.iter().map(|n| {
        let (host, time, value) = row(*n);
        format!("{table}{{host=\"{host}\"}} {value} {time}\n")
    });
    lines.collect::<String>().into_bytes()
}

fn json(table: &str, rows: &[usize]) -> Vec<u8> {
    let lines = rows.iter().map(|n| {
        let (host, time, value) = row(*n);
        format!("{{\"measurement\":\"{table}\",\"tags\":{{\"host\":\"{host}\"}},\"time\":{time},\"fields\":{{\"value\":{value:e}}}}}\n")
    });
    lines.collect::<String>().into_bytes()
}

fn csv(_: &str, rows: &[usize]) -> Vec<u8> {
    let lines = rows.iter().map(|n| {
        let (host, time, value) = row(*n);
        format!("{time},{host},{value:e}\n")
    });
    format!("time,host,value\ntime,tag,float\n{}", lines.collect::<String>()).into_bytes()
}

fn arrow(_: &str, rows: &[usize]) -> Vec<u8> {
    let rows: Vec<_> = rows.iter().map(|n| row(*n)).collect();
    let hosts: DictionaryArray<Int32Type> = rows.iter().map(|(host, ..)| host.as_str()).collect();
    let times = TimestampMillisecondArray::from_iter_values(rows.iter().map(|(_, time, _)| *time));
    let values = Float64Array::from_iter_values(rows.iter().map(|(.., value)| *value));
    let columns: [(&str, Arc<dyn arrow::array::Array>); 3] =
        [("host", Arc::new(hosts)), ("time", Arc::new(times)), ("value", Arc::new(values))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

/// A message of protobuf.
#[derive(Default)]
pub struct Message(pub Vec<u8>);

impl Message {
    pub fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    pub fn bytes(mut self, field: u8, bytes: &[u8]) -> Message {
        self.0.push(field << 3 | 2);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn number(mut self, field: u8, number: i64) -> Message {
        self.0.push(field << 3);
        self.varint(number as u64);
        self
    }

    pub fn eight(mut self, field: u8, bits: u64) -> Message {
        self.0.push(field << 3 | 1);
        self.0.extend(bits.to_le_bytes());
        self
    }
}

pub fn pair(name: &str, value: &str) -> Vec<u8> {
    Message::default().bytes(1, name.as_bytes()).bytes(2, value.as_bytes()).0
}

fn sample(n: usize) -> Vec<u8> {
    let (_, time, value) = row(n);
    Message::default().eight(1, value.to_bits()).number(2, time).0
}

pub fn snappy(message: Message) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&message.0).unwrap()
}

fn remote_write_1(table: &str, rows: &[usize]) -> Vec<u8> {
    snappy(rows.iter().fold(Message::default(), |request, n| {
        let labels = Message::default().bytes(1, &pair("__name__", table)).bytes(1, &pair("host", &row(*n).0));
        request.bytes(1, &labels.bytes(2, &sample(*n)).0)
    }))
}

fn remote_write_2(table: &str, rows: &[usize]) -> Vec<u8> {
    let hosts: Vec<String> = rows.iter().map(|n| row(*n).0).collect();
    let names = ["", "__name__", table, "host"].into_iter().chain(hosts.iter().map(String::as_str));
    let request = names.fold(Message::default(), |request, symbol| request.bytes(4, symbol.as_bytes()));
    snappy(rows.iter().enumerate().fold(request, |request, (at, n)| {
        let mut refs = Message::default();
        [1, 2, 3, 4 + at as u64].into_iter().for_each(|symbol| refs.varint(symbol));
        request.bytes(5, &Message::default().bytes(1, &refs.0).bytes(2, &sample(*n)).0)
    }))
}

fn otlp(table: &str, rows: &[usize]) -> Vec<u8> {
    let points = rows.iter().fold(Message::default(), |gauge, n| {
        let (host, time, value) = row(*n);
        let text = Message::default().bytes(1, host.as_bytes());
        let attribute = Message::default().bytes(1, b"host").bytes(2, &text.0);
        let point =
            Message::default().eight(3, time as u64 * 1_000_000).eight(4, value.to_bits()).bytes(7, &attribute.0);
        gauge.bytes(1, &point.0)
    });
    let metric = Message::default().bytes(1, table.as_bytes()).bytes(5, &points.0);
    let scope = Message::default().bytes(2, &metric.0);
    Message::default().bytes(1, &Message::default().bytes(2, &scope.0).0).0
}

fn otlp_json(table: &str, rows: &[usize]) -> Vec<u8> {
    let points: Vec<String> = rows
        .iter()
        .map(|n| {
            let (host, time, value) = row(*n);
            format!(
                "{{\"timeUnixNano\":\"{}\",\"asDouble\":{value:e},\"attributes\":[{{\"key\":\"host\",\"value\":{{\"stringValue\":\"{host}\"}}}}]}}",
                time * 1_000_000
            )
        })
        .collect();
    format!(
        "{{\"resourceMetrics\":[{{\"scopeMetrics\":[{{\"metrics\":[{{\"name\":\"{table}\",\"gauge\":{{\"dataPoints\":[{}]}}}}]}}]}}]}}",
        points.join(",")
    )
    .into_bytes()
}

/// Sends all rows of a protocol, each request until it is stored.
fn send(protocol: &Protocol, url: &str, sent: &AtomicUsize) {
    let agent = agent();
    for first in (0..ROWS).step_by(REQUEST_ROWS) {
        let rows: Vec<usize> = (first..first + REQUEST_ROWS).collect();
        loop {
            match protocol.send(&agent, url, protocol.table, &rows) {
                Ok(reply) if (200..300).contains(&reply.status) => break,
                Ok(Reply { status, body }) if status != 503 => panic!("{}: {status} {body}", protocol.table),
                _ => std::thread::sleep(Duration::from_millis(20)),
            }
        }
        sent.fetch_add(REQUEST_ROWS, Ordering::Relaxed);
    }
}

#[test]
fn rows_of_every_protocol_survive_kill_9_to_the_bit() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().join("data");
    let mut server = Server::start(&data_dir, "[store]\nhead_max = '300KiB'\n");
    let url = server.url.clone();
    let sent = AtomicUsize::new(0);
    let server = std::thread::scope(|scope| {
        let clients: Vec<_> = PROTOCOLS.iter().map(|protocol| scope.spawn(|| send(protocol, &url, &sent))).collect();
        for kill in 1..=KILLS {
            // Somewhere in the middle, by what has arrived.
            while sent.load(Ordering::Relaxed) < kill * ROWS * PROTOCOLS.len() / (KILLS + 1)
                && !clients.iter().any(std::thread::ScopedJoinHandle::is_finished)
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            server = server.crash(&data_dir, Duration::ZERO);
        }
        server
    });
    for Protocol { table, .. } in &PROTOCOLS {
        let sql = format!("SELECT host, CAST(time AS BIGINT) / 1000000 AS ms, value FROM {table} ORDER BY ms");
        let rows = server.rows(&sql);
        assert_eq!(rows.len(), ROWS, "{table}");
        for (n, got) in rows.iter().enumerate() {
            let (host, time, value) = row(n);
            assert_eq!(got[..2], [host, time.to_string()], "{table}");
            assert_eq!(got[2].parse::<f64>().unwrap().to_bits(), value.to_bits(), "{table}: row {n} is {got:?}");
        }
    }
}
