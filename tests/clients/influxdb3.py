"""influxdb3-python: by /api/v3/write_lp and by /api/v2/write; partial writes are its own kind of error, with each line."""

import sys

import urllib3
from influxdb_client_3 import InfluxDBClient3, Point, WritePrecision
from influxdb_client_3.exceptions import InfluxDBError

from rows import again, batches, row


def client(**options):
    # Every option is given: what is not is taken from the client that was made before.
    options = {"no_sync": False, "use_v2_api": False, "accept_partial": True} | options
    settings = {f"write_{name}": value for name, value in options.items()}
    return InfluxDBClient3(host=sys.argv[1], token=sys.argv[2], database="public", **settings)


clients = [client(), client(no_sync=True), client(use_v2_api=True)]
for number, batch in enumerate(batches()):
    points = []
    for n in batch:
        host, second, float_value, integer, text, boolean = row(n)
        point = Point("m").tag("host", host).field("f", float_value).field("n", integer)
        points.append(point.field("s", text).field("b", boolean).time(second * 10**9, WritePrecision.NS))
    # What is not synced may go with the process: those rows are written once more, synced.
    again(lambda: clients[number % 3].write(points), InfluxDBError, urllib3.exceptions.HTTPError)
    if number % 3 == 1:
        again(lambda: clients[0].write(points), InfluxDBError, urllib3.exceptions.HTTPError)

bad = "m,host=h0 f=1 1767225600000000000\nm,host=h0 f=oops 1767225600000000000"
try:
    clients[0].write(bad)
    sys.exit("a bad line was taken")
except InfluxDBError as error:
    assert "partial write" in str(error) and "line 2" in str(error), str(error)
whole = "m,host=whole f=1 1767225600000000000\nm,host=whole f=oops 1767225600000000000"
try:
    client(accept_partial=False).write(whole)
    sys.exit("a bad line was taken")
except InfluxDBError as error:
    assert "oops" in str(error) or "parsing failed" in str(error), str(error)
