//! The text that metrics are exposed as: [Prometheus'
//! format](https://prometheus.io/docs/instrumenting/exposition_formats/) and
//! [OpenMetrics](https://prometheus.io/docs/specs/om/open_metrics_spec/).
//!
//! `name{label="value",...} value [timestamp] [# exemplar]`. Timestamps are ms, in OpenMetrics s with a fraction. A
//! series that was seen before is found by its text as it stands.

use std::borrow::Cow;

use domain::metric::{VALUE, tag};
use memchr::{memchr, memchr2};
use tsdb::{Batch, SeriesRef};

use crate::body::without_mark;
use crate::exemplar::Exemplar;
use crate::metadata::{MetricInfo, MetricKind};
use crate::report::{Reason, Report};
use crate::rows::add_metric_series;

/// How a page is read.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// The time of samples that come without, ns since the epoch.
    pub now: i64,
    /// OpenMetrics, if that is known from elsewhere; a page that ends with `# EOF` is one, too.
    pub is_open_metrics: bool,
    /// Tags that every series gets.
    pub tags: &'a [(&'a str, &'a str)],
    /// What becomes of a label that is called as one of these tags.
    pub clash: Clash,
}

/// What becomes of a label whose name is that of a tag that every series gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Clash {
    /// It gets `exported_` before its name, as Prometheus has it where it scrapes.
    #[default]
    Renamed,
    /// It is left out, as the Pushgateway and VictoriaMetrics have it where labels are pushed along.
    Replaced,
}

/// Takes the samples of a page into `batch`, and tells `describe` what is said of metrics. Lines that are wrong are
/// refused one by one.
///
/// ```
/// # let dir = tempfile::tempdir().unwrap();
/// # let store = tsdb::Store::open(dir.path(), Default::default()).unwrap();
/// let page = b"# TYPE up gauge\nup{job=\"web\"} 1\nup{job=\"db\"} 0 1767225600000\nup{\n";
/// let mut batch = store.batch("public");
/// let report = ingest::exposition::parse(page, Default::default(), &mut batch, |_| {});
/// assert_eq!((report.taken, report.refused, report.reasons[0].line), (2, 1, 4));
/// ```
pub fn parse(page: &[u8], options: Options<'_>, batch: &mut Batch, describe: impl FnMut(MetricInfo<'_>)) -> Report {
    parse_noting(page, options, batch, describe, |_| {})
}

/// The same; tells `note` the series of samples that come without a time, which end when a page does not have them.
pub(crate) fn parse_noting(
    page: &[u8],
    options: Options<'_>,
    batch: &mut Batch,
    mut describe: impl FnMut(MetricInfo<'_>),
    mut note: impl FnMut(SeriesRef),
) -> Report {
    let page = without_mark(page);
    let is_open_metrics = options.is_open_metrics || page.trim_ascii_end().ends_with(b"# EOF");
    let unit_ns = if is_open_metrics { 1e9 } else { 1e6 };
    batch.spelled_as(&spelling_format(&options));
    let mut report = Report::default();
    let mut described = Described::default();
    let mut start = 0;
    let mut number = 0;
    while start < page.len() {
        let end = memchr(b'\n', &page[start..]).map_or(page.len(), |found| start + found);
        let line = page[start..end].trim_ascii();
        (start, number) = (end + 1, number + 1);
        let Ok(text) = std::str::from_utf8(line) else {
            report.refuse(number, "the line is not UTF-8", &String::from_utf8_lossy(line));
            continue;
        };
        if let Some(comment) = text.strip_prefix('#') {
            described.note(comment, &mut describe);
            continue;
        }
        if text.is_empty() {
            continue;
        }
        match take(text, options, unit_ns, batch) {
            Ok(taken) => {
                report.take(1);
                if let Some(exemplar) = taken.exemplar {
                    report.keep(kept(exemplar, taken, options, unit_ns));
                }
                if !taken.has_time {
                    note(taken.series);
                }
            }
            Err(reason) => report.refuse(number, reason, text),
        }
    }
    described.end(&mut describe);
    report
}

/// The same text names another series under other tags.
fn spelling_format(options: &Options<'_>) -> String {
    let mut format = String::from("exposition");
    if options.clash == Clash::Replaced && !options.tags.is_empty() {
        format.push_str(" over");
    }
    for (name, value) in options.tags {
        format.push_str(&format!(" {name}={value:?}"));
    }
    format
}

/// What the comments before a metric's samples say of it.
#[derive(Default)]
struct Described<'a> {
    info: MetricInfo<'a>,
    help: Cow<'a, str>,
}

