//! `query_exemplars`: exemplars of the series that a question selects.

use std::collections::BTreeMap;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, TimestampNanosecondType};
use domain::tables::EXEMPLARS;
use tsdb::{ScanRequest, TagPredicate};

use super::asked::Asked;
use super::catalog::text_at;
use super::error::ApiError;
use super::json;
use crate::base::labels::{Labels, NAME};
use crate::engine::Failure;
use crate::syntax::{Expr, Kind, MatchOp, Matcher, parse};
use statistics::float::show_value;

const MS: i64 = 1_000_000;

/// The labels of an exemplar, its value, and its time in ns.
type Exemplar = (Labels, f64, i64);

/// `query_exemplars`: from `start` to `end`, of the series of all selectors in `query`.
///
/// # Errors
///
/// Parameters are wrong, or exemplars cannot be read.
pub fn query_exemplars(asked: &Asked<'_>) -> Result<String, ApiError> {
    let (after_ms, until_ms) = asked.parameters.span()?;
    let text = asked.parameters.get("query").unwrap_or_default();
    let expr = parse(text, asked.limits).map_err(|error| ApiError::parameter("query", error))?;
    let mut selectors = Vec::new();
    selectors_of(&expr, &mut selectors);
    let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
    let mut warnings = Vec::new();
    if asked.store.table(asked.schema, EXEMPLARS).is_some() {
        let span_ns =
            (after_ms.saturating_add(1).saturating_mul(MS), until_ms.saturating_mul(MS).saturating_add(MS - 1));
        warnings = asked.exemplars(&selectors, span_ns, &mut found)?;
    }
    let shown: Vec<String> = found.into_iter().map(|(series, own)| shown(&series, own)).collect();
    Ok(json::success(&format!("[{}]", shown.join(",")), &warnings, &[]))
}

/// What the selectors of a question want, in the order in which they stand.
fn selectors_of<'e>(expr: &'e Expr, selectors: &mut Vec<&'e [Matcher]>) {
    match &expr.kind {
        Kind::Vector(selector) => selectors.push(&selector.matchers),
        Kind::Matrix(matrix) => selectors.push(&matrix.selector.matchers),
        _ => stacker::maybe_grow(128 << 10, 1 << 20, || {
            expr.children().for_each(|child| selectors_of(child, selectors));
        }),
    }
}

impl Asked<'_> {
    /// Adds the exemplars that a selector wants; says what is known to be missing.
    fn exemplars(
        &self,
        selectors: &[&[Matcher]],
        (from, to): (i64, i64),
        found: &mut BTreeMap<Labels, Vec<Exemplar>>,
    ) -> Result<Vec<String>, ApiError> {
        let failed = |error: tsdb::Error| Failure::from(error.to_string());
        let allowance = self.allowance();
        let name = |matchers: &&[Matcher]| {
            matchers.iter().find_map(|matcher| match &matcher.op {
                MatchOp::Equal(name) if matcher.label == NAME => Some(name.clone()),
                _ => None,
            })
        };
        let names: Option<Vec<String>> = selectors.iter().map(name).collect();
        let columns = ["time", "metric", "series", "labels", "value"].map(str::to_owned).to_vec();
        let tags = names.into_iter().map(|names| TagPredicate::In("metric".into(), names)).collect();
        let request = ScanRequest { columns: Some(columns), from, to, tags, ..ScanRequest::default() };
        let scan = self.store.scan(self.schema, EXEMPLARS, &request).map_err(failed)?;
        for batch in scan.read_all() {
            let batch = batch.map_err(failed)?;
            allowance.check()?;
            let times = batch.column(0).as_primitive::<TimestampNanosecondType>();
            let values = batch.column(4).as_primitive::<Float64Type>();
            for row in 0..batch.num_rows() {
                let (metric, series) = (text_at(batch.column(1), row), text_at(batch.column(2), row));
                let Some(series) = labels(series, Some(metric)) else { continue };
                let is_wanted =
                    |matchers: &&[Matcher]| matchers.iter().all(|matcher| matcher.matches(series.get(&matcher.label)));
                let Some(own) = labels(text_at(batch.column(3), row), None) else { continue };
                if selectors.iter().any(is_wanted) {
                    allowance.take(2 * size_of::<Exemplar>() + 256)?;
                    found.entry(series).or_default().push((own, values.value(row), times.value(row)));
                }
            }
        }
        Ok(scan.warnings())
    }
}

/// Labels that stand as JSON.
fn labels(json: &str, metric: Option<&str>) -> Option<Labels> {
    let labels: BTreeMap<String, String> = serde_json::from_str(json).ok()?;
    Some(Labels::new(labels.into_iter().chain(metric.map(|metric| (NAME.to_owned(), metric.to_owned())))))
}

fn shown(series: &Labels, mut own: Vec<Exemplar>) -> String {
    own.sort_by_key(|(_, _, time)| *time);
    let mut text = String::from("{\"seriesLabels\":");
    json::labels(series, &mut text);
    text.push_str(",\"exemplars\":[");
    for (at, (labels, value, time)) in own.iter().enumerate() {
        text.push_str(if at > 0 { ",{\"labels\":" } else { "{\"labels\":" });
        json::labels(labels, &mut text);
        text.push_str(&format!(",\"value\":\"{}\",\"timestamp\":", show_value(*value)));
        json::time(time.div_euclid(MS), &mut text);
        text.push('}');
    }
    text + "]}"
}
