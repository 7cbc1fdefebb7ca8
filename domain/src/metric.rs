//! Metrics in tables: which columns a metric has of its own, and how labels are spelled beside them.
//!
//! A metric's name is its table, a sample is the field [`VALUE`], a native histogram is a row of the fields [`HISTOGRAM`],
//! and labels are tags. A column is a tag or a field, so a label that is called as one of a metric's own columns has a
//! spelling of its own, from which it is read back as it came:
//!
//! | label | tag |
//! | --- | --- |
//! | `time`, `value` | `exported_time`, `exported_value`, as Prometheus calls labels that collide |
//! | `count` and others of [`HISTOGRAM`], [`START`] | as it is; `count_` in a table that has the field |
//! | these spellings, and those with more `_` behind | one `_` more |
//!
//! Where a table has the tag already, the field is called `histogram_count` there.

use std::borrow::Cow;

/// The field of a metric's sample.
pub const VALUE: &str = "value";
/// The fields of a native histogram. `docs/http.md` says what is in them.
pub const HISTOGRAM: [&str; 11] = [
    "count",
    "sum",
    "schema",
    "zero_threshold",
    "zero_count",
    "positive",
    "negative",
    "min",
    "max",
    "reset_hint",
    "custom_values",
];
/// The field with the time since when a sample counts, in ms since the epoch, where that is known.
pub const START: &str = "start_timestamp_ms";
const EXPORTED_TIME: &str = "exported_time";
const EXPORTED_VALUE: &str = "exported_value";

/// The tag for a label.
///
/// ```
/// use domain::metric::tag;
/// assert_eq!(tag("host"), "host");
/// assert_eq!(tag("value"), "exported_value");
/// assert_eq!(tag("exported_value"), "exported_value_");
/// assert_eq!((tag("schema"), tag("schema_")), ("schema".into(), "schema__".into()));
/// ```
pub fn tag(label: &str) -> Cow<'_, str> {
    match label {
        "time" => EXPORTED_TIME.into(),
        VALUE => EXPORTED_VALUE.into(),
        _ => match base(label) {
            Some(base) if is_exported(base) || base != label => format!("{label}_").into(),
            _ => label.into(),
        },
    }
}

/// The tag for a label in a table that has a field of its name; `None` where nothing of a metric's own is called so.
///
/// ```
/// use domain::metric::tag_beside_field;
/// assert_eq!(tag_beside_field("schema").as_deref(), Some("schema_"));
/// assert_eq!(tag_beside_field("host"), None);
/// ```
pub fn tag_beside_field(label: &str) -> Option<String> {
    is_field(label).then(|| format!("{label}_"))
}

/// The label that a tag spells, in a table with such fields.
///
/// ```
/// use domain::metric::label;
/// assert_eq!(label("exported_value", |_| true), "value");
/// assert_eq!(label("exported_value_", |_| true), "exported_value");
/// assert_eq!(label("schema_", |field| field == "schema"), "schema");
/// assert_eq!(label("schema_", |_| false), "schema_"); // written before there were spellings
/// ```
pub fn label(tag: &str, has_field: impl Fn(&str) -> bool) -> &str {
    match base(tag) {
        Some(EXPORTED_TIME) if tag == EXPORTED_TIME => "time",
        Some(EXPORTED_VALUE) if tag == EXPORTED_VALUE => VALUE,
        Some(base) if tag.len() > base.len() => {
            let is_spelled = is_exported(base) || tag.len() > base.len() + 1 || has_field(base);
            if is_spelled { &tag[..tag.len() - 1] } else { tag }
        }
        _ => tag,
    }
}

/// The field of a metric in a table that has a tag of its name; `None` if it is no such field.
///
/// ```
/// use domain::metric::field_beside_tag;
/// assert_eq!(field_beside_tag("schema").as_deref(), Some("histogram_schema"));
/// ```
pub fn field_beside_tag(field: &str) -> Option<String> {
    is_field(field).then(|| format!("histogram_{field}"))
}

/// The name without `_` at its end, if others are spelled by that.
fn base(name: &str) -> Option<&str> {
    let base = name.trim_end_matches('_');
    (is_exported(base) || is_field(base)).then_some(base)
}

/// Is it a field that some tables have, and others have as a tag?
fn is_field(name: &str) -> bool {
    HISTOGRAM.contains(&name) || name == START
}

fn is_exported(name: &str) -> bool {
    name == EXPORTED_TIME || name == EXPORTED_VALUE
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Labels called `time` and `value` came back as `exported_time` and `exported_value`, and a histogram of a metric
    /// with a label `schema` was refused.
    #[test]
    fn labels_come_back_as_they_went_in() {
        let mut labels: Vec<String> = HISTOGRAM.iter().map(|name| (*name).to_owned()).collect();
        labels
            .extend([START, "time", VALUE, EXPORTED_TIME, EXPORTED_VALUE, "host", "_", "", "Value"].map(str::to_owned));
        for behind in ["_", "__", "___"] {
            labels.extend(labels.clone().into_iter().map(|label| label + behind));
        }
        let labels: BTreeSet<String> = labels.into_iter().collect();
        for has_fields in [true, false] {
            let mut tags = BTreeSet::new();
            for label in &labels {
                let beside = tag_beside_field(label).filter(|_| has_fields);
                let tag = beside.unwrap_or_else(|| tag(label).into_owned());
                assert!(tag != "time" && tag != VALUE);
                assert_eq!(super::label(&tag, |field| has_fields && is_field(field)), label);
                assert!(tags.insert(tag.clone()), "{tag} stands for two labels");
            }
        }
    }
}