impl<'a> Described<'a> {
    fn note(&mut self, comment: &'a str, describe: &mut impl FnMut(MetricInfo<'_>)) {
        let mut words = comment.trim_start().splitn(3, [' ', '\t']);
        let (Some(what @ ("TYPE" | "HELP" | "UNIT")), Some(metric)) = (words.next(), words.next()) else { return };
        if metric != self.info.metric {
            self.end(describe);
            self.info.metric = metric;
        }
        let rest = words.next().unwrap_or_default();
        match what {
            "TYPE" => self.info.kind = MetricKind::parse(rest.trim()),
            "UNIT" => self.info.unit = rest.trim(),
            _ => self.help = unescape(rest),
        }
    }

    fn end(&mut self, describe: &mut impl FnMut(MetricInfo<'_>)) {
        let Described { info, help } = std::mem::take(self);
        if !info.metric.is_empty() {
            describe(MetricInfo { help: &help, ..info });
        }
    }
}

/// A line that was taken.
#[derive(Clone, Copy)]
struct TakenLine<'a> {
    series: SeriesRef,
    has_time: bool,
    time: i64,
    /// The series as it stands.
    text: &'a str,
    /// What stands behind the mark of an exemplar.
    exemplar: Option<&'a str>,
}

/// Takes the sample of a line.
fn take<'a>(line: &'a str, options: Options<'_>, unit_ns: f64, batch: &mut Batch) -> Result<TakenLine<'a>, Reason> {
    let end = series_end(line)?;
    let (text, rest) = (&line[..end], line[end..].trim_ascii_start());
    let value_end = memchr2(b' ', b'\t', rest.as_bytes()).unwrap_or(rest.len());
    let (value, rest) = (&rest[..value_end], rest[value_end..].trim_ascii());
    let value = number(value)?;
    let (time, exemplar) = match memchr(b'#', rest.as_bytes()) {
        Some(at) => (rest[..at].trim_ascii(), Some(rest[at + 1..].trim_ascii())),
        None => (rest, None),
    };
    let has_time = !time.is_empty();
    let time = if has_time { timestamp(time, unit_ns)? } else { options.now };
    let series = match batch.find_series(text.as_bytes()) {
        Some(series) => series,
        None => add(text, options, batch)?,
    };
    batch.push_sample(series, time, VALUE, value)?;
    Ok(TakenLine { series, has_time, time, text, exemplar })
}

/// Where the name and the labels of a line end.
fn series_end(line: &str) -> Result<usize, String> {
    let bytes = line.as_bytes();
    let name_end = bytes.iter().position(|byte| matches!(byte, b'{' | b' ' | b'\t')).unwrap_or(bytes.len());
    let mut at = name_end;
    // There may be spaces between the name and its labels.
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    if bytes.get(at) != Some(&b'{') {
        return if name_end < bytes.len() {
            Ok(name_end)
        } else {
            Err("expected a value after the metric's name".into())
        };
    }
    at += 1;
    while let Some(found) = memchr2(b'"', b'}', &bytes[at..]) {
        at += found + 1;
        if bytes[at - 1] == b'}' {
            return Ok(at);
        }
        at = quote_end(bytes, at)? + 1;
    }
    Err("expected '}' after the labels".into())
}

