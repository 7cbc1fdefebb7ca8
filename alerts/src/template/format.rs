//! Numbers, times and spans as Go writes them, and `printf`.

use statistics::float::{show_digits, show_exponent, show_general};

use super::value::Value;

/// A time of seconds since the epoch, as Go's `Time.String` has it in UTC.
pub(super) fn instant(seconds: f64) -> Result<String, String> {
    let ms = (seconds * 1000.0).floor();
    let outside = || format!("{} is no time", show_general(seconds));
    if !ms.is_finite() || ms.abs() >= i64::MAX as f64 {
        return Err(outside());
    }
    let time = jiff::Timestamp::from_millisecond(ms as i64).map_err(|_| outside())?;
    let whole = time.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let rest_ms = (ms as i64).rem_euclid(1000);
    let fraction = if rest_ms == 0 { String::new() } else { format!(".{rest_ms:03}").trim_end_matches('0').to_owned() };
    Ok(format!("{whole}{fraction} +0000 UTC"))
}

/// A span, as Go's `Duration.String` has it.
pub(super) fn duration(ns: i64) -> String {
    let (sign, all) = (if ns < 0 { "-" } else { "" }, ns.unsigned_abs());
    let shown = |all: u64, unit: u64| format!("{}", all as f64 / unit as f64);
    let text = match all {
        0 => "0s".into(),
        1..1_000 => format!("{all}ns"),
        1_000..1_000_000 => format!("{}µs", shown(all, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", shown(all, 1_000_000)),
        _ => {
            let minutes = all / 60_000_000_000;
            let seconds = format!("{}s", shown(all % 60_000_000_000, 1_000_000_000));
            match (minutes / 60, minutes % 60) {
                (0, 0) => seconds,
                (0, minutes) => format!("{minutes}m{seconds}"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}"),
            }
        }
    };
    format!("{sign}{text}")
}

/// What stands between `%` and the letter.
#[derive(Default)]
struct Flags {
    minus: bool,
    plus: bool,
    zero: bool,
    space: bool,
    sharp: bool,
    width: usize,
    precision: Option<usize>,
}

/// Texts are no wider than this.
const WIDTH_MAX: usize = 1000;

/// `printf`. What does not fit is written into the text, as Go does it.
pub(super) fn printf(format: &str, values: &[Value]) -> String {
    let (mut text, mut rest, mut next) = (String::new(), format, 0);
    while let Some((before, behind)) = rest.split_once('%') {
        text.push_str(before);
        let (flags, behind) = flags(behind);
        let Some(verb) = behind.chars().next() else {
            text.push_str("%!(NOVERB)");
            rest = "";
            break;
        };
        rest = &behind[verb.len_utf8()..];
        if verb == '%' {
            text.push('%');
        } else if let Some(value) = values.get(next) {
            next += 1;
            text.push_str(&verb_of(verb, &flags, value));
        } else {
            text.push_str(&format!("%!{verb}(MISSING)"));
        }
    }
    text.push_str(rest);
    if next < values.len() {
        let extra: Vec<String> =
            values[next..].iter().map(|value| format!("{}={}", go_type(value), value.text())).collect();
        text.push_str(&format!("%!(EXTRA {})", extra.join(", ")));
    }
    text
}

fn flags(text: &str) -> (Flags, &str) {
    let mut flags = Flags::default();
    let start = text.trim_start_matches(['-', '+', '0', ' ', '#']);
    for flag in text[..text.len() - start.len()].chars() {
        match flag {
            '-' => flags.minus = true,
            '+' => flags.plus = true,
            '0' => flags.zero = true,
            ' ' => flags.space = true,
            _ => flags.sharp = true,
        }
    }
    let number = |text: &str| -> (Option<usize>, usize) {
        let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
        (text[..digits].parse().ok().map(|own: usize| own.min(WIDTH_MAX)), digits)
    };
    let (width, digits) = number(start);
    flags.width = width.unwrap_or(0);
    let mut rest = &start[digits..];
    if let Some(behind) = rest.strip_prefix('.') {
        let (precision, digits) = number(behind);
        flags.precision = Some(precision.unwrap_or(0));
        rest = &behind[digits..];
    }
    (flags, rest)
}

fn verb_of(verb: char, flags: &Flags, value: &Value) -> String {
    let bad = || format!("%!{verb}({}={})", go_type(value), value.text());
    let text = match (verb, value) {
        ('v', Value::Float(own)) => match flags.precision {
            Some(precision) => show_digits(*own, precision),
            None => show_general(*own),
        },
        ('v', other) => other.text(),
        ('s', Value::Text(own)) => own.chars().take(flags.precision.unwrap_or(usize::MAX)).collect(),
        ('s', Value::Map(_) | Value::List(_) | Value::Sample(..) | Value::Instant(_) | Value::Duration(_)) => {
            value.text()
        }
        ('q', Value::Text(own)) => format!("{own:?}"),
        ('t', Value::Bool(own)) => own.to_string(),
        ('d', Value::Int(own) | Value::Duration(own)) => own.to_string(),
        ('x', Value::Int(own)) => format!("{}{:x}", if *own < 0 { "-" } else { "" }, own.unsigned_abs()),
        ('X', Value::Int(own)) => format!("{}{:X}", if *own < 0 { "-" } else { "" }, own.unsigned_abs()),
        ('x', Value::Text(own)) => own.bytes().map(|byte| format!("{byte:02x}")).collect(),
        ('o', Value::Int(own)) => format!("{}{:o}", if *own < 0 { "-" } else { "" }, own.unsigned_abs()),
        ('b', Value::Int(own)) => format!("{}{:b}", if *own < 0 { "-" } else { "" }, own.unsigned_abs()),
        ('c', Value::Int(own)) => match u32::try_from(*own).ok().and_then(char::from_u32) {
            Some(letter) => letter.to_string(),
            None => char::REPLACEMENT_CHARACTER.to_string(),
        },
        ('f' | 'F', Value::Float(own)) if own.is_finite() => format!("{own:.*}", flags.precision.unwrap_or(6)),
        ('f' | 'F', Value::Float(own)) => show_general(*own),
        ('e', Value::Float(own)) => show_exponent(*own, Some(flags.precision.unwrap_or(6))),
        ('g', Value::Float(own)) => match flags.precision {
            Some(precision) => show_digits(*own, precision),
            None => show_general(*own),
        },
        _ => return bad(),
    };
    padded(text, flags, matches!(value, Value::Int(_) | Value::Float(_)))
}

fn padded(text: String, flags: &Flags, is_number: bool) -> String {
    let text = match (is_number && !text.starts_with(['-', '+']), flags) {
        (true, Flags { plus: true, .. }) => format!("+{text}"),
        (true, Flags { space: true, .. }) => format!(" {text}"),
        _ => text,
    };
    let width = text.chars().count();
    let missing = flags.width.saturating_sub(width);
    match flags {
        Flags { minus: true, .. } => format!("{text}{}", " ".repeat(missing)),
        Flags { zero: true, .. } if is_number => {
            let signs = text.len() - text.trim_start_matches(['-', '+', ' ']).len();
            format!("{}{}{}", &text[..signs], "0".repeat(missing), &text[signs..])
        }
        _ => format!("{}{text}", " ".repeat(missing)),
    }
}

/// How Go calls its kind.
fn go_type(value: &Value) -> &'static str {
    match value {
        Value::Nil => "<nil>",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float64",
        Value::Text(_) => "string",
        Value::Map(_) => "map[string]string",
        Value::Sample(..) => "*template.sample",
        Value::List(_) => "template.queryResult",
        Value::Instant(_) => "*time.Time",
        Value::Duration(_) => "time.Duration",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_those_of_go() {
        let value = Value::from;
        for (format, values, expected) in [
            ("%.2f%%", vec![value(12.345)], "12.35%"),
            ("%s: %v", vec!["a".into(), value(1.5)], "a: 1.5"),
            ("%5.1f|%-5s|%05d", vec![value(2.25), "ab".into(), Value::Int(-7)], "  2.2|ab   |-0007"),
            ("%d", vec![value(1.0)], "%!d(float64=1)"),
            ("%s", vec![value(1.0)], "%!s(float64=1)"),
            ("%d %d", vec![Value::Int(1)], "1 %!d(MISSING)"),
            ("a", vec![Value::Int(1)], "a%!(EXTRA int=1)"),
            (
                "%e %g %q %x",
                vec![value(1500.0), value(1e7), "x\"".into(), Value::Int(255)],
                "1.500000e+03 1e+07 \"x\\\"\" ff",
            ),
            ("%+d%", vec![Value::Int(3)], "+3%!(NOVERB)"),
        ] {
            assert_eq!(printf(format, &values), expected, "{format}");
        }
    }

    #[test]
    fn times_and_spans_are_written_as_go_does() {
        assert_eq!(instant(1_435_065_584.128).unwrap(), "2015-06-23 13:19:44.128 +0000 UTC");
        assert_eq!(instant(0.0).unwrap(), "1970-01-01 00:00:00 +0000 UTC");
        assert!(instant(f64::MAX).is_err() && instant(f64::NAN).is_err());
        let spans = [0, 1_500, 2_000_000, 1_500_000_000, 90_000_000_000, -3_600_000_000_000];
        assert_eq!(spans.map(duration), ["0s", "1.5µs", "2ms", "1.5s", "1m30s", "-1h0m0s"]);
    }
}
