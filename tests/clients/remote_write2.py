"""Remote write 1.0 and 2.0 as Google's protobuf and cramjam's snappy write them: native histograms, metadata, exemplars."""

import sys
import urllib.error
import urllib.request

import cramjam
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from rows import again, batches, row

F = descriptor_pb2.FieldDescriptorProto
TYPES = {"double": F.TYPE_DOUBLE, "int64": F.TYPE_INT64, "uint64": F.TYPE_UINT64, "sint64": F.TYPE_SINT64}
TYPES |= {"sint32": F.TYPE_SINT32, "uint32": F.TYPE_UINT32, "string": F.TYPE_STRING, "int32": F.TYPE_INT32}
HISTOGRAM = """count_int:uint64:1 count_float:double:2 sum:double:3 schema:sint32:4 zero_threshold:double:5 zero_count_int:uint64:6
zero_count_float:double:7 negative_spans:*Span:8 negative_deltas:*sint64:9 negative_counts:*double:10 positive_spans:*Span:11
positive_deltas:*sint64:12 positive_counts:*double:13 reset_hint:int32:14 timestamp:int64:15 custom_values:*double:16"""
MESSAGES = {
    "Label": "name:string:1 value:string:2",
    "Sample": "value:double:1 timestamp:int64:2",
    "Span": "offset:sint32:1 length:uint32:2",
    "Histogram": HISTOGRAM,
    "Exemplar": "labels:*Label:1 value:double:2 timestamp:int64:3",
    "TimeSeries": "labels:*Label:1 samples:*Sample:2 exemplars:*Exemplar:3 histograms:*Histogram:4",
    "Metadata": "type:int32:1 metric_family_name:string:2 help:string:4 unit:string:5",
    "WriteRequest": "timeseries:*TimeSeries:1 metadata:*Metadata:3",
    "Exemplar2": "labels_refs:*uint32:1 value:double:2 timestamp:int64:3",
    "Metadata2": "type:int32:1 help_ref:uint32:3 unit_ref:uint32:4",
    "TimeSeries2": "labels_refs:*uint32:1 samples:*Sample:2 histograms:*Histogram:3 exemplars:*Exemplar2:4 metadata:Metadata2:5",
    "Request": "symbols:*string:4 timeseries:*TimeSeries2:5",
}
file = descriptor_pb2.FileDescriptorProto(name="rw.proto", package="rw", syntax="proto3")
for name, fields in MESSAGES.items():
    message = file.message_type.add(name=name)
    for spec in fields.split():
        field, kind, number = spec.split(":")
        label = F.LABEL_REPEATED if kind[0] == "*" else F.LABEL_OPTIONAL
        kind = kind.lstrip("*")
        if kind in TYPES:
            message.field.add(name=field, number=int(number), label=label, type=TYPES[kind])
        else:
            message.field.add(name=field, number=int(number), label=label, type=F.TYPE_MESSAGE, type_name=f".rw.{kind}")
pool = descriptor_pool.DescriptorPool()
pool.Add(file)
Class = lambda name: message_factory.GetMessageClass(pool.FindMessageTypeByName("rw." + name))


def post(message, kind):
    body = bytes(cramjam.snappy.compress_raw(message.SerializeToString()))
    headers = {"Authorization": "Bearer " + sys.argv[2], "Content-Encoding": "snappy"}
    headers["Content-Type"] = "application/x-protobuf" + kind
    request = urllib.request.Request(sys.argv[1] + "/api/v1/write", body, headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.status == 204
        names = ["samples", "histograms", "exemplars"]
        return [int(answer.headers[f"X-Prometheus-Remote-Write-{name}-Written"]) for name in names]


def histogram(n, version):
    spans = [Class("Span")(offset=-2, length=2), Class("Span")(offset=1, length=1)]
    common = {"sum": n / 3, "schema": 3, "zero_threshold": 1e-128, "timestamp": row(n)[1] * 1000, "positive_spans": spans}
    if version == 1:
        return Class("Histogram")(count_int=9, zero_count_int=2, positive_deltas=[1, 2, -1], reset_hint=1, **common)
    return Class("Histogram")(count_float=9.5, zero_count_float=2, positive_counts=[1, 3, 2.5], **common)


def version1(batch):
    request = Class("WriteRequest")()
    request.metadata.add(type=1, metric_family_name="one", help="the first", unit="s")
    for n in batch:
        host, second, value, *_ = row(n)
        labels = [Class("Label")(name="__name__", value="one"), Class("Label")(name="host", value=host)]
        series = request.timeseries.add(labels=labels)
        series.samples.add(value=value, timestamp=second * 1000)
        series.exemplars.add(value=1, timestamp=second * 1000)
        labels[0] = Class("Label")(name="__name__", value="native_one")
        request.timeseries.add(labels=labels).histograms.append(histogram(n, 1))
    return request


def version2(batch):
    request, symbols = Class("Request")(), {"": 0}
    ref = lambda text: symbols.setdefault(text, len(symbols))
    for n in batch:
        host, second, value, *_ = row(n)
        series = request.timeseries.add(labels_refs=[ref("__name__"), ref("two"), ref("host"), ref(host)])
        series.samples.add(value=value, timestamp=second * 1000)
        series.exemplars.add(value=1, timestamp=second * 1000)
        series.metadata.type, series.metadata.help_ref, series.metadata.unit_ref = 2, ref("the second"), ref("m")
        series = request.timeseries.add(labels_refs=[ref("__name__"), ref("native_two"), ref("host"), ref(host)])
        series.histograms.append(histogram(n, 2))
    request.symbols.extend(symbols)
    return request


for batch in batches():
    rows = len(batch)
    first, second = version1(batch), version2(batch)
    # Exemplars without labels of their own are exemplars.
    assert again(lambda: post(first, ""), OSError) == [rows, rows, rows]
    assert again(lambda: post(second, ";proto=io.prometheus.write.v2.Request"), OSError) == [rows, rows, rows]

for body, kind, status in [(second, ";proto=other", 415), (second, ";proto=io.prometheus.write.v2.Request", None)]:
    if status is None:
        body.symbols[:] = body.symbols[:2]
        status = 400
    try:
        post(body, kind)
        sys.exit(f"{kind} was taken")
    except urllib.error.HTTPError as error:
        assert error.code == status, error.read()
