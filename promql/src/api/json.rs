//! Answers as JSON.

use crate::base::labels::Labels;
use crate::engine::Times;
use crate::model::points::Series;
use crate::model::samples::{Sample, Samples};
use statistics::float::{push_value, show_value};
use statistics::histogram::Histogram;

/// A text in quotes.
pub(crate) fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".into())
}

/// Adds a text in quotes.
fn push_quoted(text: &str, json: &mut String) {
    if text.bytes().any(|byte| byte < 0x20 || matches!(byte, b'"' | b'\\')) {
        return json.push_str(&quoted(text));
    }
    json.push('"');
    json.push_str(text);
    json.push('"');
}

/// The data of an answer, with warnings and infos beside it.
pub(crate) fn success(data: &str, warnings: &[String], infos: &[String]) -> String {
    let mut json = format!("{SUCCESS}{data}");
    end(warnings, infos, &mut json);
    json
}

/// What stands before the data of an answer.
pub(crate) const SUCCESS: &str = r#"{"status":"success","data":"#;

/// What stands behind it.
pub(crate) fn end(warnings: &[String], infos: &[String], json: &mut String) {
    for (name, notes) in [("warnings", warnings), ("infos", infos)] {
        if !notes.is_empty() {
            let notes: Vec<String> = notes.iter().map(|note| quoted(note)).collect();
            json.push_str(&format!(r#","{name}":[{}]"#, notes.join(",")));
        }
    }
    json.push('}');
}

/// A list of texts.
pub(crate) fn texts<'a>(texts: impl IntoIterator<Item = &'a String>) -> String {
    let texts: Vec<String> = texts.into_iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(","))
}

/// Labels as an object.
pub(crate) fn labels(labels: &Labels, json: &mut String) {
    json.push('{');
    for (at, (name, value)) in labels.iter().enumerate() {
        if at > 0 {
            json.push(',');
        }
        push_quoted(name, json);
        json.push(':');
        push_quoted(value, json);
    }
    json.push('}');
}

/// Seconds, with three digits where they are no whole ones.
pub(crate) fn time(ms: i64, json: &mut String) {
    let (seconds, rest) = (ms.unsigned_abs() / 1000, ms.unsigned_abs() % 1000);
    if ms < 0 {
        json.push('-');
    }
    json.push_str(itoa::Buffer::new().format(seconds));
    if rest > 0 {
        json.push('.');
        json.extend([rest / 100, rest / 10 % 10, rest % 10].map(|digit| char::from(b'0' + digit as u8)));
    }
}

/// A number and its time.
pub(crate) fn float_at(ms: i64, value: f64, json: &mut String) {
    json.push('[');
    float_inside(ms, value, json);
    json.push(']');
}

/// The same without its brackets.
pub(crate) fn float_inside(ms: i64, value: f64, json: &mut String) {
    time(ms, json);
    json.push_str(",\"");
    push_value(value, json);
    json.push('"');
}

fn histogram_at(ms: i64, histogram: &Histogram, json: &mut String) {
    json.push('[');
    time(ms, json);
    let (count, sum) = (show_value(histogram.count), show_value(histogram.sum));
    json.push_str(&format!(r#",{{"count":"{count}","sum":"{sum}""#));
    let buckets = histogram.buckets();
    for (at, bucket) in buckets.iter().enumerate() {
        json.push_str(if at == 0 { ",\"buckets\":[" } else { "," });
        // Which of the bounds are in it.
        let kind = match (bucket.has_lower, bucket.has_upper) {
            (false, true) => 0,
            (true, false) => 1,
            (false, false) => 2,
            (true, true) => 3,
        };
        let [lower, upper, count] = [bucket.lower, bucket.upper, bucket.count].map(show_value);
        json.push_str(&format!(r#"[{kind},"{lower}","{upper}","{count}"]"#));
    }
    json.push_str(if buckets.is_empty() { "}]" } else { "]}]" });
}

/// A series at one time.
pub(crate) fn vector(series: &Series, times: Times, json: &mut String) {
    json.push_str("{\"metric\":");
    labels(&series.labels, json);
    match series.points.get(0) {
        Some(Sample::Float(value)) => {
            json.push_str(",\"value\":");
            float_at(times.start_ms, value, json);
        }
        Some(Sample::Histogram(histogram)) => {
            json.push_str(",\"histogram\":");
            histogram_at(times.start_ms, &histogram, json);
        }
        None => {}
    }
    json.push('}');
}

/// What stands before the value of each step: `[1767225600,"`. It is the same of all series.
#[derive(Debug, Default)]
pub(crate) struct Stamps {
    text: String,
    /// Where each ends.
    ends: Vec<usize>,
}

impl Stamps {
    /// Those of some times.
    pub(crate) fn of(times: Times) -> Stamps {
        let mut stamps = Stamps::default();
        for step in 0..times.steps() {
            stamps.text.push('[');
            time(times.at(step), &mut stamps.text);
            stamps.text.push_str(",\"");
            stamps.ends.push(stamps.text.len());
        }
        stamps
    }

    fn at(&self, step: usize) -> &str {
        let start = step.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start..self.ends[step]]
    }
}

/// A series at many times.
pub(crate) fn matrix(series: &Series, times: Times, stamps: &Stamps, json: &mut String) {
    json.push_str("{\"metric\":");
    labels(&series.labels, json);
    let mut has_floats = false;
    for (step, value) in series.points.floats() {
        json.push_str(if has_floats { "," } else { ",\"values\":[" });
        has_floats = true;
        json.push_str(stamps.at(step));
        push_value(value, json);
        json.push_str("\"]");
    }
    if has_floats {
        json.push(']');
    }
    if series.points.has_histograms() {
        let mut has_histograms = false;
        for step in 0..times.steps() {
            let histogram = series.points.histogram(step).filter(|_| series.points.float(step).is_none());
            let Some(histogram) = histogram else { continue };
            json.push_str(if has_histograms { "," } else { ",\"histograms\":[" });
            has_histograms = true;
            histogram_at(times.at(step), histogram, json);
        }
        if has_histograms {
            json.push(']');
        }
    }
    json.push('}');
}

/// A series with its samples.
pub(crate) fn window(own: &Labels, samples: &Samples, json: &mut String) {
    json.push_str("{\"metric\":");
    labels(own, json);
    for (at, (ms, value)) in samples.times.iter().zip(&samples.values).enumerate() {
        json.push_str(if at == 0 { ",\"values\":[" } else { "," });
        float_at(*ms, *value, json);
    }
    if !samples.times.is_empty() {
        json.push(']');
    }
    for (at, (ms, histogram)) in samples.histograms.iter().enumerate() {
        json.push_str(if at == 0 { ",\"histograms\":[" } else { "," });
        histogram_at(*ms, histogram, json);
    }
    if !samples.histograms.is_empty() {
        json.push(']');
    }
    json.push('}');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_or_none() {
        let shown = |ms| {
            let mut json = String::new();
            time(ms, &mut json);
            json
        };
        assert_eq!([1000, 1005, -1500, 70, 0].map(shown), ["1", "1.005", "-1.500", "0.070", "0"]);
    }

    #[test]
    fn histograms_have_their_buckets() {
        let histogram = Histogram { count: 2.0, sum: 3.0, positive: vec![(1, 2.0)], ..Histogram::default() };
        let mut json = String::new();
        histogram_at(0, &histogram, &mut json);
        assert_eq!(json, r#"[0,{"count":"2","sum":"3","buckets":[[0,"1","2","2"]]}]"#);
    }
}
