//! What there is: series, labels and their values, what is said of metrics.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::cast::AsArray;
use arrow_array::types::Int32Type;
use arrow_array::{Array, ArrayRef};

use super::asked::Asked;
use super::error::{ApiError, Kind};
use super::json;
use crate::engine::Failure;
use crate::stored::{Stored, label_values, names_of_series, series as stored_series, values_of_series};

/// The table with what is said of metrics.
const METADATA: &str = "metric_metadata";

impl Asked<'_> {
    /// A list, no longer than it may be.
    fn list(&self, all: &BTreeSet<String>, mut warnings: Vec<String>) -> Result<String, ApiError> {
        let limit = self.parameters.limit()?.unwrap_or(usize::MAX);
        warnings.extend((all.len() > limit).then(|| "results truncated due to limit".to_owned()));
        Ok(json::success(&json::texts(all.iter().take(limit)), &warnings, &[]))
    }
}

/// `series`
///
/// # Errors
///
/// Parameters are wrong, or series cannot be read.
pub fn series(asked: &Asked<'_>) -> Result<String, ApiError> {
    let (lists, span_ms) = (asked.parameters.matchers()?, asked.parameters.span()?);
    if lists.is_empty() {
        return Err(ApiError { kind: Kind::BadData, message: "no match[] parameter provided".into() });
    }
    let allowance = asked.allowance();
    let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
    let series = stored_series(&stored, &lists, span_ms)?;
    let mut warnings = stored.warnings();
    let limit = asked.parameters.limit()?.unwrap_or(usize::MAX);
    warnings.extend((series.len() > limit).then(|| "results truncated due to limit".to_owned()));
    let mut data = String::from("[");
    for (at, labels) in series.iter().take(limit).enumerate() {
        if at > 0 {
            data.push(',');
        }
        json::labels(labels, &mut data);
    }
    data.push(']');
    Ok(json::success(&data, &warnings, &[]))
}

/// `labels`
///
/// # Errors
///
/// Parameters are wrong, or series cannot be read.
pub fn labels(asked: &Asked<'_>) -> Result<String, ApiError> {
    let (lists, span_ms) = (asked.parameters.matchers()?, asked.parameters.span()?);
    if lists.is_empty() {
        return asked.list(&asked.metrics.label_names(asked.store, asked.schema), Vec::new());
    }
    let allowance = asked.allowance();
    let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
    let names = names_of_series(&stored, &lists, span_ms)?;
    asked.list(&names, stored.warnings())
}

/// `label/NAME/values`
///
/// # Errors
///
/// Parameters are wrong, or series cannot be read.
pub fn values(asked: &Asked<'_>, name: &str) -> Result<String, ApiError> {
    let name = unescaped(name);
    if name.is_empty() {
        return Err(ApiError { kind: Kind::BadData, message: format!("invalid label name: {}", json::quoted(&name)) });
    }
    let (lists, span_ms) = (asked.parameters.matchers()?, asked.parameters.span()?);
    if lists.is_empty() {
        return asked.list(&label_values(asked.metrics, asked.store, asked.schema, &name)?, Vec::new());
    }
    let allowance = asked.allowance();
    let stored = Stored::new(asked.store, asked.metrics, asked.schema, &allowance);
    let values = values_of_series(&stored, &lists, span_ms, &name)?;
    asked.list(&values, stored.warnings())
}

/// Names that are escaped for a path: `U__http_2e_status` is `http.status`.
fn unescaped(name: &str) -> String {
    let Some(escaped) = name.strip_prefix("U__") else { return name.to_owned() };
    let mut text = String::new();
    let mut rest = escaped;
    while let Some((before, behind)) = rest.split_once('_') {
        text.push_str(before);
        if let Some(behind) = behind.strip_prefix('_') {
            text.push('_');
            rest = behind;
            continue;
        }
        let Some((code, behind)) = behind.split_once('_') else { return name.to_owned() };
        let Some(letter) = u32::from_str_radix(code, 16).ok().and_then(char::from_u32) else { return name.to_owned() };
        text.push(letter);
        rest = behind;
    }
    text + rest
}

impl Asked<'_> {
    /// What is said of metrics, or of the one that `metric` names: type, unit and help as fields of JSON, by name.
    fn said(&self) -> Result<BTreeMap<String, String>, ApiError> {
        let wanted = self.parameters.get("metric");
        let mut all: BTreeMap<String, String> = BTreeMap::new();
        if self.store.table(self.schema, METADATA).is_none() {
            return Ok(all);
        }
        let rows = self.store.last_rows(self.schema, METADATA, None, &[]);
        let (rows, _) = rows.map_err(|error| Failure::from(error.to_string()))?;
        let text = |name: &str, row: usize| rows.column_by_name(name).map_or("", |column| text_at(column, row));
        for row in 0..rows.num_rows() {
            let metric = text("metric", row).to_owned();
            if wanted.is_none_or(|wanted| wanted == metric) {
                let [kind, unit, help] = ["type", "unit", "help"].map(|name| json::quoted(text(name, row)));
                all.insert(metric, format!(r#""type":{kind},"help":{help},"unit":{unit}"#));
            }
        }
        Ok(all)
    }
}

/// `metadata`: types, units and help of metrics.
///
/// # Errors
///
/// Parameters are wrong, or the table cannot be read.
pub fn metadata(asked: &Asked<'_>) -> Result<String, ApiError> {
    let limit = asked.parameters.limit()?.unwrap_or(usize::MAX);
    let said = asked.said()?;
    let shown = said.iter().take(limit).map(|(metric, said)| format!("{}:[{{{said}}}]", json::quoted(metric)));
    Ok(json::success(&format!("{{{}}}", shown.collect::<Vec<_>>().join(",")), &[], &[]))
}

/// `targets/metadata`: the same as a list. Which target said it is not kept.
///
/// # Errors
///
/// Parameters are wrong, or the table cannot be read.
pub fn target_metadata(asked: &Asked<'_>) -> Result<String, ApiError> {
    let limit = asked.parameters.limit()?.unwrap_or(usize::MAX);
    let said = asked.said()?;
    let shown = said
        .iter()
        .take(limit)
        .map(|(metric, said)| format!(r#"{{"target":{{}},"metric":{},{said}}}"#, json::quoted(metric)));
    Ok(json::success(&format!("[{}]", shown.collect::<Vec<_>>().join(",")), &[], &[]))
}

/// A text of a column, which may be a dictionary; empty where there is none.
pub(super) fn text_at(column: &ArrayRef, row: usize) -> &str {
    if column.is_null(row) {
        return "";
    }
    match column.as_dictionary_opt::<Int32Type>() {
        Some(tags) => tags.values().as_string::<i32>().value(tags.keys().value(row) as usize),
        None => column.as_string_opt::<i32>().map_or("", |texts| texts.value(row)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escaped_names_are_read() {
        for (escaped, name) in
            [("job", "job"), ("U__http_2e_status", "http.status"), ("U__a__b", "a_b"), ("U__a_zz_", "U__a_zz_")]
        {
            assert_eq!(unescaped(escaped), name);
        }
    }
}
