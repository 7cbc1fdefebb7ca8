"""prometheus-api-client, unmodified: everything that it has, of a server with three series of `up` and a counter."""

import datetime
import sys

from prometheus_api_client import PrometheusConnect

URL, TOKEN = sys.argv[1:]
connection = PrometheusConnect(url=URL, headers={"Authorization": f"Bearer {TOKEN}"})
assert connection.check_prometheus_connection()
assert {"up", "c_total"} <= set(connection.all_metrics())
assert connection.get_label_values("job") == ["a", "b"]
assert {"__name__", "instance", "job"} <= set(connection.get_label_names())
now = datetime.datetime.now()
hour = datetime.timedelta(hours=1)

found = connection.get_current_metric_value("up", label_config={"job": "a"})
assert sorted(one["metric"]["instance"] for one in found) == ["x", "y"], found
found = connection.custom_query("sum by (job) (up)")
assert {one["metric"]["job"]: one["value"][1] for one in found} == {"a": "2", "b": "0"}, found
found = connection.custom_query_range("sum(up)", start_time=now - hour, end_time=now, step="60")
assert found[0]["values"][-1][1] == "2", found
found = connection.get_metric_range_data("c_total", start_time=now - hour, end_time=now)
values = [float(value) for one in found for _, value in one["values"]]
assert len(values) >= 50 and values == sorted(values), values
found = connection.get_metric_aggregation("c_total", ["max", "min"], start_time=now - hour, end_time=now, step="60")
assert found, found
assert len(connection.get_series(start=now - hour, end=now, params={"match[]": "up"})) == 3
assert {one["labels"]["instance"]: one["health"] for one in connection.get_targets()["activeTargets"]} == {"x": "up", "y": "up", "z": "down"}
assert sorted(connection.get_scrape_pools()) == ["a", "b"], connection.get_scrape_pools()
said = {one["metric"]: one["type"] for one in connection.get_target_metadata(target={"job": "a"})}
assert said["c_total"] == "counter", said
(said,) = connection.get_metric_metadata(metric="c_total")
assert (said["type"], said["help"]) == ("counter", "Things."), said
