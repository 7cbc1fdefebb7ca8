"""What rollups save: the percentiles of a year and its means by month, from rows and from rollups of hours and of days.

  benches/rollups.py FOURNINES FOLDER

FOLDER is the data that benches/growth.py left. Medians in ms over a kept connection; bytes are of the data directory.
"""

import json
import statistics
import subprocess
import sys
import time

import serving

PROGRAM, FOLDER = sys.argv[1], sys.argv[2]
YEAR = "time >= '2025-01-01T00:00:00Z' AND time < '2026-01-01T00:00:00Z'"
P99 = f"SELECT target, approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99 FROM probe WHERE {YEAR} GROUP BY target ORDER BY target"
MONTHS = f"SELECT date_trunc('month', time) AS month, avg(total_ms), max(total_ms) FROM probe WHERE {YEAR} GROUP BY month ORDER BY month"

server, port = serving.serve(PROGRAM, FOLDER)
client = serving.Client(port, "growth")


def post(path, body=None):
    client.request("POST", f"/api/v1/admin/{path}", body and json.dumps(body))


def median_ms(statement):
    return statistics.median(client.ask_ms(statement) for _ in range(9))


def size():
    return int(subprocess.check_output(["du", "-sb", FOLDER]).split()[0])


print("| from | bytes | p99 of each target | means by month | made in s |")
whole, expected = size(), client.ask(P99)
print(f"| rows | {whole:,} | {median_ms(P99):.1f} | {median_ms(MONTHS):.1f} | |")
for interval in ("1h", "1d"):
    start = time.perf_counter()
    post("rollups", {"measurement": "probe", "interval": interval, "db": "growth"})
    post("compact")
    took = time.perf_counter() - start
    assert client.ask(P99) == expected, "a rollup must not change an answer"
    print(f"| rollup of {interval} | {size() - whole:,} | {median_ms(P99):.1f} | {median_ms(MONTHS):.1f} | {took:.1f} |")
    post("rollups/remove", {"name": f"probe_{interval}"})
    post("compact")
serving.stop(server)
