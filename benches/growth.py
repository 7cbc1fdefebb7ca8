"""How the cost of a query grows with what is stored: 20 targets, a slot a minute, after 1, 7, 30 and 365 days.

  benches/growth.py FOURNINES FOLDER

FOURNINES is the program, FOLDER a new folder for its data. Medians in ms over a kept connection.
"""

import random
import statistics
import sys
import time

import serving

PROGRAM, FOLDER = sys.argv[1], sys.argv[2]
START_S = 1735689600  # 2025-01-01
TARGETS = 20
SEED = 5

server, port = serving.serve(PROGRAM, FOLDER)
client = serving.Client(port, "growth")
choose = random.Random(SEED)


def day(number):
    """The rows of a day, as line protocol."""
    for minute in range(1440):
        at = START_S + number * 86400 + minute * 60
        for target in range(TARGETS):
            ms = round(20 + target + choose.expovariate(0.1), 3)
            yield f"probe,target=t{target},kind=http total_ms={ms},up=true,interval_ms=60000 {at}"


def iso(second):
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(second))


def median_ms(statement, times):
    return statistics.median(client.ask_ms(statement()) for _ in range(times))


def measure(days):
    span = f"time >= '{iso(START_S)}' AND time < '{iso(START_S + days * 86400)}'"

    def hour():
        start = START_S + choose.randrange(days * 24) * 3600
        return f"target = 't{choose.randrange(TARGETS)}' AND time >= '{iso(start)}' AND time < '{iso(start + 3600)}'"

    by_minute = "SELECT date_bin(INTERVAL '1 minute', time) AS minute, max(total_ms) AS top FROM probe WHERE {} GROUP BY minute ORDER BY minute"
    p99 = f"SELECT target, approx_percentile_cont(0.99) WITHIN GROUP (ORDER BY total_ms) AS p99 FROM probe WHERE {span} GROUP BY target"
    availability = f"SELECT target, availability FROM availability('probe', '{iso(START_S)}', '{iso(START_S + days * 86400)}')"
    newest = "SELECT DISTINCT ON (target) target, total_ms FROM probe ORDER BY target, time DESC"
    return [
        median_ms(lambda: by_minute.format(hour()), 60),
        median_ms(lambda: f"SELECT time, total_ms FROM probe WHERE {hour()}", 60),
        median_ms(lambda: newest, 20),
        median_ms(lambda: p99, 9),
        median_ms(lambda: availability, 9),
    ]


print("| days | rows | a target's hour by minutes | its rows | newest of each | p99 of all | availability() of all |")
stored = 0
for days in (1, 7, 30, 365):
    for number in range(stored, days):
        client.request("POST", "/write?db=growth&precision=s", "\n".join(day(number)).encode())
    stored = days
    client.request("POST", "/api/v1/admin/compact", "")
    cells = [days, f"{days * 1440 * TARGETS:,}"] + [f"{ms:.2f}" for ms in measure(days)]
    print("| " + " | ".join(map(str, cells)) + " |", flush=True)
serving.stop(server)
