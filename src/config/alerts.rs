//! `[[alert]]`: what is alerted beside what every target has, by values in SQL or PromQL.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use alerts::rules::{Asks, Group, Kind, Level, Levels, NoData, Rule, Severity, Text};
use anyhow::{Context, Result, anyhow, bail};
use promql::syntax::{Limits, parse};
use query::SizeLimits;
use serde::Deserialize;

use super::some_duration;

/// Labels that the server gives.
const RESERVED: [&str; 2] = ["alertname", "severity"];

/// An alert, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AlertConfig {
    /// Its name: the label `alertname`.
    pub name: String,
    /// A statement whose column `value` is compared; its columns of texts are labels.
    sql: Option<String>,
    /// Or a question in PromQL, whose samples are compared.
    promql: Option<String>,
    /// From when on it is worth a warning, and until when.
    warning: Option<LevelConfig>,
    /// From when on it is critical.
    critical: Option<LevelConfig>,
    /// So long a value has to be over a bound. Default 0.
    #[serde(default, rename = "for", deserialize_with = "some_duration")]
    hold: Option<Duration>,
    /// Or in so many of so many evaluations: `2 of 3`.
    confirm: Option<String>,
    /// So long it has to be good again. Default 0.
    #[serde(default, deserialize_with = "some_duration")]
    clear_for: Option<Duration>,
    /// Where no value comes any more: `keep`, `unknown`, `critical`. Default `unknown`.
    #[serde(default)]
    no_data: NoDataConfig,
    /// Targets: while one of them is down, nothing is told.
    #[serde(default)]
    depends_on: Vec<String>,
    /// From one evaluation to the next. Default: `rules.interval`.
    #[serde(default, deserialize_with = "some_duration")]
    interval: Option<Duration>,
    /// Labels that it adds.
    #[serde(default)]
    labels: BTreeMap<String, String>,
    /// Texts: `summary`, `description`, `runbook` and what you like.
    #[serde(default)]
    texts: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LevelConfig {
    /// It begins over this bound: `> 800`.
    raise: String,
    /// It ends over this one: `< 600`. Default: where `raise` does not hold.
    clear: Option<String>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum NoDataConfig {
    Keep,
    #[default]
    Unknown,
    Critical,
}

impl AlertConfig {
    /// The group of this rule alone: it has its own times. `file` is where it stands.
    pub fn group(&self, file: &Arc<str>, promql: &Limits, sql: SizeLimits) -> Result<Group> {
        self.read(file, promql, sql).with_context(|| format!("alert '{}'", self.name))
    }

    /// Targets that it names.
    pub fn depends_on(&self) -> &[String] {
        &self.depends_on
    }

    fn read(&self, file: &Arc<str>, promql: &Limits, sql: SizeLimits) -> Result<Group> {
        if self.name.is_empty() {
            bail!("an alert has no name");
        }
        if let Some(label) = RESERVED.into_iter().find(|label| self.labels.contains_key(*label)) {
            bail!("labels: {label} is given by the server: the severity is that of the level");
        }
        let (asks, query) = self.asks(promql, sql)?;
        let levels = self.levels()?;
        levels.check().map_err(anyhow::Error::msg)?;
        if self.interval.is_some_and(|interval| interval < Duration::from_millis(100)) {
            bail!("interval: expected 100ms or longer");
        }
        let labels = texts(&self.labels).context("labels")?;
        let rule = Rule { name: self.name.clone(), line: 0, asks, query, labels, kind: Kind::Levels(levels) };
        let interval_ms = self.interval.map(ms);
        Ok(Group {
            name: self.name.clone(),
            file: file.clone(),
            interval_ms,
            offset_ms: 0,
            limit: 0,
            rules: vec![rule],
        })
    }

    fn asks(&self, promql: &Limits, sql: SizeLimits) -> Result<(Asks, String)> {
        match (&self.sql, &self.promql) {
            (Some(statement), None) => {
                query::check(statement, sql).map_err(|error| anyhow!("sql: {error}"))?;
                Ok((Asks::Sql(statement.as_str().into()), statement.clone()))
            }
            (None, Some(question)) => {
                let expr = parse(question, promql).map_err(|error| anyhow!("promql: {error}"))?;
                let query = expr.to_string();
                Ok((Asks::Expr(Arc::new(expr)), query))
            }
            _ => bail!("expected either sql = \"...\" or promql = \"...\""),
        }
    }

    fn levels(&self) -> Result<Levels> {
        let level = |severity: Severity, config: &LevelConfig| -> Result<Level> {
            let bound = |key: &str, text: &str| {
                text.parse().map_err(|error: String| anyhow!("{}.{key}: {error}", severity.name()))
            };
            let clear = config.clear.as_deref().map(|text| bound("clear", text)).transpose()?;
            Ok(Level { severity, raise: bound("raise", &config.raise)?, clear })
        };
        let both = [(Severity::Critical, &self.critical), (Severity::Warning, &self.warning)];
        let levels = both.into_iter().filter_map(|(severity, config)| Some(level(severity, config.as_ref()?)));
        Ok(Levels {
            levels: levels.collect::<Result<_>>()?,
            for_ms: self.hold.map_or(0, ms),
            clear_for_ms: self.clear_for.map_or(0, ms),
            confirm: self.confirm.as_deref().map(confirm).transpose()?,
            no_data: match self.no_data {
                NoDataConfig::Keep => NoData::Keep,
                NoDataConfig::Unknown => NoData::Unknown,
                NoDataConfig::Critical => NoData::Critical,
            },
            depends_on: self.depends_on.clone(),
            annotations: texts(&self.texts).context("texts")?,
        })
    }
}

fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `2 of 3`
pub(super) fn confirm(text: &str) -> Result<(usize, usize)> {
    let read = || {
        let (needed, of) = text.split_once(" of ")?;
        Some((needed.trim().parse().ok()?, of.trim().parse().ok()?))
    };
    read().with_context(|| format!("confirm: expected a text like \"2 of 3\", found '{text}'"))
}

fn texts(config: &BTreeMap<String, String>) -> Result<Vec<Text>> {
    config.iter().map(|(name, source)| Text::parse(name, source).with_context(|| name.clone())).collect()
}
