//! Values of a series, one a step, as Prometheus' scripts and tests of rules have them: `1+2x3`, `_`, `stale`,
//! `{{schema:0 count:1}}x2`.

use std::sync::Arc;

use statistics::histogram::{CUSTOM, Hint, Histogram};
use tsdb::STALE_MARK;

use super::samples::Sample;

/// So many steps a series has at the most.
const STEPS_MAX: usize = 1_000_000;

/// What stands at each step.
///
/// ```
/// use promql::model::notation::points;
///
/// assert_eq!(points("1+2x2 _").unwrap().len(), 4);
/// assert_eq!(points("one").unwrap_err(), "'one': 'one' is no number");
/// ```
///
/// # Errors
///
/// Something is no value.
pub fn points(text: &str) -> Result<Vec<Option<Sample>>, String> {
    let mut points = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        rest = match rest.starts_with("{{") {
            true => histograms(rest, &mut points)?,
            false => {
                let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                self::word(word, &mut points).map_err(|error| format!("'{word}': {error}"))?;
                behind
            }
        }
        .trim_start();
    }
    Ok(points)
}

fn word(word: &str, points: &mut Vec<Option<Sample>>) -> Result<(), String> {
    let (value, repeats) = repeated(word)?;
    let special = match value {
        "_" => Some(None),
        "stale" => Some(Some(Sample::Float(STALE_MARK))),
        _ => None,
    };
    if let Some(point) = special {
        // `_x3` is three, `1x3` four.
        let count = repeats.unwrap_or(1);
        room(points.len() + count)?;
        points.extend(std::iter::repeat_n(point, count));
        return Ok(());
    }
    room(points.len() + repeats.unwrap_or(0))?;
    let (mut value, step) = base_and_step(value)?;
    for _ in 0..=repeats.unwrap_or(0) {
        points.push(Some(Sample::Float(value)));
        value += step;
    }
    Ok(())
}

fn room(steps: usize) -> Result<(), String> {
    if steps > STEPS_MAX { Err(format!("a series has no more than {STEPS_MAX} steps")) } else { Ok(()) }
}

/// What stands before `x3`, and the 3. In `0x3` the zero is repeated, as `promtool` takes it.
fn repeated(word: &str) -> Result<(&str, Option<usize>), String> {
    match word.rsplit_once('x') {
        None => Ok((word, None)),
        Some((value, count)) => {
            let count = count.parse().map_err(|_| format!("'{count}' is no number of steps"))?;
            Ok((value, Some(count)))
        }
    }
}

/// `1+2`: the sign that is not the first of the text, and none of an exponent.
fn base_and_step(text: &str) -> Result<(f64, f64), String> {
    let bytes = text.as_bytes();
    let at = (1..text.len()).find(|at| matches!(bytes[*at], b'+' | b'-') && !matches!(bytes[at - 1], b'e' | b'E'));
    match at {
        Some(at) => Ok((number(&text[..at])?, number(&text[at..])?)),
        None => Ok((number(text)?, 0.0)),
    }
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("'{text}' is no number"))
}

fn histograms<'a>(text: &'a str, points: &mut Vec<Option<Sample>>) -> Result<&'a str, String> {
    let (base, mut rest) = braced(text)?;
    let mut step = None;
    for (sign, adds) in [('+', true), ('-', false)] {
        if let Some(behind) = rest.strip_prefix(sign).filter(|behind| behind.starts_with("{{")) {
            let (own, behind) = braced(behind)?;
            (step, rest) = (Some((own, adds)), behind);
        }
    }
    let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let repeats = match word.strip_prefix('x') {
        Some(count) => count.parse().map_err(|_| format!("'{count}' is no number of steps"))?,
        None if word.is_empty() => 0,
        None => return Err(format!("'{word}' behind a histogram is not x and a number")),
    };
    room(points.len() + repeats)?;
    let mut value = base;
    for at in 0..=repeats {
        if let Some((step, adds)) = step.as_ref().filter(|_| at > 0) {
            // A difference is no gauge here, as in their files.
            let hint = value.hint;
            let changed = if *adds { value.add(step) } else { value.sub(step) };
            changed.map_err(|error| format!("{error:?}"))?;
            value.hint = hint;
        }
        points.push(Some(Sample::Histogram(Arc::new(value.clone()))));
    }
    Ok(behind)
}

