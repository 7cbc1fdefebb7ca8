//! The YAML of a test file, as it stands.

use std::collections::BTreeMap;
use std::path::Path;

use promql::syntax::parse_duration;
use serde::Deserialize;

use crate::rules::Problem;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestFile {
    #[serde(default)]
    pub rule_files: Vec<String>,
    #[serde(default)]
    pub evaluation_interval: Option<String>,
    #[serde(default)]
    pub group_eval_order: Vec<String>,
    /// Numbers that agree to 15 digits are the same.
    #[serde(default)]
    pub fuzzy_compare: bool,
    #[serde(default)]
    pub tests: Vec<TestText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestText {
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub interval: Option<String>,
    #[serde(default)]
    pub input_series: Vec<SeriesText>,
    #[serde(default)]
    pub alert_rule_test: Vec<AlertText>,
    #[serde(default)]
    pub promql_expr_test: Vec<QuestionText>,
    #[serde(default)]
    pub external_labels: BTreeMap<String, String>,
    #[serde(default)]
    pub external_url: String,
    #[serde(default)]
    pub start_timestamp: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeriesText {
    pub series: String,
    pub values: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertText {
    pub eval_time: String,
    pub alertname: String,
    #[serde(default)]
    pub exp_alerts: Option<Vec<ExpectedAlert>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedAlert {
    #[serde(default)]
    pub exp_labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    pub exp_annotations: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuestionText {
    pub expr: String,
    pub eval_time: String,
    #[serde(default)]
    pub exp_samples: Option<Vec<ExpectedSample>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExpectedSample {
    #[serde(default)]
    pub labels: String,
    #[serde(default)]
    pub value: f64,
    #[serde(default)]
    pub histogram: Option<String>,
}

/// Reads a test file's text.
pub(super) fn read(path: &Path, text: &str) -> Result<TestFile, Problem> {
    let read = serde_saphyr::from_str_with_options(text, crate::rules::options());
    read.map_err(|error| Problem { file: path.to_string_lossy().into(), ..crate::rules::of_yaml(&error) })
}

/// Milliseconds of a duration, if there is one.
pub(super) fn ms(text: Option<&str>) -> Result<Option<i64>, String> {
    text.map(|text| parse_duration(text).map(|ns| ns / 1_000_000)).transpose()
}
