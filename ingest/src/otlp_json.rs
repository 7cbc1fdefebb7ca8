//! OTLP metrics as JSON, as the [protobuf JSON mapping](https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding) of OTLP has it:
//! names in lowerCamelCase, 64-bit integers as strings (numbers are taken, too).

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use tsdb::Batch;

use crate::metadata::{MetricInfo, MetricKind};
use crate::native_histogram::NativeHistogram;
use crate::otlp::{Attributes, DELTA, Histogram, Number, Point, Summary, Writer, histogram_kind, side, sum_kind};
use crate::report::Report;

/// As [`otlp::decode`](crate::otlp::decode), of a request as JSON.
///
/// # Errors
///
/// Where the text is no such request; the batch is to be thrown away then.
pub fn decode(
    bytes: &[u8],
    now: i64,
    batch: &mut Batch,
    mut describe: impl FnMut(MetricInfo<'_>),
) -> Result<Report, String> {
    let request: Request<'_> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut writer = Writer::new(batch, now, &mut describe);
    for resource in &request.resource_metrics {
        let outer = texts(&resource.resource.attributes);
        for scope in &resource.scope_metrics {
            let mut texts_of_scope = outer.clone();
            texts_of_scope.push(("otel_scope_name".into(), scope.scope.name.as_ref().into()));
            texts_of_scope.push(("otel_scope_version".into(), scope.scope.version.as_ref().into()));
            texts_of_scope.extend(texts(&scope.scope.attributes));
            let scope_attributes = borrowed(&texts_of_scope);
            scope.metrics.iter().for_each(|metric| take(metric, &scope_attributes, &mut writer));
        }
    }
    Ok(writer.report)
}

fn take(metric: &Metric<'_>, scope: &Attributes<'_>, writer: &mut Writer<'_, '_>) {
    let name = metric.name.as_ref();
    let kind = match metric {
        Metric { sum: Some(sum), .. } => sum_kind(sum.aggregation_temporality.is_delta(), sum.is_monotonic),
        Metric { gauge: Some(_), .. } => MetricKind::Gauge,
        Metric { histogram: Some(data), .. } => histogram_kind(data.aggregation_temporality.is_delta()),
        Metric { exponential_histogram: Some(data), .. } => histogram_kind(data.aggregation_temporality.is_delta()),
        Metric { summary: Some(_), .. } => MetricKind::Summary,
        _ => return,
    };
    writer.describe(MetricInfo { metric: name, kind, unit: &metric.unit, help: &metric.description });
    for found in [&metric.gauge, &metric.sum].into_iter().flatten().flat_map(|data| &data.data_points) {
        found.with_point(|point| {
            let number = found.as_int.0.map_or(Number::Double(found.as_double.0), Number::Int);
            writer.number(name, scope, point, number);
        });
    }
    for found in metric.histogram.iter().flat_map(|data| &data.data_points) {
        let histogram = Histogram {
            count: found.count.0.unwrap_or(0) as u64,
            sum: found.sum.map(|sum| sum.0),
            min: found.min.map(|min| min.0),
            max: found.max.map(|max| max.0),
            bucket_counts: found.bucket_counts.iter().map(|count| count.0.unwrap_or(0) as u64).collect(),
            bounds: found.explicit_bounds.iter().map(|bound| bound.0).collect(),
        };
        found.with_point(|point| writer.histogram(name, scope, point, &histogram));
    }
    for found in metric.exponential_histogram.iter().flat_map(|data| &data.data_points) {
        let buckets = |buckets: &Buckets| {
            let counts = buckets.bucket_counts.iter().map(|count| count.0.unwrap_or(0) as u64 as f64);
            side(buckets.offset, counts.collect())
        };
        let histogram = NativeHistogram {
            count: found.count.0.unwrap_or(0) as u64 as f64,
            sum: found.sum.map(|sum| sum.0),
            schema: found.scale,
            zero_threshold: found.zero_threshold.0,
            zero_count: found.zero_count.0.unwrap_or(0) as u64 as f64,
            positive: buckets(&found.positive),
            negative: buckets(&found.negative),
            min: found.min.map(|min| min.0),
            max: found.max.map(|max| max.0),
            ..NativeHistogram::default()
        };
        found.with_point(|point| writer.exponential(name, scope, point, &histogram));
    }
    for found in metric.summary.iter().flat_map(|data| &data.data_points) {
        let quantiles = found.quantile_values.iter().map(|pair| (pair.quantile.0, pair.value.0)).collect();
        let sum = found.sum.map_or(0.0, |sum| sum.0);
        let summary = Summary { count: found.count.0.unwrap_or(0) as u64, sum, quantiles };
        found.with_point(|point| writer.summary(name, scope, point, &summary));
    }
}

fn texts(attributes: &[KeyValue<'_>]) -> Vec<(String, String)> {
    attributes.iter().map(|pair| (pair.key.as_ref().into(), pair.value.text())).collect()
}

fn borrowed(texts: &[(String, String)]) -> Attributes<'_> {
    texts.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

type Text<'a> = Cow<'a, str>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Request<'a> {
    #[serde(borrow)]
    resource_metrics: Vec<ResourceMetrics<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct ResourceMetrics<'a> {
    #[serde(borrow)]
    resource: Resource<'a>,
    scope_metrics: Vec<ScopeMetrics<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ScopeMetrics<'a> {
    #[serde(borrow)]
    scope: Scope<'a>,
    metrics: Vec<Metric<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scope<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    version: Text<'a>,
    attributes: Vec<KeyValue<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Metric<'a> {
    #[serde(borrow)]
    name: Text<'a>,
    description: Text<'a>,
    unit: Text<'a>,
    gauge: Option<Data<'a>>,
    sum: Option<Data<'a>>,
    histogram: Option<Data<'a>>,
    exponential_histogram: Option<Data<'a>>,
    summary: Option<Data<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Data<'a> {
    #[serde(borrow)]
    data_points: Vec<DataPoint<'a>>,
    aggregation_temporality: Temporality,
    is_monotonic: bool,
}

/// Enumerations are numbers in OTLP's JSON; protobuf's own mapping has names.
#[derive(Deserialize)]
#[serde(untagged)]
enum Temporality {
    Number(u64),
    Name(String),
}

impl Default for Temporality {
    fn default() -> Temporality {
        Temporality::Number(0)
    }
}

impl Temporality {
    fn is_delta(&self) -> bool {
        match self {
            Temporality::Number(number) => *number == DELTA,
            Temporality::Name(name) => name == "AGGREGATION_TEMPORALITY_DELTA",
        }
    }
}

/// A data point of any kind: what it does not have is left out.
#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct DataPoint<'a> {
    #[serde(borrow)]
    attributes: Vec<KeyValue<'a>>,
    time_unix_nano: Integer,
    flags: u64,
    exemplars: Vec<serde::de::IgnoredAny>,
    as_double: Double,
    as_int: Integer,
    count: Integer,
    sum: Option<Double>,
    min: Option<Double>,
    max: Option<Double>,
    bucket_counts: Vec<Integer>,
    explicit_bounds: Vec<Double>,
    scale: i64,
    zero_count: Integer,
    zero_threshold: Double,
    positive: Buckets,
    negative: Buckets,
    quantile_values: Vec<Quantile>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Buckets {
    offset: i64,
    bucket_counts: Vec<Integer>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Quantile {
    quantile: Double,
    value: Double,
}

impl DataPoint<'_> {
    fn with_point(&self, use_it: impl FnOnce(&Point<'_>)) {
        let texts = texts(&self.attributes);
        let time = self.time_unix_nano.0.unwrap_or(0) as u64;
        let (flags, exemplars) = (self.flags, self.exemplars.len());
        use_it(&Point { attributes: borrowed(&texts), time, flags, exemplars });
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Text<'a>,
    value: AnyValue<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue<'a> {
    #[serde(borrow)]
    string_value: Option<Text<'a>>,
    bool_value: Option<bool>,
    int_value: Integer,
    double_value: Option<Double>,
    array_value: Option<List<'a>>,
    kvlist_value: Option<Pairs<'a>>,
    /// In base64.
    bytes_value: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct List<'a> {
    #[serde(borrow)]
    values: Vec<AnyValue<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Pairs<'a> {
    #[serde(borrow)]
    values: Vec<KeyValue<'a>>,
}

impl AnyValue<'_> {
    /// As text: a string as it is, everything else as JSON has it.
    fn text(&self) -> String {
        match self.json() {
            serde_json::Value::Null => String::new(),
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        }
    }

    /// serde_json itself refuses what is too deep.
    fn json(&self) -> serde_json::Value {
        if let Some(text) = self.string_value.as_ref().or(self.bytes_value.as_ref()) {
            return text.as_ref().into();
        }
        if let Some(int) = self.int_value.0 {
            return int.into();
        }
        if let Some(list) = &self.array_value {
            return list.values.iter().map(AnyValue::json).collect::<Vec<_>>().into();
        }
        if let Some(pairs) = &self.kvlist_value {
            let pairs = pairs.values.iter().map(|pair| (pair.key.as_ref().to_owned(), pair.value.json()));
            return serde_json::Value::Object(pairs.collect());
        }
        match (self.bool_value, self.double_value) {
            (Some(bool), _) => bool.into(),
            (None, Some(double)) => double.0.into(),
            (None, None) => serde_json::Value::Null,
        }
    }
}

/// A 64-bit integer, signed or not, as a string or as a number; as its bits.
#[derive(Default, Clone, Copy)]
struct Integer(Option<i64>);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Integer, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Signed(i64),
            Unsigned(u64),
            #[serde(borrow)]
            Text(Cow<'a, str>),
        }
        let bits = match Written::deserialize(input)? {
            Written::Signed(number) => number,
            Written::Unsigned(number) => number as i64,
            Written::Text(text) => {
                let number = text.parse().or_else(|_| text.parse::<u64>().map(|number| number as i64));
                number.map_err(|error| serde::de::Error::custom(format!("'{text}' is no 64-bit integer: {error}")))?
            }
        };
        Ok(Integer(Some(bits)))
    }
}

/// A double, as a number or as one of the texts `NaN`, `Infinity`, `-Infinity`.
#[derive(Default, Clone, Copy)]
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Double, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written<'a> {
            Number(f64),
            #[serde(borrow)]
            Text(Cow<'a, str>),
        }
        match Written::deserialize(input)? {
            Written::Number(number) => Ok(Double(number)),
            Written::Text(text) => text
                .parse()
                .map(Double)
                .map_err(|error| serde::de::Error::custom(format!("'{text}' is no double: {error}"))),
        }
    }
}
