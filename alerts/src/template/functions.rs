//! What templates can call: the functions of Go's templates and those of Prometheus.

use std::collections::BTreeMap;
use std::sync::Arc;

use promql::syntax::parse_duration;
use regex::Regex;
use statistics::float::show_digits;

use super::format::{instant, printf};
use super::humanize::{humanize, humanize_1024, humanize_duration, humanize_percentage};
use super::run::Filling;
use super::value::Value;
use crate::base::text::escaped_html;

/// The functions that there are. `and` and `or` look at their arguments one after the other.
pub const NAMES: [&str; 51] = [
    "and",
    "args",
    "eq",
    "externalURL",
    "first",
    "ge",
    "graphLink",
    "gt",
    "html",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "index",
    "js",
    "label",
    "le",
    "len",
    "lt",
    "match",
    "ne",
    "not",
    "now",
    "or",
    "parseDuration",
    "pathPrefix",
    "print",
    "printf",
    "println",
    "query",
    "reReplaceAll",
    "safeHtml",
    "slice",
    "sortByLabel",
    "stripDomain",
    "stripPort",
    "strvalue",
    "tableLink",
    "title",
    "toDuration",
    "toLower",
    "toTime",
    "toUpper",
    "trimPrefix",
    "trimSpace",
    "trimSuffix",
    "trim",
    "urlQueryEscape",
    "urlquery",
    "value",
];

