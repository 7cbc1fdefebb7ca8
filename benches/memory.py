"""What memory a server takes that does everything at once: rows, probes and questions, for as long as one likes.

    benches/memory.py target/release/fournines [minutes] [values a second] [folder]

500 targets every 10 s against nginx on loopback, `fournines bench ingest` at 1.5 M values a second, 17 questions a second over 4 connections. A row is printed a
minute, of its highest moment: what the process has (`VmRSS`), of it what is its own (`RssAnon`), what of files is mapped (`RssFile`, which the system takes back at
will), and the rows that are not sealed; then the peak of all, how many segments there are, and the slowest answers. Needs nginx.
"""

import os
import random
import subprocess
import sys
import tempfile
import threading
import time

from serving import Client, cpu_s, free_ports, nginx, serve, status_kb, stop

PROGRAM = os.path.abspath(sys.argv[1])
MINUTES = float(sys.argv[2]) if len(sys.argv) > 2 else 60
RATE = int(sys.argv[3]) if len(sys.argv) > 3 else 1_500_000
TARGETS, CONNECTIONS, QUESTIONS_A_SECOND = 500, 4, 17

# Of the last hour of rows: `bench ingest` lets ten seconds pass with each round of its hosts.
QUESTIONS = [
    "SELECT date_bin(INTERVAL '1 minute', time) AS minute, max(usage_1) AS top FROM cpu WHERE hostname = '{host}' AND {hour} GROUP BY minute ORDER BY minute",
    "SELECT hostname, avg(usage_2), max(usage_3) FROM cpu WHERE {minutes} GROUP BY hostname",
    "SELECT DISTINCT ON (hostname) hostname, usage_1 FROM cpu ORDER BY hostname, time DESC",
    "SELECT target, avg(total_ms) AS mean, max(total_ms) FROM probe WHERE time > now() - INTERVAL '1 hour' GROUP BY target",
    "SELECT target, approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99 FROM probe WHERE time > now() - INTERVAL '1 hour' GROUP BY target",
    "SELECT * FROM availability('probe', now() - INTERVAL '1 hour', now())",
]
HOSTS, FIELDS, STEP_S = 2000, 10, 10


def span(start, seconds):
    """A condition for the last seconds of rows."""
    newest = start + (time.time() - start) * RATE / FIELDS / HOSTS * STEP_S
    text = lambda at: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
    return f"time > '{text(newest - seconds)}' AND time <= '{text(newest)}'"


def look(port, start, times, errors, end):
    """One person who looks: the next question is due at its time, however long the one before took."""
    client, choose = Client(port), random.Random()
    due = time.time()
    while due < end:
        due += CONNECTIONS / QUESTIONS_A_SECOND
        time.sleep(max(0, due - time.time()))
        question, host = choose.choice(QUESTIONS), f"host_{choose.randrange(HOSTS)}"
        statement = question.format(host=host, hour=span(start, 3600), minutes=span(start, 300))
        try:
            times.append(client.ask_ms(statement))
        except Exception as error:  # is told at the end
            errors.append(f"{statement}: {error}")
            client = Client(port)


def gauge(client, name):
    text = client.request("GET", "/metrics").decode()
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(f"fournines_store_{name} "))


with tempfile.TemporaryDirectory(dir=sys.argv[4] if len(sys.argv) > 4 else None) as root:
    ports = free_ports(20)
    nginx(root, ports)
    with open(f"{root}/fournines.toml", "w") as file:
        for number in range(TARGETS):
            url = f"http://127.0.0.1:{ports[number % len(ports)]}/{number}"
            file.write(f"[[target]]\nname = 't{number}'\nurl = '{url}'\ninterval = '10s'\n")
    server, port = serve(PROGRAM, f"{root}/data", "--config", f"{root}/fournines.toml")
    own = f"http://127.0.0.1:{port}"
    command = [PROGRAM, "bench", "ingest", "--url", own, "--rate", str(RATE), "--series", str(HOSTS), "--fields", str(FIELDS), "--duration", f"{int(MINUTES * 60)}s"]
    start, load = time.time(), subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        time.sleep(3)
        client = Client(port)
        times, errors, end = [], [], time.time() + MINUTES * 60 - 5
        people = [threading.Thread(target=look, args=(port, start, times, errors, end), daemon=True) for _ in range(CONNECTIONS)]
        for person in people:
            person.start()
        print("| minute | MB | own | of files | heads | peak | segments | CPU s | questions | median ms | slowest ms |")
        minute, used = 0, cpu_s(server)
        while load.poll() is None:
            minute += 1
            highest = [0] * 4
            for _ in range(300):
                time.sleep(0.2)
                now = [status_kb(server, key) for key in ("VmRSS", "RssAnon", "RssFile")]
                highest = max(highest, now + [gauge(client, "head_bytes") / 1024])
                if load.poll() is not None:
                    break
            kb = highest + [status_kb(server, "VmHWM")]
            answered, times[:] = sorted(times), []
            spent, used = cpu_s(server) - used, cpu_s(server)
            figures = [f"{value / 1024:.0f}" for value in kb] + [f"{gauge(client, 'segments'):.0f}", f"{spent:.0f}", len(answered)]
            figures += [f"{answered[len(answered) // 2]:.1f}", f"{answered[-1]:.0f}"] if answered else ["", ""]
            print("| " + " | ".join(map(str, [minute, *figures])) + " |", flush=True)
        for person in people:
            person.join()
        print(load.stdout.read())
        missed = client.rows("SELECT count(*) AS slots, sum(CASE WHEN outcome = 'missed' THEN 1 ELSE 0 END) AS missed FROM probe")[0]
        print(f"slots: {missed}, questions that failed: {len(errors)} {errors[:3]}")
    finally:
        load.terminate()
        load.wait()
        stop(server)
