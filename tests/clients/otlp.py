"""opentelemetry-sdk with its OTLP exporters, of HTTP or of gRPC: every kind of instrument, resource and scope attributes."""

import sys

import grpc
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter as GrpcExporter
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter as HttpExporter
from opentelemetry.metrics import Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, MetricExportResult
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource

from rows import again, batches, row

url, token, protocol = sys.argv[1:]
if protocol == "grpc":
    headers = {"authorization": "Bearer " + token}
    exporter = GrpcExporter(endpoint=url, insecure=True, headers=headers, timeout=2, compression=grpc.Compression.Gzip)
else:
    exporter = HttpExporter(endpoint=url + "/v1/metrics", headers={"Authorization": "Bearer " + token}, timeout=2)
reader = InMemoryMetricReader()
view = View(instrument_name="exponential", aggregation=ExponentialBucketHistogramAggregation())
provider = MeterProvider([reader], resource=Resource({"service.name": "tests", "numbers": [1, 2]}), views=[view])
meter = provider.get_meter("scope", "1.2", attributes={"scope.attribute": True})
now = [0.0]
meter.create_observable_gauge("gauge", [lambda options: [Observation(now[0], {"host": "h0", "value": "x"})]], unit="s")
counter = meter.create_counter("counter", description="what was counted")
updown = meter.create_up_down_counter("updown")
histogram = meter.create_histogram("histogram", explicit_bucket_boundaries_advisory=[1.0, 2.5, 10.0])
exponential = meter.create_histogram("exponential")


class Failed(Exception):
    pass


def export():
    data = reader.get_metrics_data()

    def send():
        if exporter.export(data) != MetricExportResult.SUCCESS:
            raise Failed()

    again(send, Failed)


for batch in batches():
    for n in batch:
        host, _, float_value, integer, _, _ = row(n)
        now[0] = float_value
        counter.add(integer, {"host": host})
        updown.add(-1.5, {"host": host})
        histogram.record(abs(float_value), {"host": host})
        exponential.record(float_value if n % 2 else abs(float_value), {"host": host})
    export()