/// The place of the quote that ends a text which starts here.
fn quote_end(bytes: &[u8], mut at: usize) -> Result<usize, String> {
    while let Some(found) = memchr2(b'"', b'\\', &bytes[at.min(bytes.len())..]) {
        at += found;
        if bytes[at] == b'"' {
            return Ok(at);
        }
        at += 2;
    }
    Err("a label's value has no closing quote".into())
}

/// `1`, `1.5e3`, `NaN`, `+Inf`.
fn number(text: &str) -> Result<f64, String> {
    match text {
        "" => Err("expected a value after the metric's name and labels".into()),
        "NaN" => Ok(f64::NAN),
        "+Inf" => Ok(f64::INFINITY),
        "-Inf" => Ok(f64::NEG_INFINITY),
        _ => text.parse().map_err(|_| format!("expected a number as value, found '{text}'")),
    }
}

fn timestamp(text: &str, unit_ns: f64) -> Result<i64, String> {
    let wrong = || format!("expected a timestamp after the value, found '{text}'");
    // Whole numbers are exact, and fractions of OpenMetrics to the ns; all else is a float.
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_decimal = !fraction.is_empty() && fraction.bytes().all(|digit| digit.is_ascii_digit());
    let Some(units) = whole.parse::<i64>().ok().filter(|_| is_decimal) else {
        let time = text.parse::<f64>().map_err(|_| wrong())? * unit_ns;
        return if time.abs() < i64::MAX as f64 { Ok(time as i64) } else { Err(wrong()) };
    };
    let unit = unit_ns as i64;
    let digits = fraction.bytes().chain(std::iter::repeat(b'0')).take(9);
    let part = digits.fold(0, |part, digit| part * 10 + i64::from(digit - b'0')) / (1_000_000_000 / unit);
    let part = if whole.starts_with('-') { -part } else { part };
    units.checked_mul(unit).and_then(|time| time.checked_add(part)).ok_or_else(wrong)
}

/// The exemplar of a line: `{trace_id="x"} 0.5 1767225600.1`, whose time may be missing. Nothing where it is none.
fn kept(exemplar: &str, line: TakenLine<'_>, options: Options<'_>, unit_ns: f64) -> Option<Exemplar> {
    let end = series_end(exemplar).ok().filter(|_| exemplar.starts_with('{'))?;
    let own = labels(&exemplar[1..end - 1]).ok()?;
    let mut words = exemplar[end..].split_ascii_whitespace();
    let value = number(words.next()?).ok()?;
    let time = words.next().map_or(Some(line.time), |time| timestamp(time, unit_ns).ok())?;
    let (metric, series) = named(line.text, options).ok()?;
    let series = series.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).chain(options.tags.iter().copied());
    let own = own.iter().filter_map(|(name, value)| Some((name.as_deref()?, value.as_ref())));
    Exemplar::new(&metric, series, own, value, time)
}

type Named<'a> = (Cow<'a, str>, Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// The metric of a line and its labels, without the tags that every series gets.
fn named<'a>(text: &'a str, options: Options<'_>) -> Result<Named<'a>, Reason> {
    let (mut metric, labels) = match memchr(b'{', text.as_bytes()) {
        Some(at) => (Cow::Borrowed(text[..at].trim_ascii()), labels(&text[at + 1..text.len() - 1])?),
        None => (Cow::Borrowed(text), Vec::new()),
    };
    let mut tags: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::new();
    for (name, value) in labels {
        match name {
            // A quoted text alone is the metric's name.
            None => metric = value,
            Some(_) if value.is_empty() => {}
            Some(name) if options.tags.iter().any(|(tag, _)| *tag == name) => {
                if options.clash == Clash::Renamed {
                    tags.push((format!("exported_{name}").into(), value));
                }
            }
            Some(name) => tags.push((name, value)),
        }
    }
    if metric.is_empty() {
        return Err("expected a metric's name at the start of the line".into());
    }
    Ok((metric, tags))
}

