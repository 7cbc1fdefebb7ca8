"""influxdb (InfluxDB 1): what it asks when it starts, points in, lists of what is there; a SELECT is refused with a word about SQL."""

import sys
from urllib.parse import urlparse

from influxdb import InfluxDBClient
from influxdb.exceptions import InfluxDBClientError

from rows import batches, row

url = urlparse(sys.argv[1])
client = InfluxDBClient(url.hostname, url.port, "anybody", sys.argv[2], database="plant")
assert client.ping() == "1.8.10", client.ping()
assert client.get_list_database() == [{"name": "public"}]
client.create_database("plant")
client.create_database("plant")
assert {"name": "plant"} in client.get_list_database()
assert client.get_list_measurements() == []
client.create_retention_policy("month", "30d", "1", database="plant")
assert client.get_list_retention_policies("plant")[0]["name"] == "autogen"

sent = 0
for batch in batches():
    points = []
    for n in batch:
        host, second, float_value, integer, text, boolean = row(n)
        fields = {"f": float_value, "n": integer, "s": text, "b": boolean}
        points.append({"measurement": "m", "tags": {"host": host}, "time": second, "fields": fields})
    assert client.write_points(points, time_precision="s", batch_size=50)
    sent += len(points)

assert client.get_list_measurements() == [{"name": "m"}]
fields = client.query("SHOW FIELD KEYS FROM m").get_points()
assert {field["fieldKey"]: field["fieldType"] for field in fields} == {"f": "float", "n": "integer", "s": "string", "b": "boolean"}
hosts = client.query('SHOW TAG VALUES FROM m WITH KEY = "host"').get_points()
assert [host["value"] for host in hosts] == sorted({row(n)[0] for n in range(sent)})
try:
    client.query("SELECT * FROM m")
    sys.exit("a SELECT was answered")
except InfluxDBClientError as error:
    assert error.code == 400 and "SQL" in str(error), error
try:
    client.query("SHOW MEASUREMENTS", database="nowhere")
    sys.exit("a database that is not there was listed")
except InfluxDBClientError as error:
    assert "database not found: nowhere" in str(error), error
print(sent)
