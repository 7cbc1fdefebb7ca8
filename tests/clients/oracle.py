"""Answers statements over rows as DuckDB does: a file with {"rows": [...], "statements": [...]} in, a line of JSON a statement out."""
import datetime, json, sys
import duckdb

asked = json.load(open(sys.argv[1]))
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'; SET threads = 2")
connection.execute("CREATE TABLE m (time TIMESTAMP, host VARCHAR, rack VARCHAR, f DOUBLE, i BIGINT, up BOOLEAN, note VARCHAR)")
for first in range(0, len(asked["rows"]), 1000):
    rows = [(datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=row[0]), *row[1:]) for row in asked["rows"][first:first + 1000]]
    connection.executemany("INSERT INTO m VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def plain(value):
    if isinstance(value, datetime.datetime):
        return value.isoformat() + "Z"
    return value


for statement in asked["statements"]:
    rows = connection.execute(statement).fetchall()
    print(json.dumps([[plain(value) for value in row] for row in rows]))
