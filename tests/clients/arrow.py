"""pyarrow: an IPC stream, plain and with compressed buffers."""

import sys
import urllib.error
import urllib.request

import pyarrow as pa

from rows import again, batches, row


def stream(table, **options):
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def post(body, query="?measurement=m"):
    headers = {"Authorization": "Bearer " + sys.argv[2]}
    request = urllib.request.Request(sys.argv[1] + "/api/v1/import/arrow" + query, body, headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 204


for number, batch in enumerate(batches()):
    host, second, float_value, integer, text, boolean = zip(*map(row, batch))
    table = pa.table({
        "time": pa.array([s * 10**6 for s in second], pa.timestamp("us", "UTC")),
        "host": pa.array(host).dictionary_encode(),
        "f": float_value,
        "n": pa.array(integer, pa.int32()),
        "s": pa.array(text, [pa.string(), pa.large_string(), pa.string_view()][number % 3]),
        "b": boolean,
    })
    body = stream(table, compression=[None, "zstd", "lz4"][number % 3])
    again(lambda: post(body), OSError)

try:
    post(stream(pa.table({"time": pa.array([1], pa.int64()), "x": [[1, 2]]})))
    sys.exit("a list was taken")
except urllib.error.HTTPError as error:
    assert error.code == 400 and b"column 'x' is List" in error.read()
