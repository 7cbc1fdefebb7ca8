"""The prober's own numbers: how late it starts 10,000 probes every ten seconds on one core, and how its times compare with curl's and
blackbox_exporter's on the same loopback server.

    python3 benches/probes.py target/release/fournines [targets] [seconds]

Needs nginx, curl, prometheus-blackbox-exporter and taskset.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

import serving
from serving import cpu_s, free_ports, start, status_kb, stop

BINARY = os.path.abspath(sys.argv[1])
TARGETS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 60
SERVERS = 100


def get(url):
    return urllib.request.urlopen(url, timeout=60).read()


def serve(root, targets):
    with open(f"{root}/fournines.toml", "w") as file:
        file.write(f"[probe]\nconcurrency = 5000\n{targets}")
    shutil.rmtree(f"{root}/data", ignore_errors=True)
    server, port = serving.serve(BINARY, f"{root}/data", "--config", f"{root}/fournines.toml", before=["taskset", "-c", "0"])
    return server, serving.Client(port)


def many(root, ports):
    targets = "".join(
        f"[[target]]\nname = 't{number}'\nurl = 'http://127.0.0.1:{ports[number % SERVERS]}/{number}'\ninterval = '10s'\n"
        for number in range(TARGETS)
    )
    server, client = serve(root, targets)
    time.sleep(20)  # the first slots are those that the start lies in
    since, before = client.rows("SELECT now() AS now")[0]["now"], cpu_s(server)
    time.sleep(SECONDS)
    used = (cpu_s(server) - before) / SECONDS
    row = client.rows(
        f"""SELECT count(*) AS slots, sum(CASE WHEN outcome = 'missed' THEN 1 ELSE 0 END) AS missed,
                   sum(CASE WHEN outcome = 'fail' THEN 1 ELSE 0 END) AS failed, percentile_cont(0.5) WITHIN GROUP (ORDER BY lag_ms) AS p50,
                   percentile_cont(0.99) WITHIN GROUP (ORDER BY lag_ms) AS p99, max(lag_ms) AS worst
            FROM probe WHERE time >= TIMESTAMP '{since}' AND time < TIMESTAMP '{since}' + INTERVAL '{SECONDS - 2} seconds' AND target <> 'fournines'"""
    )[0]
    print(
        f"{TARGETS} targets every 10 s on one core for {SECONDS} s: {row['slots']} slots, {row['missed']} missed, {row['failed']} failed, "
        f"lag p50 {row['p50']:.2f} ms, p99 {row['p99']:.2f} ms, worst {row['worst']:.2f} ms, {used:.2f} CPU, "
        f"{status_kb(server, 'VmHWM') / 1024:.0f} MB at the most"
    )
    stop(server)


def overhead(root, ports):
    url = f"http://127.0.0.1:{ports[0]}/"
    server, client = serve(root, f"[[target]]\nname = 'one'\nurl = '{url}'\ninterval = '100ms'\ntimeout = '100ms'\n")
    with open(f"{root}/blackbox.yml", "w") as file:
        file.write("modules: { http: { prober: http, timeout: 5s, http: { preferred_ip_protocol: ip4 } } }\n")
    (port,) = free_ports(1)
    command = ["prometheus-blackbox-exporter", f"--config.file={root}/blackbox.yml", f"--web.listen-address=127.0.0.1:{port}"]
    blackbox = start(command, port, "/-/healthy")
    curls, exporters = [], []
    for _ in range(500):
        written = subprocess.check_output(["curl", "-s", "-o", "/dev/null", "-w", "%{time_total}", url])
        curls.append(float(written) * 1e3)
        page = get(f"http://127.0.0.1:{port}/probe?module=http&target={urllib.parse.quote(url)}").decode()
        exporters.append(float(next(line.split()[1] for line in page.splitlines() if line.startswith("probe_duration_seconds "))) * 1e3)
        time.sleep(0.1)
    own = [row["total_ms"] for row in client.rows("SELECT total_ms FROM probe WHERE target = 'one' AND up ORDER BY time DESC LIMIT 500")]
    for name, times in [("fournines", own), ("curl", curls), ("blackbox_exporter", exporters)]:
        print(f"{name:>18}: median {statistics.median(times):.3f} ms of {len(times)}")
    stop(server)
    stop(blackbox)


with tempfile.TemporaryDirectory() as root:
    ports = free_ports(SERVERS)
    origin = serving.nginx(root, ports, before=["taskset", "-c", "1"])
    many(root, ports)
    overhead(root, ports)
    stop(origin)
