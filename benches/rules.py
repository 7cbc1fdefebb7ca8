"""What rules cost: 10,000 of Prometheus' kind every 30 s over 100,000 series, here and with vmalert beside VictoriaMetrics; and the rules that
every target has.

    benches/rules.py target/release/fournines [rules] [seconds]

Rules are half recording (`avg by (host) (m_1)`), half alerting (`sum by (host) (rate(m_1[2m])) > 1e9`), a hundred a group, each over ten series, of which a sample
comes every 15 s. A row is printed for each engine: its processor time with samples alone, and with rules; the difference is what rules take. Then, of our own
server alone: 10,000 targets with a slot every 10 s, of which 3,000 go down at once, and a receiver that is told. Needs vmalert and victoria-metrics of Debian;
`VICTORIA` names another one.
"""

import http.server
import json
import os
import subprocess
import sys
import tempfile
import threading
import time

from serving import Client, cpu_s, free_ports, serve, start, status_kb, stop

PROGRAM = os.path.abspath(sys.argv[1])
VICTORIA = os.environ.get("VICTORIA", "victoria-metrics")
RULES = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
SECONDS = int(sys.argv[3]) if len(sys.argv) > 3 else 120
HOSTS, A_GROUP, STEP_S, INTERVAL_S = 10, 100, 15, 30
TARGETS, DOWN, SLOT_S = 10_000, 3_000, 10


def rule_file(path):
    """Half of the rules record, half alert."""
    lines = ["groups:"]
    for at in range(RULES):
        if at % A_GROUP == 0:
            lines += [f"- name: g{at // A_GROUP}", f"  interval: {INTERVAL_S}s", "  rules:"]
        if at % 2 == 0:
            lines += [f"  - record: host:m_{at}:avg", f"    expr: avg by (host) (m_{at})"]
        else:
            lines += [f"  - alert: A{at}", f"    expr: sum by (host) (rate(m_{at}[2m])) > 1e9", "    for: 1m"]
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


def write(port, until, path):
    """Samples of all series every so often, in pieces."""
    client = Client(port)
    due, value = time.time(), 0
    while time.time() < until:
        value += 1
        for first in range(0, RULES, 500):
            page = "".join(f'm_{at}{{host="h{host}"}} {value * host}\n' for at in range(first, min(RULES, first + 500)) for host in range(HOSTS))
            client.request("POST", path, page)
        due += STEP_S
        time.sleep(max(0, min(due, until) - time.time()))


def measured(name, processes, port, path, with_rules):
    """Processor seconds of these while samples come."""
    write(port, time.time() + STEP_S, path)  # series are known
    processes = processes + ([with_rules()] if with_rules else [])
    before = sum(map(cpu_s, processes))
    write(port, time.time() + SECONDS, path)
    return sum(map(cpu_s, processes)) - before


def ours(folder, rules):
    config = os.path.join(folder, "fournines.toml")
    with open(config, "w") as file:
        file.write(('rule_files = ["rules.yml"]\n' if rules else "") + "[rules]\nready = []\n")
    server, port = serve(PROGRAM, os.path.join(folder, f"data{rules}"), "--config", config)
    taken = measured("ours", [server], port, "/api/v1/import/prometheus", None)
    bad = sum(rule["health"] == "err" for group in json.loads(Client(port).request("GET", "/api/v1/rules"))["data"]["groups"] for rule in group["rules"])
    assert bad == 0, f"{bad} rules do not work"
    memory = status_kb(server, "VmHWM") // 1024
    stop(server)
    return taken, memory


