"""What rollups save: the percentiles of a year and its means by month, from rows and from rollups of hours and of days.

  benches/rollups.py FOURNINES PORT FOLDER

FOLDER is the data that benches/growth.py left. Medians in ms over a kept connection; bytes are of the data directory.
"""

import http.client
import json
import statistics
import subprocess
import sys
import time
import urllib.parse

PROGRAM, PORT, FOLDER = sys.argv[1], int(sys.argv[2]), sys.argv[3]
YEAR = "time >= '2025-01-01T00:00:00Z' AND time < '2026-01-01T00:00:00Z'"
P99 = f"SELECT target, approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99 FROM probe WHERE {YEAR} GROUP BY target ORDER BY target"
MONTHS = f"SELECT date_trunc('month', time) AS month, avg(total_ms), max(total_ms) FROM probe WHERE {YEAR} GROUP BY month ORDER BY month"

server = subprocess.Popen([PROGRAM, "serve", "--data-dir", FOLDER, "--listen", f"127.0.0.1:{PORT}"], stdout=subprocess.DEVNULL)
time.sleep(2)
connection = http.client.HTTPConnection("127.0.0.1", PORT, timeout=600)


def request(method, path, body=None):
    connection.request(method, path, body and json.dumps(body))
    answer = connection.getresponse()
    text = answer.read()
    assert answer.status in (200, 204), (answer.status, text[:200])
    return text


def ask(statement):
    return request("GET", "/api/v3/query_sql?" + urllib.parse.urlencode({"q": statement, "db": "growth"}))


def median_ms(statement):
    def once():
        start = time.perf_counter()
        ask(statement)
        return (time.perf_counter() - start) * 1000

    return statistics.median(once() for _ in range(9))


def size():
    return int(subprocess.check_output(["du", "-sb", FOLDER]).split()[0])


try:
    print("| from | bytes | p99 of each target | means by month | made in s |")
    whole, expected = size(), ask(P99)
    print(f"| rows | {whole:,} | {median_ms(P99):.1f} | {median_ms(MONTHS):.1f} | |")
    for interval in ("1h", "1d"):
        start = time.perf_counter()
        request("POST", "/api/v1/admin/rollups", {"measurement": "probe", "interval": interval, "db": "growth"})
        request("POST", "/api/v1/admin/compact")
        took = time.perf_counter() - start
        assert ask(P99) == expected, "a rollup must not change an answer"
        print(f"| rollup of {interval} | {size() - whole:,} | {median_ms(P99):.1f} | {median_ms(MONTHS):.1f} | {took:.1f} |")
        request("POST", "/api/v1/admin/rollups/remove", {"name": f"probe_{interval}"})
        request("POST", "/api/v1/admin/compact")
finally:
    server.terminate()
    server.wait()
