"""What Prometheus' API takes over a million series of one metric, in the head and sealed.

    benches/million_series.py target/release/fournines [folder]

Rows `m,host=hN,id=iM value=M`, of 1,000 hosts and 1,000 ids one each. Medians of five requests over a kept connection, the length of the answer, and the most memory
that the server had so far. Answers that are refused say so.
"""

import os
import statistics
import sys
import tempfile
import time
import urllib.parse

from serving import Client, serve, status_kb, stop

PROGRAM = os.path.abspath(sys.argv[1])
HOSTS, IDS = 1000, 1000
NOW = int(time.time()) - 10


def query(text, **more):
    return urllib.parse.urlencode({"query": text, "time": NOW, **more})


def matching(text):
    return urllib.parse.urlencode({"match[]": text})


SPAN = {"start": NOW - 3600, "end": NOW, "step": 60}
QUESTIONS = [
    "labels",
    "label/host/values",
    "label/id/values",
    "labels?" + matching("m"),
    "label/host/values?" + matching("m"),
    "label/host/values?" + matching('m{id="i7"}'),
    "series?" + matching('m{host="h7"}'),
    "query?" + query('m{host="h7",id="i7"}'),
    "query?" + query('count(m{host="h7"})'),
    "query?" + query("count(m)"),
    "query?" + query("sum by (host) (m)"),
    "query_range?" + query("count(m)", **SPAN),
    "query_range?" + query("m", **SPAN),
]

with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as root:
    server, port = serve(PROGRAM, f"{root}/data")
    client = Client(port)
    for host in range(HOSTS):
        rows = "".join(f"m,host=h{host},id=i{number} value={number} {NOW}\n" for number in range(IDS))
        client.request("POST", "/api/v2/write?precision=s", rows.encode())
    print("| | request | ms | bytes | MB at the most |")
    print("| --- | --- | --- | --- | --- |")
    for state in ["head", "sealed"]:
        for question in QUESTIONS:
            times = []
            for _ in range(5):
                start = time.perf_counter()
                try:
                    answer = client.request("GET", f"/api/v1/{question}")
                except Exception as error:  # is told
                    answer = str(error).encode()
                    client = Client(port)
                times.append((time.perf_counter() - start) * 1000)
            shown = urllib.parse.unquote_plus(question).split("&time")[0]
            said = "" if answer.startswith(b'{"status":"success"') else f" {answer[:120].decode()}"
            print(f"| {state} | `{shown}`{said} | {statistics.median(times):.1f} | {len(answer)} | {status_kb(server, 'VmHWM') / 1024:.0f} |", flush=True)
        client.request("POST", "/api/v1/admin/flush", b"")
    stop(server)
