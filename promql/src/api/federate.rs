//! `/federate`: the newest sample of series, as a page that is scraped.

use std::collections::BTreeMap;

use tsdb::{is_stale_mark, now_ns};

use super::asked::Asked;
use super::error::ApiError;
use crate::base::labels::{Labels, NAME};
use crate::engine::{Source, Wanted};
use crate::model::samples::Sample;
use crate::stored::Stored;
use crate::syntax::is_plain;
use statistics::float::show_value;

/// The label that every sample has, so that the one who scrapes does not add its own.
const INSTANCE: &str = "instance";

/// Which names whoever scrapes can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// Letters, digits and `_`: `_` stands for everything else.
    Plain,
    /// All, in quotes if they need them.
    Quoted,
}

impl Names {
    /// Those that a header `Accept` asks for.
    #[must_use]
    pub fn accepted(accept: &str) -> Names {
        if accept.contains("escaping=allow-utf-8") { Names::Quoted } else { Names::Plain }
    }

    /// What kind of text it is.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Names::Plain => "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            Names::Quoted => "text/plain; version=0.0.4; charset=utf-8; escaping=allow-utf-8",
        }
    }

    fn show(self, name: &str) -> String {
        match self {
            _ if is_plain(name) => name.to_owned(),
            Names::Quoted => format!("\"{}\"", escaped(name)),
            Names::Plain => {
                let is_kept = |at: usize, letter: char| {
                    letter == '_' || letter.is_ascii_alphabetic() || letter.is_ascii_digit() && at > 0
                };
                let letters = name.char_indices().map(|(at, letter)| if is_kept(at, letter) { letter } else { '_' });
                letters.collect()
            }
        }
    }
}

/// `/federate`: of the series that `match[]` wants the sample that is the newest now. Native histograms have no text.
///
/// # Errors
///
/// Parameters are wrong, or samples cannot be read.
pub fn federate(asked: &Asked<'_>, names: Names) -> Result<String, ApiError> {
    let lists = asked.parameters.matchers()?;
    let now_ms = now_ns().div_euclid(1_000_000);
    let allowance = asked.allowance();
    let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
    // By the name of the metric first: a metric's samples stand together.
    let mut newest: BTreeMap<(String, Labels), (i64, f64)> = BTreeMap::new();
    for matchers in &lists {
        let after_ms = now_ms - asked.settings.lookback_ms;
        let wanted = Wanted::newest(matchers, after_ms, now_ms);
        stored.select(wanted, &mut |labels, samples| {
            if let Some((time, Sample::Float(value), _)) = samples.newest(now_ms)
                && time > now_ms - asked.settings.lookback_ms
                && !is_stale_mark(value)
                && !labels.metric().is_empty()
            {
                stored.room()?;
                newest.insert((labels.metric().to_owned(), labels), (time, value));
            }
            Ok(())
        })?;
    }
    let (mut page, mut last) = (String::new(), String::new());
    for ((metric, labels), (time, value)) in newest {
        if metric != last {
            page.push_str(&format!("# TYPE {} untyped\n", names.show(&metric)));
        }
        line(&metric, &labels, names, &mut page);
        page.push_str(&format!(" {} {time}\n", show_value(value)));
        last = metric;
    }
    Ok(page)
}

fn line(metric: &str, labels: &Labels, names: Names, page: &mut String) {
    let mut shown: Vec<String> = Vec::new();
    match names {
        Names::Quoted if !is_plain(metric) => shown.push(names.show(metric)),
        _ => page.push_str(&names.show(metric)),
    }
    let others = labels.iter().filter(|(label, value)| *label != NAME && !value.is_empty());
    shown.extend(others.map(|(label, value)| format!("{}=\"{}\"", names.show(label), escaped(value))));
    if labels.get(INSTANCE).is_empty() {
        shown.push(format!("{INSTANCE}=\"\""));
    }
    page.push_str(&format!("{{{}}}", shown.join(",")));
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n").replace('"', "\\\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_written_so_that_they_are_read_back() {
        let shown = |labels: &[(&str, &str)], names| {
            let labels = Labels::new(labels.iter().map(|(name, value)| (*name, *value)));
            let mut page = String::new();
            line(labels.metric(), &labels, names, &mut page);
            page
        };
        assert_eq!(shown(&[(NAME, "up")], Names::Plain), "up{instance=\"\"}");
        let odd = [(NAME, "http.requests"), ("instance", "a\"b\\\n"), ("my label", "x")];
        assert_eq!(shown(&odd, Names::Plain), "http_requests{instance=\"a\\\"b\\\\\\n\",my_label=\"x\"}");
        assert_eq!(shown(&odd, Names::Quoted), "{\"http.requests\",instance=\"a\\\"b\\\\\\n\",\"my label\"=\"x\"}");
    }
}
