//! `[[route]]`: what goes to which channels.

use alerts::notices::Route;
use alerts::silences::Matching;
use anyhow::{Result, anyhow, bail};
use serde::Deserialize;

/// A route, as the file has it. The first that is about an alert says who is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteConfig {
    /// What labels are: `severity=critical`, `target=~shop.*`; all have to hold. Default: all alerts.
    #[serde(default, rename = "match")]
    matching: Vec<String>,
    /// Names of channels.
    channels: Vec<String>,
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
        Ok(Route { matchers, channels: self.channels.clone(), goes_on: self.goes_on })
    }
}
