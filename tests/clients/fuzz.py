"""Random statements over random rows, answered by the server and by DuckDB; spans in time zones and availability by a slow reckoning here. A difference prints
the statement, and everything that is needed to see it again.

    fuzz.py FOURNINES SEED SECONDS

Each round fills a new store, with one thread of queries or with four, and asks in each of its states: head, segment, mixed with deletions, rolled with rollups,
late rows above them, started again, killed. Needs DuckDB and pyarrow. Ends with 1 if anything differs.
"""

import bisect
import datetime
import io
import json
import math
import os
import random
import re
import signal
import sys
import tempfile
import time
import zoneinfo

import duckdb
import pyarrow as pa
import pyarrow.ipc

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "benches"))
import serving  # noqa: E402

UTC = datetime.timezone.utc
US, HOUR, DAY = 1_000_000, 3_600_000_000, 86_400_000_000
START = int(datetime.datetime(2026, 5, 1, tzinfo=UTC).timestamp()) * US
HOSTS = [None, "alpha", "alps", "beta", "it's", "zürich", "al%a", "a_b"]
RACKS, SERVICES = ["r1", "r2", "2026-05-01 00:00:00"], ["api", "web", None]
ZEROS = [0.0, -0.0]
NOTES = ["x", "y", "zz", "", "o'h", "a%b"]
ZONES = ["Europe/Berlin", "America/New_York", "America/Santiago", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Havana", "Asia/Shanghai"]
TARGETS = {"second": 10, "minute": 60, "hour": 3600, "day": 86_400}
TAGS = {"m": {"host": HOSTS, "rack": RACKS}, "n": {"host": HOSTS, "svc": SERVICES}}
NUMBERS = {"m": {"f": (-120, 120), "i": (-60, 1000), "u": (0, 1000)}, "n": {"v": (-30, 30), "k": (0, 20)}}
ARROW = {"f": pa.float64(), "v": pa.float64(), "i": pa.int64(), "k": pa.int64(), "u": pa.uint64(), "up": pa.bool_(), "note": pa.string()}
WIDTHS = {"1m": "1 minute", "15m": "15 minutes", "1h": "1 hour", "1d": "1 day"}
FIELDS = {"m": ["f", "i", "u", "up", "note"], "n": ["v", "k"]}
# What is refused with a sentence, as it would be answered wrongly: see `docs/sql.md`.
REFUSED = re.compile("correlated|EXCEPT ALL|INTERSECT ALL")


def iso(us):
    at = datetime.datetime.fromtimestamp(us // US, UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S") + (f".{us % US:06d}" if us % US else "")


class Rows:
    """What is in the store: the last that was written of each field of a key, without what was deleted."""

    def __init__(self, choose):
        self.choose, self.tables, self.slots, self.instants = choose, {"m": {}, "n": {}}, {}, []

    def value(self, field):
        choose = self.choose
        if field in ("f", "v"):
            # A zero with a sign is a zero.
            return choose.choice(ZEROS) if choose.random() < 0.08 else choose.randrange(-1000, 1000) / 8
        if field in ("up",):
            return choose.random() < 0.5
        if field == "note":
            return choose.choice(NOTES)
        return choose.randrange(-50 if field == "i" else 0, 1000 if field != "k" else 20)

    def lines(self, table, count, hours):
        """So many new rows as line protocol: few instants, so that rows meet."""
        choose, lines = self.choose, []
        for _ in range(count):
            tags = {tag: choose.choice(values) for tag, values in TAGS[table].items()}
            at = START + choose.choice(hours) * HOUR + choose.randrange(40) * 90_500_000
            fields = {field: self.value(field) for field in FIELDS[table] if choose.random() < 0.5} or {FIELDS[table][0]: 1.5}
            self.tables[table].setdefault((at, *tags.values()), {}).update(fields)
            lines.append(line(table, tags, fields, at))
        return lines

    def slot_lines(self, days):
        """Slots of targets with steps of their own, some of which are missing."""
        lines = []
        for target, step_s in TARGETS.items():
            for at in range(START + days[0] * DAY, START + days[1] * DAY, step_s * US):
                # A target with many slots has them in some hours only.
                if self.choose.random() < 0.2 or step_s < 3600 and (at // HOUR) % (3600 // step_s) > 3:
                    continue
                up = self.choose.random() < 0.8
                self.slots.setdefault(target, {})[at] = up
                lines.append(f"slots,target={target} up={str(up).lower()},interval_ms={step_s * 1000}i {at}")
        return lines

    def instant_lines(self, count):
        """Instants, many of them around changes of clocks; of years that are over, of which every time zone database says the same."""
        changes = [datetime.datetime(2025, month, day, tzinfo=UTC) for month, day in [(3, 9), (3, 30), (4, 6), (4, 25), (9, 7), (10, 26), (10, 31), (11, 2)]]
        lines = []
        for _ in range(count):
            around = int(self.choose.choice(changes).timestamp()) * US + self.choose.randrange(-50, 50) * HOUR // 2
            at = self.choose.choice([around, START - self.choose.randrange(121 * DAY, 700 * DAY)])
            number = self.choose.randrange(100)
            self.instants.append((at, number))
            lines.append(f"z,id={len(self.instants)} k={number}i {at}")
        return lines

    def delete(self, table, host, start, end):
        kept = {key: fields for key, fields in self.tables[table].items() if key[1] != host or not start <= key[0] < end}
        self.tables[table] = kept

    def load(self, connection):
        for table, rows in self.tables.items():
            columns = {"time": pa.array([key[0] for key in rows], pa.timestamp("us"))}
            for at, tag in enumerate(TAGS[table], 1):
                columns[tag] = pa.array([key[at] for key in rows], pa.string())
            for field in FIELDS[table]:
                columns[field] = pa.array([fields.get(field) for fields in rows.values()], ARROW[field])
            connection.register("rows", pa.table(columns))
            connection.execute(f"CREATE OR REPLACE TABLE {table} AS SELECT * FROM rows")
            connection.unregister("rows")


def number_text(value):
    """As SQL has it; a zero of a decimal, as DuckDB takes 0.0, has no sign."""
    return f"{value:.0e}" if value == 0 and isinstance(value, float) else str(value)


def line(table, tags, fields, at):
    def escaped(text):
        return re.sub(r"([,= ])", r"\\\1", text)

    def shown(name, value):
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, str):
            return '"' + value.replace('"', '\\"') + '"'
        return f"{value}{'i' if name in ('i', 'k') else 'u' if name == 'u' else ''}"

    tags = "".join(f",{tag}={escaped(value)}" for tag, value in tags.items() if value is not None)
    return f"{table}{tags} {','.join(f'{name}={shown(name, value)}' for name, value in fields.items())} {at}"


class Statement:
    """Grows as text in which `{n}` is the nth literal and `<<ours||theirs>>` what the two write differently."""

    def __init__(self, rows, choose):
        self.rows, self.choose, self.literals = rows, choose, []

    def literal(self, kind, value):
        self.literals.append((kind, value))
        return "{%d}" % (len(self.literals) - 1)

    def time(self):
        choose = self.choose
        if choose.random() < 0.3:
            keys = self.rows.tables["m"]
            at = choose.choice(list(keys))[0] + choose.choice([0, 0, 1, -1]) if keys else START
        else:
            at = START + choose.randrange(-6, 130) * HOUR
        return self.literal("time", at)

    def text(self, values):
        return self.literal("text", self.choose.choice([value for value in values if value is not None] + ["nobody", ""]))

    def number(self, low, high):
        if self.choose.random() < 0.08:
            return self.literal("number", self.choose.choice(ZEROS))
        value = self.choose.randrange(low, high)
        return self.literal("number", value if self.choose.random() < 0.7 else value / 4)

    def render(self):
        """Ours, its parameters, theirs. Some literals are parameters."""
        parameters, choose = [], self.choose
        use_parameters = choose.random() < 0.3

        def ours(match):
            kind, value = self.literals[int(match.group(1))]
            shown = iso(value) if kind == "time" else value
            if use_parameters and choose.random() < 0.7:
                parameters.append(shown + "Z" if kind == "time" else shown)
                return f"${len(parameters)}"
            if kind == "time":
                return choose.choice(["TIMESTAMP '%sZ'", "'%sZ'", "TIMESTAMP '%s'", "'%s+00:00'"]) % shown
            return quoted(shown) if kind == "text" else number_text(shown)

        def theirs(match):
            kind, value = self.literals[int(match.group(1))]
            if kind == "time":
                return f"TIMESTAMP '{iso(value)}'"
            return quoted(value) if kind == "text" else number_text(value)

        text = self.select()
        differing = re.compile(r"<<(.*?)\|\|(.*?)>>")
        mine = re.sub(r"\{(\d+)\}", ours, differing.sub(r"\1", text))
        other = re.sub(r"\{(\d+)\}", theirs, differing.sub(r"\2", text))
        return mine, parameters, other

    # Conditions.

    def condition(self, table, alias="", depth=0):
        kind = self.choose.random()
        if depth < 3 and kind < 0.15:
            return f"({self.condition(table, alias, depth + 1)} OR {self.condition(table, alias, depth + 1)})"
        if depth < 3 and kind < 0.3:
            return f"({self.condition(table, alias, depth + 1)} AND {self.condition(table, alias, depth + 1)})"
        if depth < 3 and kind < 0.36:
            return f"NOT ({self.condition(table, alias, depth + 1)})"
        return self.choose.choice([self.of_time, self.of_tag, self.of_number, self.of_number, self.of_tag])(table, alias)

    def of_time(self, table, alias):
        choose, column = self.choose, f"{alias}time"
        kind = choose.random()
        if kind < 0.15:
            return f"{column} {choose.choice(['', 'NOT '])}BETWEEN {self.time()} AND {self.time()}"
        if kind < 0.3:
            return f"{self.time()} {choose.choice(['<', '<=', '>', '>='])} {column}"
        return f"{column} {choose.choice(['<', '<=', '>', '>=', '=', '<>'])} {self.time()}"

    def compared(self, column, literal):
        """A column compared with literals, in the ways that all kinds have."""
        choose, kind = self.choose, self.choose.random()
        sign = choose.choice(["<", "<=", "=", "=", "<>", ">=", ">"])
        if kind < 0.5:
            return f"{column} {sign} {literal()}"
        if kind < 0.65:
            return f"{literal()} {sign} {column}"
        if kind < 0.85:
            return f"{column} {choose.choice(['IN', 'NOT IN'])} ({', '.join(literal() for _ in range(choose.randrange(1, 4)))})"
        return f"{column} IS {choose.choice(['', 'NOT '])}NULL"

    def of_tag(self, table, alias):
        choose = self.choose
        tag, values = choose.choice(list(TAGS[table].items()))
        column, kind = alias + tag, choose.random()
        if kind < 0.1:
            pattern = choose.choice(["'al%'", "'%a'", "'a_%'", "''", "'z%'", "'r1'", "'alpha'"])
            return f"{column} {choose.choice(['LIKE', 'NOT LIKE'])} {pattern}"
        if kind < 0.2:
            return f"({column} IS {choose.choice(['', 'NOT '])}DISTINCT FROM {self.text(values)})"
        if kind < 0.3:
            return f"coalesce({column}, 'none') {choose.choice(['=', '<', '>='])} {self.text(values)}"
        return self.compared(column, lambda: self.text(values))

    def of_number(self, table, alias):
        choose = self.choose
        if table == "m" and choose.random() < 0.25:
            return alias + choose.choice(["up", "up IS NULL", "up IS NOT TRUE", "note = 'x'", "note <> 'zz'", "note IS NOT NULL", "note IN ('y', '')"])
        field, (low, high) = choose.choice(list(NUMBERS[table].items()))
        column, kind = alias + field, choose.random()
        if kind < 0.15:
            return f"{column} {choose.choice(['', 'NOT '])}BETWEEN {self.number(low, high)} AND {self.number(low, high)}"
        if kind < 0.25:
            return f"{column} * 2 {choose.choice(['<', '=', '>='])} {self.number(low, high)}"
        if kind < 0.3:
            return f"coalesce({column}, {self.number(low, high)}) > {self.number(low, high)}"
        return self.compared(column, lambda: self.number(low, high))

    def where(self, table, alias="", before="WHERE"):
        parts = []
        if self.choose.random() < 0.5:
            parts += [f"{alias}time >= {self.time()}", f"{alias}time < {self.time()}"][: self.choose.randrange(1, 3)]
        parts += [self.condition(table, alias) for _ in range(self.choose.choice([0, 0, 1, 1, 2]))]
        return f" {before} " + " AND ".join(parts) if parts else ""

    # Statements. Each is ordered by what tells its rows apart.

    def select(self):
        kinds = [self.groups] * 5 + [self.plain] * 2 + [self.join] * 3 + [self.join_rows] * 2 + [self.semi_join, self.newest, self.window, self.sets, self.nested, self.total]
        return self.choose.choice(kinds)()

    def aggregates(self, table, alias=""):
        choose, out = self.choose, []
        for _ in range(choose.randrange(1, 4)):
            field = alias + choose.choice(list(NUMBERS[table]))
            rank = choose.choice([0.5, 0.95, 0.123])
            value = choose.choice(
                ["count(*)", f"count({field})", f"sum({field})", f"min({field})", f"max({field})", f"avg({field})", f"max({field}) - min({field})", f"sum({field}) * 2"]
                + [f"count(DISTINCT {field})", f"<<percentile_cont({rank}) WITHIN GROUP (ORDER BY {field})||quantile_cont({field}, {rank})>>"]
                + [f"min({alias}time)", f"max({alias}time)", f"min({alias}host)", f"max({alias}host)"]
            )
            if choose.random() < 0.15 and "percentile" not in value and " " not in value:
                value += f" FILTER (WHERE {self.condition(table, alias, 2)})"
            out.append(value)
        return out

    def keys(self, table, alias=""):
        choose, keys = self.choose, []
        if choose.random() < 0.5:
            # What divides a day: the buckets of `time_bucket` begin on a Monday.
            width, short = choose.choice(["1 minute", "7 minutes", "1 hour", "6 hours", "1 day"]), choose.choice(["1m", "15m", "1h", "1d"])
            keys.append(
                choose.choice(
                    [
                        f"<<date_bin(INTERVAL '{width}', {alias}time)||time_bucket(INTERVAL '{width}', {alias}time, TIMESTAMP '1970-01-01')>>",
                        f"<<time_bucket('{short}', {alias}time)||time_bucket(INTERVAL '{WIDTHS[short]}', {alias}time, TIMESTAMP '1970-01-01')>>",
                        f"date_trunc('{choose.choice(['minute', 'hour', 'day', 'week', 'month'])}', {alias}time)",
                    ]
                )
            )
        keys += [alias + tag for tag in TAGS[table] if choose.random() < 0.4]
        if choose.random() < 0.1:
            keys.append(f"{alias}{choose.choice(list(NUMBERS[table]))} % 7" if table == "n" else f"{alias}i % 7")
        if choose.random() < 0.15:
            # Zeros with signs are among them, as they are and made.
            number = alias + ("f" if table == "m" else "v")
            zero = f"CASE WHEN {number} {choose.choice(['=', '<', '>=', '<>'])} 0 THEN 1 ELSE 0 END"
            keys.append(choose.choice([number, f"-{number}", f"{number} * 0", zero, f"nullif({number}, {self.number(-3, 3)})"]))
        choose.shuffle(keys)
        return keys

    def grouped(self, keys, values, source):
        choose = self.choose
        columns = [f"{key} AS g{at}" for at, key in enumerate(keys)] + [f"{value} AS v{at}" for at, value in enumerate(values)]
        text = f"SELECT {', '.join(columns)} FROM {source}"
        if keys:
            names = [f"g{at}" for at in range(len(keys))]
            text += f" GROUP BY {', '.join(map(str, range(1, len(keys) + 1)))}"
            if choose.random() < 0.2:
                text += f" HAVING count(*) > {choose.randrange(1, 5)}"
            text += " ORDER BY " + ", ".join(f"{name} {choose.choice(['ASC NULLS LAST', 'DESC NULLS FIRST', 'DESC NULLS LAST', 'ASC NULLS FIRST'])}" for name in names)
            if choose.random() < 0.25:
                text += f" LIMIT {choose.randrange(1, 20)} OFFSET {choose.randrange(3)}"
        return text

    def groups(self):
        table = self.choose.choice(["m", "m", "n"])
        return self.grouped(self.keys(table), self.aggregates(table), table + self.where(table))

    def total(self):
        table = self.choose.choice(["m", "n"])
        return self.grouped([], self.aggregates(table), table + self.where(table))

    def plain(self):
        choose = self.choose
        table = choose.choice(["m", "n"])
        names = ["time", *TAGS[table], *FIELDS[table]]
        columns = ", ".join(f"{name} AS c{at}" for at, name in enumerate(choose.sample(names, choose.randrange(1, len(names)))))
        direction = choose.choice(["ASC", "DESC"])
        order = ", ".join(f"{name} {choose.choice(['ASC NULLS LAST', 'DESC NULLS FIRST'])}" for name in TAGS[table])
        return f"SELECT {columns} FROM {table}{self.where(table)} ORDER BY time {direction}, {order} LIMIT {choose.choice([1, 5, 50, 1000])}"

    def join(self):
        choose = self.choose
        kind = choose.choice(["JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "JOIN"])
        near = choose.choice([f"date_trunc('{choose.choice(['hour', 'day'])}', a.time) = date_trunc('hour', b.time)", "a.time = b.time", "a.f = b.v"])
        on = f"a.host = b.host AND {near}" if choose.random() < 0.7 else near
        if choose.random() < 0.4:
            # Of an outer join, equality alone decides who has no partner; others filter here, too.
            on += f" AND {choose.choice([self.condition('m', 'a.', 2), self.condition('n', 'b.', 2), 'a.f > b.v'])}"
        source = f"m AS a {kind} n AS b ON {on}" + self.where("m", "a.") * (choose.random() < 0.5)
        if " WHERE " not in source and choose.random() < 0.4:
            source += self.where("n", "b.")
        keys = choose.sample(["a.host", "b.host", "a.rack", "b.svc", "date_trunc('day', a.time)"], choose.randrange(0, 3))
        return self.grouped(keys, self.aggregates("m", "a.") + self.aggregates("n", "b."), source)

    def join_rows(self):
        """Rows of a join whose order goes by columns of both sides that have one name."""
        choose = self.choose
        near = choose.choice(["a.time = b.time", "a.host = b.host AND date_trunc('day', a.time) = date_trunc('day', b.time)", "a.i = b.k"])
        source = f"m AS a {choose.choice(['JOIN', 'LEFT JOIN', 'RIGHT JOIN'])} n AS b ON {near}{self.where('m', 'a.') if choose.random() < 0.5 else self.where('n', 'b.')}"
        keys = ["a.host", "b.host", "a.time", "b.time", "a.rack", "b.svc"]
        choose.shuffle(keys)
        order = ", ".join(f"{key} {choose.choice(['ASC NULLS LAST', 'DESC NULLS FIRST'])}" for key in keys)
        return f"SELECT a.i AS c0, b.k AS c1, b.host AS c2, a.host AS c3 FROM {source} ORDER BY {order} LIMIT {choose.choice([1, 5, 50])}"

    def semi_join(self):
        choose = self.choose
        inner = self.where("n", "b.", "AND")
        test = choose.choice(
            [
                f"EXISTS (SELECT 1 FROM n AS b WHERE b.host = a.host{inner})",
                f"NOT EXISTS (SELECT 1 FROM n AS b WHERE b.host = a.host{inner})",
                f"a.host IN (SELECT b.host FROM n AS b{self.where('n', 'b.')})",
                f"a.i > (SELECT avg(b.k) FROM n AS b{self.where('n', 'b.')})",
                f"a.host NOT IN (SELECT b.host FROM n AS b WHERE b.host IS NOT NULL{inner})",
                f"EXISTS (SELECT 1 FROM n AS b WHERE b.v = a.f{inner})",
                f"a.f IN (SELECT b.v FROM n AS b{self.where('n', 'b.')})",
                f"(SELECT count(*) FROM n AS b WHERE b.v = a.f{inner}) > 1",
            ]
        )
        return self.grouped(self.keys("m", "a."), self.aggregates("m", "a."), f"m AS a WHERE {test}{self.where('m', 'a.', 'AND')}")

    def newest(self):
        table = self.choose.choice(["m", "n"])
        first, second = TAGS[table]
        columns = ", ".join(["time", first, second, *FIELDS[table]])
        direction = self.choose.choice(["DESC", "DESC", "ASC"])
        where = self.where(table) if self.choose.random() < 0.5 else ""
        return f"SELECT DISTINCT ON ({first}) {columns} FROM {table}{where} ORDER BY {first} ASC NULLS LAST, time {direction}, {second} ASC NULLS LAST"

    def window(self):
        choose = self.choose
        field = choose.choice(["f", "i"])
        over = f"OVER (PARTITION BY {choose.choice(['host', 'host', 'f'])} ORDER BY time, host NULLS LAST, rack NULLS LAST)"
        value = choose.choice([f"lag({field})", f"lead({field})", "row_number()", f"sum({field})", f"count({field})", f"first_value({field})", f"max({field})"])
        return f"SELECT time, host, rack, {value} {over} AS w FROM m{self.where('m')} ORDER BY time, host NULLS LAST, rack NULLS LAST LIMIT 500"

    def sets(self):
        operator = self.choose.choice(["UNION", "UNION ALL", "EXCEPT", "INTERSECT"])
        one, other = self.choose.choice([("host", "host"), ("host", "host"), ("f", "v"), ("f", "-v")])
        text = f"SELECT {one} AS h FROM m{self.where('m')} {operator} SELECT {other} AS h FROM n{self.where('n')}"
        return f"SELECT h, count(*) AS c FROM ({text}) AS x GROUP BY h ORDER BY h NULLS LAST"

    def nested(self):
        choose = self.choose
        width = choose.choice(["hour", "day"])
        inner = f"SELECT host, date_trunc('{width}', time) AS t, count(*) AS c, max(f) AS top FROM m{self.where('m')} GROUP BY host, t"
        outer = choose.choice(["SELECT t, sum(c) AS s, max(top) AS x FROM q GROUP BY t ORDER BY t", "SELECT host, count(*) AS s, min(top) AS x, max(c) AS y FROM q GROUP BY host ORDER BY host NULLS LAST"])
        condition = choose.choice(["", f" WHERE c > {choose.randrange(1, 4)}", " WHERE top IS NOT NULL", f" WHERE t >= {self.time()}", " WHERE host > 'alp'"])
        outer = outer.replace(" FROM q", f" FROM q{condition}")
        return f"WITH q AS ({inner}) {outer}" if choose.random() < 0.5 else outer.replace("FROM q", f"FROM ({inner}) AS q")


def quoted(text):
    return "'" + text.replace("'", "''") + "'"


class Server:
    def __init__(self, program, folder, threads):
        self.program, self.folder = program, folder
        with open(f"{folder}/fournines.toml", "w") as file:
            file.write(f"[query]\nthreads = {threads}\n[store]\nroll_after = '1h'\n")
        self.start()

    def start(self):
        self.process, port = serving.serve(self.program, f"{self.folder}/data", "--config", f"{self.folder}/fournines.toml")
        self.client = serving.Client(port)

    def restart(self, sign=signal.SIGTERM):
        self.process.send_signal(sign)
        self.process.wait()
        self.start()

    def write(self, lines):
        self.client.request("POST", "/write?precision=us", "\n".join(lines).encode())

    def admin(self, path, body=None):
        self.client.request("POST", f"/api/v1/admin/{path}", json.dumps(body) if body else b"")

    def ask(self, statement, parameters=()):
        """The rows, or the status and the sentence of a refusal."""
        body = {"q": statement, "format": "arrow", **({"params": list(parameters)} if parameters else {})}
        self.client.connection.request("POST", "/api/v3/query_sql", json.dumps(body), {"content-type": "application/json"})
        answer = self.client.connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            return None, f"{answer.status} {text.decode(errors='replace')[:500]}"
        return rows_of(pa.ipc.open_stream(io.BytesIO(text)).read_all()), None


def rows_of(table):
    columns = []
    for column in table.columns:
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        if pa.types.is_timestamp(column.type):
            column = column.cast(pa.timestamp("ns", column.type.tz)).cast(pa.int64())
        columns.append(column.to_pylist())
    return list(zip(*columns)) if columns else []


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool) or a is None or b is None or isinstance(a, str):
        return a == b
    if isinstance(b, datetime.datetime):
        return a == ns(b)
    # Sums and percentiles of floats depend on the order in the last digits.
    return a == b or (isinstance(a, float) or isinstance(b, float)) and math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-9)


def ns(at):
    span = at.replace(tzinfo=UTC) - datetime.datetime(1970, 1, 1, tzinfo=UTC)
    return (span.days * 86_400 + span.seconds) * 1_000_000_000 + span.microseconds * 1000


def equal(ours, theirs):
    return len(ours) == len(theirs) and all(len(a) == len(b) and all(map(same, a, b)) for a, b in zip(ours, theirs))


# The slow reckoning: time zones and slots.


def local_start(zone, unit, at):
    """The first instant of the day, week, month or year of a zone in which an instant is."""
    local = datetime.datetime.fromtimestamp(at / US, zone).date()
    if unit == "1w":
        local -= datetime.timedelta(days=local.weekday())
    elif unit == "1mo":
        local = local.replace(day=1)
    elif unit == "3mo":
        local = local.replace(month=(local.month - 1) // 3 * 3 + 1, day=1)
    elif unit == "1y":
        local = local.replace(month=1, day=1)
    # In a gap `fold=0` counts by the time before it: that is the first instant behind the gap.
    first = datetime.datetime(local.year, local.month, local.day, tzinfo=zone, fold=0)
    return int(first.astimezone(UTC).timestamp()) * US


def zone_question(rows, choose):
    name, unit = choose.choice(ZONES), choose.choice(["1d", "1w", "1mo", "3mo", "1y"])
    zone, groups = zoneinfo.ZoneInfo(name), {}
    for at, number in rows.instants:
        groups.setdefault(local_start(zone, unit, at), []).append(number)
    expected = [(start * 1000, len(numbers), sum(numbers)) for start, numbers in sorted(groups.items())]
    return f"SELECT time_bucket('{unit}', time, '{name}') AS b, count(*) AS c, sum(k) AS s FROM z GROUP BY b ORDER BY b", expected


def edges(choose, start, end):
    """Buckets of a span in a zone: their name, and where they begin and end."""
    name, unit = choose.choice(ZONES), choose.choice(["1d", "1w"])
    zone, cuts, at = zoneinfo.ZoneInfo(name), [start], start
    while True:
        local = datetime.datetime.fromtimestamp(local_start(zone, unit, at) / US, zone).date()
        # A start in a gap belongs to the day that it is in.
        following = local + datetime.timedelta(days=7 if unit == "1w" else 1)
        at = local_start(zone, "1d", int(datetime.datetime(following.year, following.month, following.day, 12, tzinfo=zone).timestamp()) * US)
        if at >= end:
            return f", bucket => '{unit}', zone => '{name}'", [*cuts, end]
        cuts.append(at)


def availability_question(rows, choose):
    start = START + choose.randrange(-30, 200) * HOUR // 2
    end = start + choose.randrange(1, 300) * HOUR // 2
    more, cuts = ("", [start, end]) if choose.random() < 0.4 else edges(choose, start, end)
    expected = []
    for target, slots in rows.slots.items():
        times, step = sorted(slots), TARGETS[target] * US
        for first, last in zip(cuts, cuts[1:]):
            up = down = 0
            for number in range(max(0, bisect.bisect_left(times, first) - 1), bisect.bisect_left(times, last)):
                at = times[number]
                ends = min(at + step, times[number + 1] if number + 1 < len(times) else at + step)
                length = max(0, min(ends, last) - max(at, first))
                up, down = (up + length, down) if slots[at] else (up, down + length)
            if up + down:
                seconds = [up / US, down / US, (last - first) / US]
                expected.append((target, first * 1000, *seconds, up / (up + down), (up + down) / (last - first)))
    statement = f"SELECT target, start, up_s, down_s, span_s, availability, coverage FROM availability('slots', '{iso(start)}Z', '{iso(end)}Z'{more}) WHERE measured_s > 0 ORDER BY target, start"
    return statement, sorted(expected)


class Fuzz:
    def __init__(self, program, seed, seconds):
        self.program, self.seed, self.end = program, seed, time.time() + seconds
        self.choose, self.asked, self.answered, self.refused, self.differences = random.Random(seed), 0, 0, 0, []
        self.failed = []
        self.connection = duckdb.connect(config={"threads": 1})

    def run(self):
        number = 0
        while time.time() < self.end or number == 0:
            with tempfile.TemporaryDirectory() as folder:
                self.round(folder, threads=[1, 4][number % 2])
            number += 1
        print(f"seed {self.seed}: {number} rounds, {self.asked} statements, {self.answered} rows, {self.refused} refused, {len(self.failed)} that DuckDB fails at, {len(self.differences)} differences")
        print(*self.failed[:2], sep="\n")
        # Many would be statements that are wrong.
        return 1 if self.differences or self.asked < 100 or len(self.failed) > self.asked / 50 else 0

    def round(self, folder, threads):
        choose, rows = self.choose, Rows(self.choose)
        server = Server(self.program, folder, threads)

        def state(name, statements=60):
            rows.load(self.connection)
            self.ask(server, rows, f"{name}, {threads} threads", statements)

        hours = [*range(48), *range(72, 100)]
        server.write(rows.lines("m", 1500, hours) + rows.lines("n", 700, hours) + rows.slot_lines((0, 5)) + rows.instant_lines(300))
        state("head")
        server.admin("flush")
        state("segment")
        server.write(rows.lines("m", 700, hours) + rows.lines("n", 200, hours[:30]) + rows.slot_lines((5, 8)))
        host, start = choose.choice(HOSTS[1:]), START + choose.randrange(90) * HOUR
        server.admin("delete", {"table": "m", "from": iso(start) + "Z", "to": iso(start + 3 * HOUR) + "Z", "tags": {"host": [host]}})
        rows.delete("m", host, start, start + 3 * HOUR)
        state("mixed")
        for interval, more in [("1h", {}), ("1d", {}), ("1h", {"where": "up", "name": "up"})]:
            server.admin("rollups", {"measurement": "m", "interval": interval, **more})
        server.admin("compact")
        state("rolled, with rollups")
        server.write(rows.lines("m", 300, hours) + rows.lines("n", 100, hours))
        state("late rows")
        server.restart()
        state("started again", 20)
        server.restart(signal.SIGKILL)
        state("killed", 20)
        serving.stop(server.process)

    def ask(self, server, rows, state, statements):
        for _ in range(statements):
            if time.time() > self.end and self.asked > 300:
                return
            kind = self.choose.random()
            if kind < 0.08:
                ours, expected = zone_question(rows, self.choose)
                parameters, theirs = [], "reckoned"
            elif kind < 0.16:
                ours, expected = availability_question(rows, self.choose)
                parameters, theirs = [], "reckoned"
            else:
                ours, parameters, theirs = Statement(rows, self.choose).render()
                try:
                    expected = self.connection.execute(theirs).fetchall()
                except duckdb.Error as error:
                    # DuckDB 2.0 has faults of its own: it said of a sum that "INT128 with value 20360" is out of range for INT8.
                    self.failed.append(f"{error}: {theirs}")
                    continue
            found, refusal = server.ask(ours, parameters)
            self.asked += 1
            if refusal and refusal.startswith("400") and REFUSED.search(refusal):
                self.refused += 1
            elif not refusal and not equal(found, expected) and theirs != "reckoned" and equal(found, self.plainly(theirs)):
                self.failed.append(f"it answers otherwise without its optimizer: {theirs}")
            elif refusal or not equal(found, expected):
                self.tell(state, ours, parameters, theirs, refusal or found, expected)
            else:
                self.answered += len(found)

    def plainly(self, statement):
        """What DuckDB answers without its optimizer, which is the arbiter of its own faults."""
        self.connection.execute("PRAGMA disable_optimizer")
        try:
            return self.connection.execute(statement).fetchall()
        finally:
            self.connection.execute("PRAGMA enable_optimizer")

    def tell(self, state, ours, parameters, theirs, found, expected):
        self.differences.append(ours)
        print(f"seed {self.seed}, {state}\n  ours    {ours}\n  params  {json.dumps(parameters)}\n  theirs  {theirs}")
        if isinstance(found, str):
            print(f"  refused {found}")
            return
        print(f"  {len(found)} rows, expected {len(expected)}")
        pairs = [(a, b) for a, b in zip(found, expected) if not equal([a], [b])]
        for a, b in pairs[:3]:
            print(f"  found   {a}\n  wanted  {b}")


if __name__ == "__main__":
    sys.exit(Fuzz(os.path.abspath(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])).run())
