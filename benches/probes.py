"""The prober's own numbers: how late it starts 10,000 probes every ten seconds on one core, and how its times compare with curl's and
blackbox_exporter's on the same loopback server.

    python3 benches/probes.py target/release/fournines [targets] [seconds]

Needs nginx, curl, prometheus-blackbox-exporter and taskset.
"""

import json, os, shutil, statistics, subprocess, sys, tempfile, time, urllib.parse, urllib.request

BINARY = os.path.abspath(sys.argv[1])
TARGETS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 60
SERVERS, FIRST_PORT, OWN_PORT, BLACKBOX_PORT = 100, 20_000, 19_990, 19_991


def get(url):
    return urllib.request.urlopen(url, timeout=60).read()


def sql(statement):
    question = urllib.parse.urlencode({"q": statement, "format": "json"})
    return json.loads(get(f"http://127.0.0.1:{OWN_PORT}/api/v3/query_sql?{question}"))


def start(command, ready, **more):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **more)
    for _ in range(300):
        try:
            get(ready)
            return process
        except OSError:
            time.sleep(0.1)
    raise SystemExit(f"{command} does not start")


def nginx(root):
    listen = "".join(f"listen 127.0.0.1:{FIRST_PORT + number}; " for number in range(SERVERS))
    temporary = "".join(f"{kind}_temp_path {root}/{kind}; " for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"])
    with open(f"{root}/nginx.conf", "w") as file:
        file.write(
            f"daemon off; master_process off; pid {root}/pid; error_log {root}/error.log; worker_rlimit_nofile 60000;"
            f"events {{ worker_connections 20000; }} http {{ access_log off; {temporary}"
            f"server {{ {listen} location / {{ return 200 'hello'; }} }} }}"
        )
    return start(["taskset", "-c", "1", "nginx", "-p", root, "-c", "nginx.conf"], f"http://127.0.0.1:{FIRST_PORT}/")


def serve(root, targets):
    with open(f"{root}/fournines.toml", "w") as file:
        file.write(f"[probe]\nconcurrency = 5000\n{targets}")
    shutil.rmtree(f"{root}/data", ignore_errors=True)
    command = ["taskset", "-c", "0", BINARY, "serve", "--config", f"{root}/fournines.toml", "--data-dir", f"{root}/data"]
    return start(command + ["--listen", f"127.0.0.1:{OWN_PORT}"], f"http://127.0.0.1:{OWN_PORT}/health")


def status(process, key):
    return next(int(line.split()[1]) for line in open(f"/proc/{process.pid}/status") if line.startswith(key))


def cpu_s(process):
    fields = open(f"/proc/{process.pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def many(root):
    targets = "".join(
        f"[[target]]\nname = 't{number}'\nurl = 'http://127.0.0.1:{FIRST_PORT + number % SERVERS}/{number}'\ninterval = '10s'\n"
        for number in range(TARGETS)
    )
    server = serve(root, targets)
    time.sleep(20)  # the first slots are those that the start lies in
    since, before = sql("SELECT now() AS now")[0]["now"], cpu_s(server)
    time.sleep(SECONDS)
    used = (cpu_s(server) - before) / SECONDS
    row = sql(
        f"""SELECT count(*) AS slots, sum(CASE WHEN outcome = 'missed' THEN 1 ELSE 0 END) AS missed,
                   sum(CASE WHEN outcome = 'fail' THEN 1 ELSE 0 END) AS failed, percentile_cont(0.5) WITHIN GROUP (ORDER BY lag_ms) AS p50,
                   percentile_cont(0.99) WITHIN GROUP (ORDER BY lag_ms) AS p99, max(lag_ms) AS worst
            FROM probe WHERE time >= TIMESTAMP '{since}' AND time < TIMESTAMP '{since}' + INTERVAL '{SECONDS - 2} seconds' AND target <> 'fournines'"""
    )[0]
    print(
        f"{TARGETS} targets every 10 s on one core for {SECONDS} s: {row['slots']} slots, {row['missed']} missed, {row['failed']} failed, "
        f"lag p50 {row['p50']:.2f} ms, p99 {row['p99']:.2f} ms, worst {row['worst']:.2f} ms, {used:.2f} CPU, "
        f"{status(server, 'VmHWM') / 1024:.0f} MB at the most"
    )
    server.terminate()
    server.wait()


def overhead(root):
    url = f"http://127.0.0.1:{FIRST_PORT}/"
    server = serve(root, f"[[target]]\nname = 'one'\nurl = '{url}'\ninterval = '100ms'\ntimeout = '100ms'\n")
    with open(f"{root}/blackbox.yml", "w") as file:
        file.write("modules: { http: { prober: http, timeout: 5s, http: { preferred_ip_protocol: ip4 } } }\n")
    command = ["prometheus-blackbox-exporter", f"--config.file={root}/blackbox.yml", f"--web.listen-address=127.0.0.1:{BLACKBOX_PORT}"]
    blackbox = start(command, f"http://127.0.0.1:{BLACKBOX_PORT}/-/healthy")
    curls, exporters = [], []
    for _ in range(500):
        written = subprocess.check_output(["curl", "-s", "-o", "/dev/null", "-w", "%{time_total}", url])
        curls.append(float(written) * 1e3)
        page = get(f"http://127.0.0.1:{BLACKBOX_PORT}/probe?module=http&target={urllib.parse.quote(url)}").decode()
        exporters.append(float(next(line.split()[1] for line in page.splitlines() if line.startswith("probe_duration_seconds "))) * 1e3)
        time.sleep(0.1)
    own = [row["total_ms"] for row in sql("SELECT total_ms FROM probe WHERE target = 'one' AND up ORDER BY time DESC LIMIT 500")]
    for name, times in [("fournines", own), ("curl", curls), ("blackbox_exporter", exporters)]:
        print(f"{name:>18}: median {statistics.median(times):.3f} ms of {len(times)}")
    for process in [server, blackbox]:
        process.terminate()
        process.wait()


with tempfile.TemporaryDirectory() as root:
    origin = nginx(root)
    try:
        many(root)
        overhead(root)
    finally:
        origin.terminate()
        origin.wait()
