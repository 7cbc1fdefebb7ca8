//! Values of scripts: `1+2x3`, `_`, `stale`, `{{count:1}}`.

use std::sync::Arc;

use promql::model::samples::Sample;
use statistics::histogram::{CUSTOM, Hint, Histogram};
use tsdb::STALE_MARK;

/// What stands at a step.
#[derive(Debug, Clone)]
pub enum Point {
    Sample(Sample),
}

/// All values of a line.
pub fn parse_points(text: &str) -> Vec<Option<Point>> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = match rest.starts_with("{{") {
            true => histograms(rest, &mut points),
            false => {
                let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                word_of(word, &mut points);
                behind
            }
        }
        .trim_start();
    }
    points
}

fn word_of(word: &str, points: &mut Vec<Option<Point>>) {
    let is_repeated = |word: &str| {
        let (value, count) = word.rsplit_once('x')?;
        (!value.ends_with('0') || !value.len() == 1).then_some(())?;
        Some((value.to_owned(), count.parse::<usize>().ok()?))
    };
    let repeated = (!word.starts_with("0x")).then(|| is_repeated(word)).flatten().or_else(|| {
        let (value, count) = word.rsplit_once('x')?;
        Some((value.to_owned(), count.parse().ok()?))
    });
    let float = |value: f64| Some(Point::Sample(Sample::Float(value)));
    let special = |word: &str| match word {
        "_" => Some(None),
        "stale" => Some(float(STALE_MARK)),
        _ => None,
    };
    if let Some(point) = special(word) {
        points.push(point);
        return;
    }
    let Some((value, count)) = repeated else {
        points.push(float(number(word)));
        return;
    };
    if let Some(point) = special(&value) {
        points.extend(std::iter::repeat_n(point, count));
        return;
    }
    let (mut value, step) = base_and_step(&value);
    for _ in 0..=count {
        points.push(float(value));
        value += step;
    }
}

/// `1+2`: the sign that is not the first of the text, and none of an exponent.
fn base_and_step(text: &str) -> (f64, f64) {
    let bytes = text.as_bytes();
    let at = (1..text.len()).find(|at| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[at - 1], b'e' | b'E'));
    match at {
        Some(at) => (number(&text[..at]), number(&text[at..])),
        None => (number(text), 0.0),
    }
}

fn number(text: &str) -> f64 {
    match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).unwrap() as f64,
        None => text.parse().unwrap_or_else(|_| panic!("'{text}' is no number")),
    }
}

fn histograms<'a>(text: &'a str, points: &mut Vec<Option<Point>>) -> &'a str {
    let (inside, mut rest) = text[2..].split_once("}}").unwrap();
    let base = histogram(inside);
    let mut step = None;
    for (sign, factor) in [("+{{", 1.0), ("-{{", -1.0)] {
        if let Some(behind) = rest.strip_prefix(sign) {
            let (inside, behind) = behind.split_once("}}").unwrap();
            (step, rest) = (Some((histogram(inside), factor)), behind);
        }
    }
    let (count, rest) = match rest.strip_prefix('x') {
        Some(behind) => {
            let (count, behind) = behind.split_once(char::is_whitespace).unwrap_or((behind, ""));
            (count.parse::<usize>().unwrap(), behind)
        }
        None => (0, rest),
    };
    let mut value = base;
    for at in 0..=count {
        if let Some((step, factor)) = step.as_ref().filter(|_| at > 0) {
            // As their parser does it: a difference is no gauge here.
            let hint = value.hint;
            if *factor > 0.0 {
                value.add(step).unwrap()
            } else {
                value.sub(step).unwrap()
            };
            value.hint = hint;
        }
        points.push(Some(Point::Sample(Sample::Histogram(Arc::new(value.clone())))));
    }
    rest
}

fn histogram(text: &str) -> Histogram {
    let mut histogram = Histogram::default();
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let list = |text: &str| text.trim_matches(['[', ']']).split_whitespace().map(number).collect::<Vec<f64>>();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once(':').unwrap();
        let (value, behind) = match behind.strip_prefix('[') {
            Some(inside) => inside.split_once(']').unwrap(),
            None => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        match key.trim() {
            "schema" => histogram.schema = value.parse().unwrap(),
            "sum" => histogram.sum = number(value),
            "count" => histogram.count = number(value),
            "z_bucket" => histogram.zero_count = number(value),
            "z_bucket_w" => histogram.zero_threshold = number(value),
            "offset" => offset = value.parse().unwrap(),
            "n_offset" => negative_offset = value.parse().unwrap(),
            "buckets" => positive = list(value),
            "n_buckets" => negative = list(value),
            "custom_values" => histogram.bounds = list(value).into(),
            "counter_reset_hint" => {
                histogram.hint = match value {
                    "reset" => Hint::Reset,
                    "not_reset" => Hint::NotReset,
                    "gauge" => Hint::Gauge,
                    _ => Hint::Unknown,
                };
            }
            other => panic!("{other}"),
        }
        rest = behind.trim_start();
    }
    assert!(histogram.schema == CUSTOM || histogram.bounds.is_empty(), "{text}");
    let sparse = |counts: Vec<f64>, offset: i32| {
        let all = counts.into_iter().enumerate().map(|(at, count)| (offset + at as i32, count));
        all.filter(|(_, count)| *count != 0.0).collect()
    };
    histogram.positive = sparse(positive, offset);
    histogram.negative = sparse(negative, negative_offset);
    histogram
}

/// Are they the same, to six digits?
pub fn same(wanted: &Point, found: &Sample) -> bool {
    let near = |one: f64, other: f64| {
        one == other
            || one.is_nan() && other.is_nan()
            || one.is_finite() && other.is_finite() && {
                let distance = (one - other).abs();
                distance <= 1e-6 * one.abs().max(other.abs()) || distance < 1e-300
            }
    };
    let Point::Sample(wanted) = wanted;
    match (wanted, found) {
        (Sample::Float(wanted), Sample::Float(found)) => near(*wanted, *found),
        (Sample::Histogram(wanted), Sample::Histogram(found)) => {
            let (one, other) = (wanted.buckets(), found.buckets());
            near(wanted.count, found.count)
                && near(wanted.sum, found.sum)
                && one.len() == other.len()
                && one.iter().zip(&other).all(|(one, other)| {
                    near(one.lower, other.lower) && near(one.upper, other.upper) && near(one.count, other.count)
                })
        }
        _ => false,
    }
}
