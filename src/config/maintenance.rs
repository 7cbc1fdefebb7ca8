//! `[[maintenance]]`: planned work that is known ahead.

use std::str::FromStr;

use anyhow::{Context, Result, anyhow, bail};
use jiff::tz::TimeZone;
use serde::Deserialize;
use web_probe::{Recurrence, Target, When, Window};

/// `[[maintenance]]`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MaintenanceConfig {
    /// Why.
    reason: String,
    /// Who says so.
    author: String,
    /// The names of the targets. Default: any.
    #[serde(default, rename = "target")]
    targets: Vec<String>,
    /// Their groups. Default: any.
    #[serde(default, rename = "group")]
    groups: Vec<String>,
    /// The clock of the times. Default UTC.
    time_zone: Option<String>,
    /// Once: from when.
    from: Option<String>,
    /// Once: until when.
    to: Option<String>,
    /// Again and again: times of the day. Default: all of it.
    #[serde(default)]
    times: Vec<String>,
    /// Again and again: days of the week. Default: any.
    #[serde(default)]
    weekdays: Vec<String>,
    /// Again and again: days of the month. Default: any.
    #[serde(default)]
    days_of_month: Vec<String>,
    /// Again and again: months. Default: any.
    #[serde(default)]
    months: Vec<String>,
}

impl MaintenanceConfig {
    pub(super) fn is_of_all(&self) -> bool {
        self.targets.is_empty() && self.groups.is_empty()
    }

    pub(super) fn is_of(&self, target: &Target) -> bool {
        let is_group = |group: &String| target.group.as_ref() == Some(group);
        (self.targets.is_empty() || self.targets.contains(&target.name))
            && (self.groups.is_empty() || self.groups.iter().any(is_group))
    }

    pub(super) fn window(&self) -> Result<Window> {
        for (key, text) in [("reason", &self.reason), ("author", &self.author)] {
            if text.trim().is_empty() {
                bail!("{key}: expected a text: time that does not count has to be accounted for");
            }
        }
        let time_zone = self.time_zone.as_deref().unwrap_or("UTC");
        let time_zone = TimeZone::get(time_zone).with_context(|| format!("time_zone: '{time_zone}'"))?;
        let recurs =
            [&self.times, &self.weekdays, &self.days_of_month, &self.months].iter().any(|list| !list.is_empty());
        let when = match (&self.from, &self.to) {
            (Some(_), _) | (_, Some(_)) if recurs => {
                bail!("from and to are for once; times, weekdays, days_of_month and months for again and again")
            }
            (Some(from), Some(to)) => When::once(from, to, &time_zone).map_err(|reason| anyhow!(reason))?,
            (None, None) if recurs => When::Recurring(Recurrence {
                time_zone,
                times: list("times", &self.times)?,
                weekdays: list("weekdays", &self.weekdays)?,
                days_of_month: list("days_of_month", &self.days_of_month)?,
                months: list("months", &self.months)?,
            }),
            _ => bail!("expected from and to, or one of times, weekdays, days_of_month and months"),
        };
        Ok(Window { when, reason: self.reason.clone(), author: self.author.clone() })
    }
}

fn list<T: FromStr<Err = String>>(key: &str, texts: &[String]) -> Result<Vec<T>> {
    texts.iter().map(|text| text.parse().map_err(|reason: String| anyhow!("{key}: {reason}"))).collect()
}
