//! `[[channel]]`: who is told.

use std::time::Duration;

use alerts::notices::{Channel, Kind};
use anyhow::{Result, bail};
use serde::Deserialize;
use url::Url;

/// A channel, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// How it works.
    kind: ChannelKind,
    /// Where to.
    url: String,
    /// How long an attempt may take. Default 10 s.
    #[serde(default = "timeout", deserialize_with = "super::duration")]
    timeout: Duration,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChannelKind {
    Webhook,
    Alertmanager,
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}

impl ChannelConfig {
    /// The channel.
    pub fn channel(&self) -> Result<Channel> {
        let ChannelConfig { name, url, timeout, .. } = self;
        if name.is_empty() {
            bail!("a channel has no name");
        }
        match Url::parse(url) {
            Ok(parsed) if matches!(parsed.scheme(), "http" | "https") && parsed.has_host() => {}
            _ => bail!("channel '{name}': url: expected an address like https://example.org/hook, found '{url}'"),
        }
        if timeout.is_zero() {
            bail!("channel '{name}': timeout: expected a duration above zero");
        }
        let kind = match self.kind {
            ChannelKind::Webhook => Kind::Webhook,
            ChannelKind::Alertmanager => Kind::Alertmanager,
        };
        Ok(Channel { name: name.clone(), kind, url: url.clone(), timeout: *timeout })
    }
}
