//! Numbers as Go reads and writes them.

use super::quote::quote;

/// The value of a number that the lexer found: decimal, hexadecimal, octal (a leading zero), `inf`, `nan`.
pub(crate) fn parse_number(text: &str) -> Result<f64, String> {
    let digits: String = text.chars().filter(|letter| *letter != '_').collect();
    let small = digits.to_ascii_lowercase();
    let failed = |why: &str| Err(format!("error parsing number: strconv.ParseFloat: parsing {}: {why}", quote(text)));
    if let Some(hex) = small.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).map(|number| number as f64).or_else(|_| failed("invalid syntax"));
    }
    let octal = small.strip_prefix('0').filter(|rest| !rest.is_empty());
    if let Some(number) = octal.and_then(|octal| i64::from_str_radix(octal, 8).ok()) {
        return Ok(number as f64);
    }
    match small.as_str() {
        "inf" => Ok(f64::INFINITY),
        "nan" => Ok(f64::NAN),
        _ => match small.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            Ok(_) => failed("value out of range"),
            Err(_) => failed("invalid syntax"),
        },
    }
}

/// The shortest digits that are this number again, never with an exponent.
pub(crate) fn show_number(number: f64) -> String {
    match number {
        f64::INFINITY => "+Inf".into(),
        f64::NEG_INFINITY => "-Inf".into(),
        _ if number.is_nan() => "NaN".into(),
        _ => number.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_go() {
        for (text, number) in [
            ("1", 1.0),
            ("1_000.5", 1000.5),
            (".5", 0.5),
            ("5.", 5.0),
            ("1e3", 1000.0),
            ("0x1F", 31.0),
            ("0X_ff", 255.0),
            ("010", 8.0),
            ("08", 8.0),
            ("0", 0.0),
            ("INF", f64::INFINITY),
            ("1e-400", 0.0),
        ] {
            assert_eq!(parse_number(text), Ok(number), "{text}");
        }
        assert!(parse_number("NaN").unwrap().is_nan());
        assert!(parse_number("1e400").unwrap_err().ends_with(r#"parsing "1e400": value out of range"#));
        assert!(parse_number("0xffffffffffffffff").unwrap_err().ends_with("invalid syntax"));
        let shown = [1e21, 1e-7, -0.0, f64::NEG_INFINITY].map(show_number);
        assert_eq!(shown, ["1000000000000000000000", "0.0000001", "-0", "-Inf"]);
    }
}