/// The histogram in `{{ }}`, and what is behind.
fn braced(text: &str) -> Result<(Histogram, &str), String> {
    let (inside, behind) = text[2..].split_once("}}").ok_or("a histogram has no end")?;
    Ok((histogram(inside)?, behind))
}

/// The histogram that a text between `{{` and `}}` is.
///
/// # Errors
///
/// It is none.
fn histogram(text: &str) -> Result<Histogram, String> {
    let mut histogram = Histogram::default();
    let (mut offset, mut negative_offset) = (0, 0);
    let (mut positive, mut negative) = (Vec::new(), Vec::new());
    let list = |text: &str| text.split_whitespace().map(number).collect::<Result<Vec<f64>, String>>();
    let whole = |text: &str| text.parse::<i32>().map_err(|_| format!("'{text}' is no whole number"));
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (key, behind) = rest.split_once(':').ok_or_else(|| format!("'{rest}' is not name:value"))?;
        let (value, behind) = match behind.strip_prefix('[') {
            Some(inside) => inside.split_once(']').ok_or("a list has no ]")?,
            None => behind.split_once(char::is_whitespace).unwrap_or((behind, "")),
        };
        match key.trim() {
            "schema" => histogram.schema = whole(value)?,
            "sum" => histogram.sum = number(value)?,
            "count" => histogram.count = number(value)?,
            "z_bucket" => histogram.zero_count = number(value)?,
            "z_bucket_w" => histogram.zero_threshold = number(value)?,
            "offset" => offset = whole(value)?,
            "n_offset" => negative_offset = whole(value)?,
            "buckets" => positive = list(value)?,
            "n_buckets" => negative = list(value)?,
            "custom_values" => histogram.bounds = list(value)?.into(),
            "counter_reset_hint" => {
                histogram.hint = match value {
                    "reset" => Hint::Reset,
                    "not_reset" => Hint::NotReset,
                    "gauge" => Hint::Gauge,
                    "unknown" => Hint::Unknown,
                    other => return Err(format!("'{other}' is no hint")),
                };
            }
            other => return Err(format!("'{other}' is nothing of a histogram")),
        }
        rest = behind.trim_start();
    }
    if histogram.schema != CUSTOM && !histogram.bounds.is_empty() {
        return Err("custom_values go with schema:-53".into());
    }
    let sparse = |counts: Vec<f64>, offset: i32| {
        let all = (offset..).zip(counts);
        all.filter(|(_, count)| *count != 0.0).collect()
    };
    histogram.positive = sparse(positive, offset);
    histogram.negative = sparse(negative, negative_offset);
    Ok(histogram)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn floats(text: &str) -> Vec<Option<f64>> {
        let float = |sample: Sample| match sample {
            Sample::Float(value) => value,
            Sample::Histogram(own) => own.count,
        };
        points(text).unwrap().into_iter().map(|point| point.map(float)).collect()
    }

    #[test]
    fn values_are_those_of_promtool() {
        assert_eq!(floats("1+2x3"), [1.0, 3.0, 5.0, 7.0].map(Some));
        assert_eq!(floats("1-2x2 _ 1e3"), [Some(1.0), Some(-1.0), Some(-3.0), None, Some(1000.0)]);
        assert_eq!(floats("0x2 _x2 -1+1x1"), [Some(0.0), Some(0.0), Some(0.0), None, None, Some(-1.0), Some(0.0)]);
        assert!(floats("stale")[0].unwrap().is_nan() && floats("NaN Inf")[1] == Some(f64::INFINITY));
        assert_eq!(floats("{{schema:0 sum:1 count:3 buckets:[1 2]}}x1 {{count:1}}+{{count:2}}x2").len(), 5);
        for (bad, said) in [
            ("1x", "'' is no number of steps"),
            ("one", "'one' is no number"),
            ("1x99999999", "no more than 1000000 steps"),
            ("{{count:1", "a histogram has no end"),
            ("{{size:1}}", "'size' is nothing of a histogram"),
            ("{{buckets:[1}}", "a list has no ]"),
        ] {
            let error = points(bad).unwrap_err();
            assert!(error.contains(said), "{bad}: {error}");
        }
    }
}
