"""pyarrow and DuckDB: answers as Parquet and as an Arrow stream have the rows of JSON lines; packed answers are the same bytes."""

import gzip
import io
import json
import sys
import urllib.parse
import urllib.request

import cramjam
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq


def ask(sql, format, headers={}):
    query = urllib.parse.urlencode({"q": sql, "format": format})
    request = urllib.request.Request(sys.argv[1] + "/api/v3/query_sql?" + query, headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return answer.read(), answer.headers


def plain(value):
    return value.timestamp() if hasattr(value, "timestamp") else value


SQL = "SELECT * FROM m ORDER BY time"
lines = [json.loads(line) for line in ask(SQL, "jsonl")[0].splitlines()]
assert len(lines) == 20_000
body, headers = ask(SQL, "parquet")
assert headers["content-type"] == "application/vnd.apache.parquet"
parquet = pq.read_table(io.BytesIO(body))
body, headers = ask(SQL, "arrow")
assert headers["content-type"] == "application/vnd.apache.arrow.stream"
arrow = pa.ipc.open_stream(body).read_all()
for table in (parquet, arrow):
    assert table.schema.field("time").type == pa.timestamp("ns", "UTC"), table.schema
    times = table.column("time").cast(pa.int64()).to_pylist()
    assert times == list(range(1, 20_001))
    for name in ("host", "f", "n", "s", "b"):
        assert table.column(name).to_pylist() == [line[name] for line in lines], name
with open(sys.argv[2] + "/answer.parquet", "wb") as file:
    file.write(ask(SQL, "parquet")[0])
rows = duckdb.sql(f"SELECT count(*), sum(n), count(s) FROM '{sys.argv[2]}/answer.parquet'").limit(1).fetchall()[0]
assert rows == (20_000, sum(line["n"] for line in lines), sum(line["s"] is not None for line in lines)), rows
for none in ("SELECT f FROM m WHERE f > 1e9", "SELECT f FROM m WHERE n = 1 AND f > 1e9"):
    assert pq.read_table(io.BytesIO(ask(none, "parquet")[0])).num_rows == 0
    assert pa.ipc.open_stream(ask(none, "arrow")[0]).read_all().num_rows == 0

for format in ("json", "csv", "pretty", "arrow"):
    whole, headers = ask(SQL, format)
    assert "content-encoding" not in headers
    for accepted, coding, unpack in (
        ("gzip", "gzip", gzip.decompress),
        ("zstd", "zstd", lambda packed: bytes(cramjam.zstd.decompress(packed))),
        ("gzip, zstd;q=0.5", "zstd", lambda packed: bytes(cramjam.zstd.decompress(packed))),
        ("zstd;q=0, gzip;q=1.0", "gzip", gzip.decompress),
    ):
        packed, headers = ask(SQL, format, {"Accept-Encoding": accepted})
        assert headers["content-encoding"] == coding, (accepted, headers["content-encoding"])
        assert unpack(packed) == whole, (format, accepted)
        assert len(packed) < len(whole) / 2
    assert ask(SQL, format, {"Accept-Encoding": "br, gzip;q=0"})[1]["content-encoding"] is None