/// Makes the series of a line: the slow way.
fn add(text: &str, options: Options<'_>, batch: &mut Batch) -> Result<SeriesRef, Reason> {
    let (metric, tags) = named(text, options)?;
    let own = tags.iter().map(|(name, value)| (tag(name), value.as_ref()));
    let given = options.tags.iter().copied().filter(|(_, value)| !value.is_empty());
    let tags: Vec<_> = own.chain(given.map(|(name, value)| (tag(name), value))).collect();
    let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (name.as_ref(), *value)).collect();
    Ok(add_metric_series(batch, text.as_bytes(), &metric, &tags)?)
}

type Label<'a> = (Option<Cow<'a, str>>, Cow<'a, str>);

/// `a="b",c="d"`, with names quoted or not.
fn labels(text: &str) -> Result<Vec<Label<'_>>, String> {
    let mut labels = Vec::new();
    let mut rest = text.trim_ascii();
    while !rest.is_empty() {
        let (name, after) = if rest.starts_with('"') {
            let end = quote_end(rest.as_bytes(), 1)?;
            (unescape(&rest[1..end]), rest[end + 1..].trim_ascii_start())
        } else {
            let end = memchr(b'=', rest.as_bytes()).ok_or_else(|| format!("expected '=' after label '{rest}'"))?;
            (Cow::Borrowed(rest[..end].trim_ascii()), &rest[end..])
        };
        rest = match after.strip_prefix('=') {
            Some(value) => {
                let value = value.trim_ascii_start();
                if !value.starts_with('"') {
                    return Err(format!("expected a quoted value after label '{name}'"));
                }
                let end = quote_end(value.as_bytes(), 1)?;
                labels.push((Some(name), unescape(&value[1..end])));
                value[end + 1..].trim_ascii_start()
            }
            None if rest.starts_with('"') => {
                labels.push((None, name));
                after
            }
            None => return Err(format!("expected '=' after label '{name}'")),
        };
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest.trim_ascii_start(),
            None if rest.is_empty() => rest,
            None => return Err(format!("expected ',' or '}}' after a label, found '{rest}'")),
        };
    }
    Ok(labels)
}

/// `\\`, `\"` and `\n` resolved.
fn unescape(text: &str) -> Cow<'_, str> {
    if memchr(b'\\', text.as_bytes()).is_none() {
        return text.into();
    }
    let mut resolved = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match (char, chars.as_str().chars().next()) {
            ('\\', Some('n')) => resolved.push('\n'),
            ('\\', Some(next @ ('\\' | '"'))) => resolved.push(next),
            _ => {
                resolved.push(char);
                continue;
            }
        }
        chars.next();
    }
    resolved.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_exact() {
        for (text, unit, expected) in [
            ("1605281325000", 1e6, 1_605_281_325_000_000_000),
            ("1605281325.123456789", 1e9, 1_605_281_325_123_456_789),
            ("-1.5", 1e9, -1_500_000_000),
            ("1e3", 1e6, 1_000_000_000),
        ] {
            assert_eq!(timestamp(text, unit), Ok(expected), "{text}");
        }
        for text in ["", "x", "1.x", "9e99", "NaN", "99999999999999999999"] {
            assert!(timestamp(text, 1e6).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_are_read_and_mistakes_named() {
        let read = |text| labels(text).map(|all| format!("{all:?}"));
        assert_eq!(read(r#"a="b\"\\\n", "my c" = "}" ,"#).unwrap(), r#"[(Some("a"), "b\"\\\n"), (Some("my c"), "}")]"#);
        assert_eq!(read(r#""my.metric",x="y""#).unwrap(), r#"[(None, "my.metric"), (Some("x"), "y")]"#);
        for (text, said) in
            [("a", "expected '='"), ("a=b", "quoted"), (r#"a="b"#, "closing"), (r#"a="b" c="d""#, "','")]
        {
            let error = read(text).unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
        assert_eq!(series_end(r#"m {a="}",b="\"}"} 1"#), Ok(17));
    }
}
