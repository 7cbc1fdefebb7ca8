"""influxdb-client (InfluxDB 2): points in, gzipped, in each precision; a bad line is an ApiException that says why."""

import sys

import urllib3
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from rows import again, batches, row

UNITS = [(WritePrecision.S, 1), (WritePrecision.MS, 10**3), (WritePrecision.US, 10**6), (WritePrecision.NS, 10**9)]
client = InfluxDBClient(url=sys.argv[1], token=sys.argv[2], org="o", enable_gzip=True)
api = client.write_api(write_options=SYNCHRONOUS)

for number, batch in enumerate(batches()):
    precision, unit = UNITS[number % 4]
    points = []
    for n in batch:
        host, second, float_value, integer, text, boolean = row(n)
        point = Point("m").tag("host", host).field("f", float_value).field("n", integer)
        points.append(point.field("s", text).field("b", boolean).time(second * unit, precision))
    write = lambda: api.write(bucket="public", record=points, write_precision=precision)
    again(write, ApiException, urllib3.exceptions.HTTPError)

try:
    api.write(bucket="public", record="m,host=h0 f=1 1\nm,host=h0 f=oops 1")
    sys.exit("a bad line was taken")
except ApiException as error:
    assert error.status == 400 and "line 2" in str(error.body), error.body
