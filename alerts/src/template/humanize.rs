//! Numbers as people read them, by Prometheus' functions.

use statistics::float::show_digits;

const LARGE: [&str; 8] = ["k", "M", "G", "T", "P", "E", "Z", "Y"];
const BINARY: [&str; 8] = ["ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi"];
const SMALL: [&str; 8] = ["m", "u", "n", "p", "f", "a", "z", "y"];

/// Four digits, and a prefix of a thousand.
pub(super) fn humanize(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return show_digits(value, 4);
    }
    let (value, prefix) = if value.abs() >= 1.0 { larger(value, 1000.0, &LARGE) } else { smaller(value) };
    format!("{}{prefix}", show_digits(value, 4))
}

/// The same by 1024.
pub(super) fn humanize_1024(value: f64) -> String {
    if value.abs() <= 1.0 || !value.is_finite() {
        return show_digits(value, 4);
    }
    let (value, prefix) = larger(value, 1024.0, &BINARY);
    format!("{}{prefix}", show_digits(value, 4))
}

/// Of a share: hundredths.
pub(super) fn humanize_percentage(value: f64) -> String {
    format!("{}%", show_digits(value * 100.0, 4))
}

/// Of seconds.
pub(super) fn humanize_duration(value: f64) -> String {
    if !value.is_finite() {
        return show_digits(value, 4);
    }
    if value == 0.0 {
        return format!("{}s", show_digits(value, 4));
    }
    if value.abs() < 1.0 {
        let (value, prefix) = smaller(value);
        return format!("{}{prefix}s", show_digits(value, 4));
    }
    let sign = if value < 0.0 { "-" } else { "" };
    let all = value.abs() as i64;
    let (days, hours, minutes, seconds) = (all / 86_400, all / 3600 % 24, all / 60 % 60, all % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{sign}{}s", show_digits(value.abs(), 4)),
        (0, 0, _) => format!("{sign}{minutes}m {seconds}s"),
        (0, ..) => format!("{sign}{hours}h {minutes}m {seconds}s"),
        _ => format!("{sign}{days}d {hours}h {minutes}m {seconds}s"),
    }
}

fn larger<'a>(mut value: f64, base: f64, prefixes: &[&'a str]) -> (f64, &'a str) {
    let mut prefix = "";
    for next in prefixes {
        if value.abs() < base {
            break;
        }
        prefix = next;
        value /= base;
    }
    (value, prefix)
}

fn smaller(mut value: f64) -> (f64, &'static str) {
    let mut prefix = "";
    for next in SMALL {
        if value.abs() >= 1.0 {
            break;
        }
        prefix = next;
        value *= 1000.0;
    }
    (value, prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs and texts of Prometheus' own tests of these functions.
    #[test]
    fn numbers_are_those_of_prometheus() {
        let values = [0.0, 1.0, 1_234_567.0, 0.12, f64::NAN];
        assert_eq!(values.map(humanize), ["0", "1", "1.235M", "120m", "NaN"]);
        let values = [0.0, 1.0, 1_048_576.0, 0.12];
        assert_eq!(values.map(humanize_1024), ["0", "1", "1Mi", "0.12"]);
        let values = [
            0.0,
            1.0,
            60.0,
            3600.0,
            86_400.0,
            86_400.0 + 3600.0,
            -(86_400.0 * 2.0 + 3600.0 * 3.0 + 60.0 * 4.0 + 5.0),
            899.99,
        ];
        assert_eq!(
            values.map(humanize_duration),
            ["0s", "1s", "1m 0s", "1h 0m 0s", "1d 0h 0m 0s", "1d 1h 0m 0s", "-2d 3h 4m 5s", "14m 59s"]
        );
        let values = [0.1, 0.0001, 0.123_456_78, 60.1, 1.2, f64::INFINITY];
        assert_eq!(values.map(humanize_duration), ["100ms", "100us", "123.5ms", "1m 0s", "1.2s", "+Inf"]);
        let values = [-1.0, 0.0, 1.0, 0.123_456_7, -0.123_456_7];
        assert_eq!(values.map(humanize_percentage), ["-100%", "0%", "100%", "12.35%", "-12.35%"]);
    }
}