def victoria(folder, rules):
    port, own = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    server = start([VICTORIA, f"-storageDataPath={folder}/vm{rules}", f"-httpListenAddr=127.0.0.1:{port}", "-retentionPeriod=100y"], port, "/health")

    def vmalert():
        command = ["vmalert", f"-rule={folder}/rules.yml", f"-datasource.url={url}", f"-remoteWrite.url={url}", "-notifier.url=http://127.0.0.1:1",
                   f"-httpListenAddr=127.0.0.1:{own}"]
        return start(command, own, "/health")

    alert = None

    def begun():
        nonlocal alert
        alert = vmalert()
        return alert

    taken = measured("vm", [server], port, "/api/v1/import/prometheus", begun if rules else None)
    memory = status_kb(server, "VmHWM") // 1024 + (status_kb(alert, "VmHWM") // 1024 if alert else 0)
    if alert:
        stop(alert)
    stop(server)
    return taken, memory


class Receiver(http.server.BaseHTTPRequestHandler):
    heard = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Receiver.heard.append((time.time(), body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def targets(folder):
    """Slots of 10,000 targets as line protocol; from some time on a third of them is down."""
    receiver = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    config = os.path.join(folder, "targets.toml")
    with open(config, "w") as file:
        file.write(f'[[channel]]\nname = "r"\nkind = "webhook"\nurl = "http://127.0.0.1:{receiver.server_port}/"\n')
    cost = {}
    for ready in (False, True):
        if not ready:
            with open(config, "a") as file:
                file.write("[rules]\nready = []\n")
        else:
            text = open(config).read().replace("[rules]\nready = []\n", "")
            open(config, "w").write(text)
        server, port = serve(PROGRAM, os.path.join(folder, f"targets{ready}"), "--config", config)
        client, before, written, begun = Client(port), None, [], time.time()
        peak = 0
        for slot in range(9):
            if slot == 2:
                before, peak = cpu_s(server), status_kb(server, "VmRSS")
            # Each target has a moment of its own within the slot.
            for part in range(10):
                moment = begun + slot * SLOT_S + part
                time.sleep(max(0, moment - time.time()))
                lines = []
                for at in range(part, TARGETS, 10):
                    down = slot >= 6 and at < DOWN
                    lines.append(f'probe,target=t{at},kind=http,location=x outcome="{"fail" if down else "ok"}",up={"false" if down else "true"},total_ms=12.5,'
                                 f'interval_ms={SLOT_S * 1000} {int(moment * 1e9)}')
                client.request("POST", "/write", "\n".join(lines))
                if slot == 7:
                    written.append(time.time())
            if slot == 5:
                cost[ready] = (cpu_s(server) - before) / (4 * SLOT_S) * 100
        time.sleep(3)
        if ready:
            fired = [(at, alert) for at, body in Receiver.heard for alert in body["alerts"] if alert["status"] == "firing"]
            late = sorted(at - written[int(alert["labels"]["target"][1:]) % 10] for at, alert in fired)
            print(f"\nready rules, {TARGETS:,} targets every {SLOT_S} s: {cost[True] - cost[False]:.1f} % of a core ({cost[True]:.1f} with them, {cost[False]:.1f} without)")
            print(f"{len(fired):,} of {DOWN:,} alerts told in {len(Receiver.heard)} notices; from the row of the second bad slot: median "
                  f"{late[len(late) // 2] * 1000:.0f} ms, p99 {late[len(late) * 99 // 100] * 1000:.0f} ms; peak {(status_kb(server, 'VmHWM') - peak) // 1024} MB more than before")
            assert len({alert["fingerprint"] for _, alert in fired}) == len(fired) == DOWN
        stop(server)


def main():
    with tempfile.TemporaryDirectory() as folder:
        rule_file(os.path.join(folder, "rules.yml"))
        print(f"{RULES:,} rules every {INTERVAL_S} s, {RULES * HOSTS:,} series every {STEP_S} s, for {SECONDS} s\n")
        print("| engine | CPU s, samples alone | with rules | rules | MB at most |")
        print("| --- | --- | --- | --- | --- |")
        for name, engine in (("fournines", ours), ("VictoriaMetrics and vmalert", victoria)):
            (alone, _), (both, memory) = engine(folder, False), engine(folder, True)
            print(f"| {name} | {alone:.1f} | {both:.1f} | {both - alone:.1f} | {memory} |", flush=True)
        targets(folder)


main()
