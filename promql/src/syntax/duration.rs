//! Durations as people write them: `1h30m`.

use super::quote::quote;

/// Units in nanoseconds, the largest first: that is the order in which they may stand.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 24 * 3_600_000_000_000),
    ("w", 7 * 24 * 3_600_000_000_000),
    ("d", 24 * 3_600_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
];

/// Nanoseconds, or what is wrong with it.
///
/// ```
/// use promql::syntax::parse_duration;
///
/// assert_eq!(parse_duration("1h30m"), Ok(5_400_000_000_000));
/// assert_eq!(parse_duration("5m1h").unwrap_err(), r#"not a valid duration string: "5m1h""#);
/// ```
///
/// # Errors
///
/// Where it is not well-formed, has units in another order, or has more than 292 years.
pub fn parse_duration(text: &str) -> Result<i64, String> {
    match text {
        "" => return Err("empty duration string".into()),
        "0" => return Ok(0),
        _ => {}
    }
    let invalid = || format!("not a valid duration string: {}", quote(text));
    let out_of_range = || "duration out of range".to_owned();
    let (mut rest, mut sum, mut next) = (text, 0_u64, 0);
    while !rest.is_empty() {
        let (digits, behind) = split_where(rest, |letter| !letter.is_ascii_digit());
        let (unit, behind) = split_where(behind, |letter| letter.is_ascii_digit());
        let number: u64 = digits.parse().map_err(|_| invalid())?;
        if unit.is_empty() {
            return Err(invalid());
        }
        let at = UNITS.iter().position(|(name, _)| *name == unit);
        let at = at.ok_or_else(|| format!("unknown unit {} in duration {}", quote(unit), quote(text)))?;
        if at < next {
            return Err(invalid());
        }
        sum = number.checked_mul(UNITS[at].1).and_then(|own| sum.checked_add(own)).ok_or_else(out_of_range)?;
        (rest, next) = (behind, at + 1);
    }
    i64::try_from(sum).map_err(|_| out_of_range())
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// Nanoseconds in units, to the millisecond: `1h30m`. Years and weeks stand only where nothing is left behind them.
///
/// ```
/// use promql::syntax::show_duration;
///
/// assert_eq!(show_duration(90 * 86_400 * 1_000_000_000), "90d");
/// assert_eq!(show_duration(-1_500_000_000), "-1s500ms");
/// ```
#[must_use]
pub fn show_duration(ns: i64) -> String {
    let mut left = ns.unsigned_abs() / 1_000_000 * 1_000_000;
    if left == 0 {
        return "0s".into();
    }
    let mut shown = String::from(if ns < 0 { "-" } else { "" });
    for (unit, length) in UNITS {
        let is_exact = matches!(unit, "y" | "w");
        if left >= length && (!is_exact || left.is_multiple_of(length)) {
            shown.push_str(&format!("{}{unit}", left / length));
            left %= length;
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_prometheus() {
        for (text, ms) in [("0", 0), ("0s", 0), ("1ms", 1), ("5m", 300_000), ("1y2w3d", 0), ("1d1ms", 86_400_001)] {
            let ms = if text == "1y2w3d" { (365 + 14 + 3) * 86_400_000 } else { ms };
            assert_eq!(parse_duration(text), Ok(ms * 1_000_000), "{text}");
            let shown = show_duration(ms * 1_000_000);
            assert_eq!(parse_duration(&shown), Ok(ms * 1_000_000), "{text} as {shown}");
        }
        for (text, message) in [
            ("5m1m", r#"not a valid duration string: "5m1m""#),
            ("5y1hs", r#"unknown unit "hs" in duration "5y1hs""#),
            ("5", r#"not a valid duration string: "5""#),
            ("-5m", r#"not a valid duration string: "-5m""#),
            ("300y", "duration out of range"),
            ("99999999999999999999s", r#"not a valid duration string: "99999999999999999999s""#),
        ] {
            assert_eq!(parse_duration(text), Err(message.into()), "{text}");
        }
    }
}
