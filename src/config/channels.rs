//! `[[channel]]`: who is told.

use std::path::PathBuf;
use std::time::Duration;

use alerts::notices::{Channel, Kind, Mail};
use anyhow::{Context, Result, anyhow, bail};
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
    /// Of mail: who writes.
    from: Option<String>,
    /// Of mail: who gets it.
    #[serde(default)]
    to: Vec<String>,
    /// Of mail: who logs in, and the file with the password.
    user: Option<String>,
    password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ChannelKind {
    Webhook,
    Alertmanager,
    Smtp,
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
        let parsed = Url::parse(url).ok().filter(Url::has_host);
        let scheme = parsed.as_ref().map_or("", Url::scheme);
        match (self.kind, scheme) {
            (ChannelKind::Smtp, "smtp" | "smtps")
            | (ChannelKind::Webhook | ChannelKind::Alertmanager, "http" | "https") => {}
            (ChannelKind::Smtp, _) => {
                bail!(
                    "channel '{name}': url: expected an address like smtps://mail.example.org or smtp://mail.example.org:587?tls=required, found '{url}'"
                )
            }
            _ => bail!("channel '{name}': url: expected an address like https://example.org/hook, found '{url}'"),
        }
        if timeout.is_zero() {
            bail!("channel '{name}': timeout: expected a duration above zero");
        }
        let kind = match self.kind {
            ChannelKind::Webhook => Kind::Webhook,
            ChannelKind::Alertmanager => Kind::Alertmanager,
            ChannelKind::Smtp => Kind::Smtp(self.mail(parsed.as_ref())?),
        };
        let has_login = self.user.is_some() || self.password_file.is_some();
        if !matches!(kind, Kind::Smtp(_)) && (self.from.is_some() || !self.to.is_empty() || has_login) {
            bail!("channel '{name}': from, to, user and password_file are of kind = \"smtp\" only");
        }
        let channel = Channel { name: name.clone(), kind, url: url.clone(), timeout: *timeout };
        channel.check().map_err(|error| anyhow!("channel '{name}': {error}"))?;
        Ok(channel)
    }

    fn mail(&self, url: Option<&Url>) -> Result<Mail> {
        let name = &self.name;
        let ChannelConfig { from, to, user, password_file, .. } = self;
        let (Some(from), false) = (from, to.is_empty()) else {
            bail!("channel '{name}': a channel of mail needs from = \"...\" and to = [\"...\"]");
        };
        let url = url.filter(|url| url.username().is_empty() && url.password().is_none());
        let Some(url) = url else {
            bail!("channel '{name}': url: a name and a password stand in user and password_file, not in the address");
        };
        let login = match (user, password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => {
                let password = std::fs::read_to_string(file);
                let password = password.with_context(|| format!("channel '{name}': read {}", file.display()))?;
                Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
            }
            _ => bail!("channel '{name}': user and password_file belong together: one of them is missing"),
        };
        let is_safe =
            url.scheme() == "smtps" || url.query_pairs().any(|pair| pair == ("tls".into(), "required".into()));
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if login.is_some() && !is_safe && !is_here {
            bail!("channel '{name}': url: a password goes over TLS only: smtps://... or smtp://...?tls=required");
        }
        Ok(Mail { from: from.clone(), to: to.clone(), login })
    }
}
