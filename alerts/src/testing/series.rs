//! Labels of a series, as they stand in files: `up{job="node"}`.

use promql::base::labels::Labels;
use promql::syntax::{MatchOp, parse_selector};

/// The labels that a text is.
///
/// # Errors
///
/// It is no series: not even a selector, or one that stands for several.
pub(super) fn labels(text: &str) -> Result<Labels, String> {
    if matches!(text.trim(), "" | "{}") {
        return Ok(Labels::default());
    }
    let matchers = parse_selector(text).map_err(|error| format!("'{text}': {error}"))?;
    let pairs = matchers.into_iter().map(|matcher| match matcher.op {
        MatchOp::Equal(value) => Ok((matcher.label, value)),
        _ => Err(format!("'{text}' is no series: {} can have several values", matcher.label)),
    });
    Ok(Labels::new(pairs.collect::<Result<Vec<_>, String>>()?))
}
