//! `[[route]]`: what goes to which channels.

use std::time::Duration;

use alerts::notices::{Grouping, Route};
use alerts::silences::Matching;
use anyhow::{Result, anyhow, bail};
use serde::Deserialize;

use super::some_duration;

/// A route, as the file has it. The first that is about an alert says who is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteConfig {
    /// What labels are: `severity=critical`, `target=~shop.*`; all have to hold. Default: all alerts.
    #[serde(default, rename = "match")]
    matching: Vec<String>,
    /// Names of channels.
    channels: Vec<String>,
    /// Alerts with the same values of these labels are told together. Default: all, if `wait` or `interval` is given.
    group_by: Option<Vec<String>>,
    /// So long the first notice of a group waits for others. Default: none waits; 30 s if another one of these is given.
    #[serde(default, deserialize_with = "some_duration")]
    wait: Option<Duration>,
    /// So long lies between two notices of a group. Default 5 min.
    #[serde(default, deserialize_with = "some_duration")]
    interval: Option<Duration>,
    /// Those behind it are looked at, too. Default false.
    #[serde(default, rename = "continue")]
    goes_on: bool,
}

impl RouteConfig {
    pub(super) fn route(&self) -> Result<Route> {
        if self.channels.is_empty() {
            bail!("channels: expected one or more");
        }
        let matching = self.matching.iter().map(|text| text.parse()).collect::<Result<Vec<Matching>, String>>();
        let matchers = Matching::matchers(&matching.map_err(|error| anyhow!("match: {error}"))?);
        let matchers = matchers.map_err(|error| anyhow!("match: {error}"))?;
        Ok(Route { matchers, channels: self.channels.clone(), goes_on: self.goes_on, grouping: self.grouping() })
    }

    fn grouping(&self) -> Option<Grouping> {
        let is_given = self.group_by.is_some() || self.wait.is_some() || self.interval.is_some();
        let ms = |given: Option<Duration>, otherwise: Duration| {
            i64::try_from(given.unwrap_or(otherwise).as_millis()).unwrap_or(i64::MAX)
        };
        is_given.then(|| Grouping {
            by: self.group_by.clone().unwrap_or_default(),
            wait_ms: ms(self.wait, Duration::from_secs(30)),
            interval_ms: ms(self.interval, Duration::from_mins(5)),
        })
    }
}
