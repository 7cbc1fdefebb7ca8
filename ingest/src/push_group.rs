//! The group that somebody pushes for, as the Pushgateway has it in its paths: `job/backup/host/a`,
//! `job@base64/YQ`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode_str;

/// What is behind the name of a label whose value is packed, as it has a slash.
const BASE64: &str = "@base64";

/// The labels of a group.
///
/// # Errors
///
/// A label has no value, or one that cannot be read, or its name cannot be one.
pub(crate) fn labels(group: &str) -> Result<Vec<(String, String)>, String> {
    let mut labels: Vec<(String, String)> = Vec::new();
    let mut parts = group.trim_end_matches('/').split('/');
    while let Some(name) = parts.next() {
        let value = parts.next().ok_or_else(|| format!("the label '{name}' in the path has no value behind it"))?;
        let (name, value) = match name.strip_suffix(BASE64) {
            Some(name) => (name, unpacked(value).ok_or_else(|| format!("the label '{name}': '{value}' is no base64"))?),
            None => (name, decoded(value).ok_or_else(|| format!("the label '{name}': '{value}' is not UTF-8"))?),
        };
        let name = decoded(name).unwrap_or_default();
        if name.is_empty() || name.starts_with("__") {
            return Err(format!("'{name}' cannot be the name of a label"));
        }
        if labels.iter().any(|(own, _)| *own == name) {
            return Err(format!("the label '{name}' stands twice in the path"));
        }
        labels.push((name, value));
    }
    match labels.first() {
        Some((name, value)) if name == "job" && !value.is_empty() => Ok(labels),
        _ => Err("the path begins with a job: /metrics/job/NAME".into()),
    }
}

fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(Into::into)
}

/// Base64 of either alphabet, with its padding or without. An empty value is a sign of equality.
fn unpacked(text: &str) -> Option<String> {
    let text = decoded(text)?;
    let engines = [URL_SAFE, URL_SAFE_NO_PAD, STANDARD, STANDARD_NO_PAD];
    if text == "=" {
        return Some(String::new());
    }
    engines.iter().find_map(|engine| String::from_utf8(engine.decode(&text).ok()?).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_as_the_pushgateway_reads_them() {
        let read = |text| labels(text).map(|labels| format!("{labels:?}"));
        assert_eq!(read("job/backup").unwrap(), r#"[("job", "backup")]"#);
        assert_eq!(read("job/backup/host/a%20b/").unwrap(), r#"[("job", "backup"), ("host", "a b")]"#);
        assert_eq!(read("job@base64/YmFjL3Vw/path@base64/=").unwrap(), r#"[("job", "bac/up"), ("path", "")]"#);
        for (text, said) in [
            ("job", "has no value"),
            ("job/", "has no value"),
            ("job/a/host", "'host' in the path has no value"),
            ("job@base64/%%%", "no base64"),
            ("job/a/job/b", "twice"),
            ("job/a/__name__/b", "cannot be the name"),
            ("host/a", "begins with a job"),
        ] {
            assert!(read(text).unwrap_err().contains(said), "{text}: {:?}", read(text));
        }
    }
}