pub(super) fn is_function(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Answers are about so much.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// What a function gives.
pub(super) fn call(filling: &Filling<'_>, name: &str, values: &[Value]) -> Result<Value, String> {
    let wrong = || format!("{name} does not take {} arguments", values.len());
    let first = values.first();
    match (name, values) {
        ("print", _) => Ok(printed(values).into()),
        ("println", _) => Ok(spaced(values).into()),
        ("printf", [Value::Text(format), rest @ ..]) => Ok(printf(format, rest).into()),
        ("html", _) => Ok(escaped_html(&printed(values)).into()),
        ("js", _) => Ok(escaped_js(&printed(values)).into()),
        ("urlquery", _) => Ok(query_escaped(&printed(values)).into()),
        ("not", [own]) => Ok(Value::Bool(!own.is_true())),
        ("len", [own]) => length(own),
        ("index", [own, rest @ ..]) => rest.iter().try_fold(own.clone(), |own, at| index(&own, at)),
        ("slice", [own, rest @ ..]) if rest.len() <= 2 => slice(own, rest),
        ("eq", [own, others @ ..]) if !others.is_empty() => {
            let mut is_equal = false;
            for other in others {
                is_equal |= order(own, other)?.is_some_and(std::cmp::Ordering::is_eq);
            }
            Ok(Value::Bool(is_equal))
        }
        ("ne", [one, other]) => Ok(Value::Bool(!order(one, other)?.is_some_and(std::cmp::Ordering::is_eq))),
        ("lt", [one, other]) => Ok(Value::Bool(order(one, other)?.is_some_and(std::cmp::Ordering::is_lt))),
        ("le", [one, other]) => Ok(Value::Bool(order(one, other)?.is_some_and(std::cmp::Ordering::is_le))),
        ("gt", [one, other]) => Ok(Value::Bool(order(one, other)?.is_some_and(std::cmp::Ordering::is_gt))),
        ("ge", [one, other]) => Ok(Value::Bool(order(one, other)?.is_some_and(std::cmp::Ordering::is_ge))),
        ("args", _) => {
            let all = values.iter().enumerate().map(|(at, value)| (format!("arg{at}"), value.clone()));
            Ok(Value::Map(Arc::new(all.collect::<BTreeMap<_, _>>())))
        }
        ("query", [Value::Text(question)]) => {
            let found = filling.ask.ask(question)?;
            Ok(Value::List(found.into_iter().map(|(labels, value)| Value::Sample(labels, value)).collect()))
        }
        ("first", [Value::List(all)]) => {
            all.first().cloned().ok_or_else(|| "first() called on vector with no elements".to_owned())
        }
        ("label", [Value::Text(label), Value::Sample(labels, _)]) => Ok(labels.get(label).into()),
        ("value", [Value::Sample(_, value)]) => Ok(Value::Float(*value)),
        ("strvalue", [Value::Sample(labels, _)]) => Ok(labels.get("__value__").into()),
        ("sortByLabel", [Value::Text(label), Value::List(all)]) => {
            let mut all = all.to_vec();
            all.sort_by(|one, other| {
                let of = |own: &Value| match own {
                    Value::Sample(labels, _) => labels.get(label).to_owned(),
                    _ => String::new(),
                };
                of(one).cmp(&of(other))
            });
            Ok(Value::List(all.into()))
        }
        ("reReplaceAll", [Value::Text(pattern), Value::Text(with), Value::Text(text)]) => {
            Ok(compiled(pattern)?.replace_all(text, &**with).into_owned().into())
        }
        ("match", [Value::Text(pattern), Value::Text(text)]) => Ok(Value::Bool(compiled(pattern)?.is_match(text))),
        ("safeHtml", [Value::Text(text)]) => Ok(Value::Text(text.clone())),
        ("title", [Value::Text(text)]) => Ok(title(text).into()),
        ("toUpper", [Value::Text(text)]) => Ok(text.to_uppercase().into()),
        ("toLower", [Value::Text(text)]) => Ok(text.to_lowercase().into()),
        ("trimSpace", [Value::Text(text)]) => Ok(text.trim().into()),
        ("trim", [Value::Text(text), Value::Text(set)]) => Ok(text.trim_matches(|own| set.contains(own)).into()),
        ("trimPrefix", [Value::Text(part), Value::Text(text)]) => Ok(text.strip_prefix(&**part).unwrap_or(text).into()),
        ("trimSuffix", [Value::Text(part), Value::Text(text)]) => Ok(text.strip_suffix(&**part).unwrap_or(text).into()),
        ("graphLink", [Value::Text(question)]) => Ok(link(question, 0).into()),
        ("tableLink", [Value::Text(question)]) => Ok(link(question, 1).into()),
        ("stripPort", [Value::Text(address)]) => Ok(host_and_port(address).map_or(&**address, |(host, _)| host).into()),
        ("stripDomain", [Value::Text(address)]) => Ok(without_domain(address).into()),
        ("humanize", [own]) => Ok(humanize(own.number()?).into()),
        ("humanize1024", [own]) => Ok(humanize_1024(own.number()?).into()),
        ("humanizeDuration", [own]) => Ok(humanize_duration(own.number()?).into()),
        ("humanizePercentage", [own]) => Ok(humanize_percentage(own.number()?).into()),
        ("humanizeTimestamp", [own]) => {
            let seconds = own.number()?;
            if seconds.is_finite() { instant(seconds).map(Value::from) } else { Ok(show_digits(seconds, 4).into()) }
        }
        ("toTime", [own]) => {
            let seconds = own.number()?;
            instant(seconds).map(|_| Value::Instant(seconds))
        }
        ("toDuration", [own]) => Ok(Value::Duration((own.number()? * 1e9) as i64)),
        ("now", []) => Ok(Value::Float(filling.given.at_ms as f64 / 1000.0)),
        ("parseDuration", [Value::Text(text)]) => Ok(Value::Float(parse_duration(text)? as f64 / 1e9)),
        ("pathPrefix", []) => {
            let behind = filling.given.external_url.split_once("://").map_or("", |(_, rest)| rest);
            Ok(behind.find('/').map_or("", |at| behind[at..].trim_end_matches('/')).into())
        }
        ("externalURL", []) => Ok(filling.given.external_url.into()),
        ("urlQueryEscape", [Value::Text(text)]) => Ok(query_escaped(text).into()),
        _ => Err(first.map_or_else(wrong, |first| {
            let kinds: Vec<&str> = values.iter().map(Value::kind).collect();
            format!("{name} does not take {} ({})", kinds.join(", "), shortened(&first.text()))
        })),
    }
}

fn shortened(text: &str) -> String {
    const MAX: usize = 40;
    match text.char_indices().nth(MAX) {
        Some((at, _)) => format!("{}...", &text[..at]),
        None => text.to_owned(),
    }
}

/// As Go's `Sprint`: with spaces between two that are no texts.
fn printed(values: &[Value]) -> String {
    let mut text = String::new();
    let mut was_text = true;
    for (at, value) in values.iter().enumerate() {
        let is_text = matches!(value, Value::Text(_));
        if at > 0 && !is_text && !was_text {
            text.push(' ');
        }
        text.push_str(&value.text());
        was_text = is_text;
    }
    text
}

fn spaced(values: &[Value]) -> String {
    let all: Vec<String> = values.iter().map(Value::text).collect();
    format!("{}\n", all.join(" "))
}

fn length(own: &Value) -> Result<Value, String> {
    let length = match own {
        Value::Text(text) => text.len(),
        Value::List(all) => all.len(),
        Value::Map(all) => all.len(),
        other => return Err(format!("{} has no length", other.kind())),
    };
    Ok(Value::Int(length as i64))
}

fn index(own: &Value, at: &Value) -> Result<Value, String> {
    match (own, at) {
        (Value::Map(_), Value::Text(name)) => own.field(name),
        (Value::List(all), Value::Int(at)) => {
            let found = usize::try_from(*at).ok().and_then(|at| all.get(at));
            found.cloned().ok_or_else(|| format!("there is no number {at} of {}", all.len()))
        }
        (own, at) => Err(format!("{} has nothing at {}", own.kind(), at.kind())),
    }
}

fn slice(own: &Value, bounds: &[Value]) -> Result<Value, String> {
    let length = match length(own)? {
        Value::Int(length) if !matches!(own, Value::Map(_)) => length,
        _ => return Err(format!("{} has no parts", own.kind())),
    };
    let bound = |at: usize, otherwise: i64| match bounds.get(at) {
        None => Ok(otherwise),
        Some(Value::Int(own)) if (0..=length).contains(own) => Ok(*own),
        Some(other) => Err(format!("{} is no place in {length}", other.text())),
    };
    let (start, end) = (bound(0, 0)?, bound(1, length)?);
    let range = start as usize..end.max(start) as usize;
    match own {
        Value::List(all) => Ok(Value::List(all[range].into())),
        Value::Text(text) => {
            text.get(range).map(Value::from).ok_or_else(|| "a text is not cut within a character".to_owned())
        }
        other => Err(format!("{} has no parts", other.kind())),
    }
}

/// Which is greater; `None` if that is not known of one of them (NaN). Kinds that are not alike cannot be compared.
fn order(one: &Value, other: &Value) -> Result<Option<std::cmp::Ordering>, String> {
    match (one, other) {
        (Value::Text(one), Value::Text(other)) => Ok(Some(one.cmp(other))),
        (Value::Int(one), Value::Int(other)) | (Value::Duration(one), Value::Duration(other)) => {
            Ok(Some(one.cmp(other)))
        }
        (Value::Float(one), Value::Float(other)) => Ok(one.partial_cmp(other)),
        (Value::Bool(one), Value::Bool(other)) => Ok(Some(one.cmp(other))),
        (Value::Nil, Value::Nil) => Ok(Some(std::cmp::Ordering::Equal)),
        _ => Err(format!("{} and {} cannot be compared", one.kind(), other.kind())),
    }
}

fn compiled(pattern: &str) -> Result<Regex, String> {
    let built = regex::RegexBuilder::new(pattern).size_limit(PATTERN_BYTES_MAX).build();
    built.map_err(|error| format!("{pattern:?} is no pattern: {error}"))
}

/// The first letter of each word in upper case.
fn title(text: &str) -> String {
    let mut before = ' ';
    let mut titled = String::with_capacity(text.len());
    for letter in text.chars() {
        match before.is_alphanumeric() || before == '_' || before == '\'' {
            true => titled.push(letter),
            false => titled.extend(letter.to_uppercase()),
        }
        before = letter;
    }
    titled
}

fn link(question: &str, tab: u8) -> String {
    format!("/graph?g0.expr={}&g0.tab={tab}", query_escaped(question))
}

/// As Go's `QueryEscape`.
fn query_escaped(text: &str) -> String {
    const KEPT: &percent_encoding::AsciiSet =
        &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b' ');
    percent_encoding::utf8_percent_encode(text, KEPT).to_string().replace(' ', "+")
}

fn escaped_js(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '\'' => escaped.push_str("\\'"),
            '"' => escaped.push_str("\\\""),
            '<' | '>' | '&' | '=' => escaped.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter if letter < ' ' => escaped.push_str(&format!("\\u{:04X}", u32::from(letter))),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// Both of `host:port` and `[::1]:port`.
fn host_and_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inside) => Some((inside.strip_suffix(']')?, port)),
        None => (!host.contains([':', '['])).then_some((host, port)),
    }
}

fn without_domain(address: &str) -> String {
    let (host, port) = host_and_port(address).map_or((address, None), |(host, port)| (host, Some(port)));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return address.to_owned();
    }
    let first = host.split('.').next().unwrap_or_default();
    port.map_or_else(|| first.to_owned(), |port| format!("{first}:{port}"))
}
