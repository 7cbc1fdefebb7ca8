//! `[[channel]]`: who is told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use alerts::notices::{Channel, Each, HttpAsk, Kind, Mail, Program, READY, ReadyMade};
use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use url::Url;

/// A channel, as the file has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelConfig {
    /// Its name.
    pub name: String,
    /// How it works: `webhook`, `alertmanager`, `smtp`, `http`, `exec`, or a service whose requests are known.
    kind: String,
    /// Where to. Of `http` it is a template.
    url: Option<String>,
    /// How long an attempt may take. Default 10 s.
    #[serde(default, deserialize_with = "super::some_duration")]
    timeout: Option<Duration>,
    /// So long it is tried. Default 24 h.
    #[serde(default, deserialize_with = "super::some_duration")]
    give_up_after: Option<Duration>,
    /// The channel that is told instead of what this one gives up. Default: none.
    pub fallback: Option<String>,
    /// It takes so many notices a minute; what waits is told as one. Default: what the service takes, or any.
    per_minute: Option<u32>,
    /// Of mail: who writes.
    from: Option<String>,
    /// Of mail and services: who gets it.
    #[serde(default)]
    to: Vec<String>,
    /// Of mail: who logs in, and the file with the password.
    user: Option<String>,
    password_file: Option<PathBuf>,
    /// Of requests: files with what nobody should read in this one, by name; templates know them as `secrets`.
    #[serde(default)]
    secrets: BTreeMap<String, PathBuf>,
    /// Of requests: what templates know as `settings`.
    #[serde(default)]
    settings: BTreeMap<String, String>,
    /// Of requests: templates of `variables`, which services of short messages put into a text.
    variables: Option<BTreeMap<String, String>>,
    /// Of `http`: the method. Default `POST`.
    method: Option<String>,
    /// Of `http`: names and expressions that templates know.
    #[serde(default)]
    define: Vec<String>,
    /// Of `http`: headers, templates by name.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Of `http`: the template of the body.
    body: Option<String>,
    /// Of `http`: the characters of the body. Default UTF-8.
    charset: Option<String>,
    /// Of `http`: regular expressions by JSONPath, all of which an answer has to have.
    #[serde(default)]
    success: BTreeMap<String, String>,
    /// Of `http`: the same, of which any says that it may be taken another time.
    #[serde(default)]
    again: BTreeMap<String, String>,
    /// Of `http`: a request for each alert. Default false.
    #[serde(default)]
    each_alert: bool,
    /// Of `exec`: the program, and what it is called with.
    #[serde(default)]
    command: Vec<String>,
}

/// Which kinds have which keys.
const KEYS: [(&str, &[&str]); 4] = [
    ("smtp", &["from", "to", "user", "password_file"]),
    (
        "http",
        &[
            "method",
            "define",
            "headers",
            "body",
            "charset",
            "success",
            "again",
            "each_alert",
            "to",
            "secrets",
            "settings",
            "variables",
        ],
    ),
    ("exec", &["command"]),
    // Services whose requests are known.
    ("", &["to", "secrets", "settings", "variables"]),
];

impl ChannelConfig {
    /// The channel.
    pub fn channel(&self) -> Result<Channel> {
        if self.name.is_empty() {
            bail!("a channel has no name");
        }
        self.read().with_context(|| format!("channel '{}'", self.name))
    }

    fn read(&self) -> Result<Channel> {
        let service = READY.iter().find(|own| own.name == self.kind);
        self.check_keys(service)?;
        let mut url = self.url.clone().unwrap_or_default();
        let kind = match (self.kind.as_str(), service) {
            ("webhook", _) => Kind::Webhook,
            ("alertmanager", _) => Kind::Alertmanager,
            ("smtp", _) => Kind::Smtp(self.mail()?),
            ("exec", _) => Kind::Exec(self.program()?),
            ("http", _) => Kind::Http("http", Box::new(self.http()?)),
            (_, Some(service)) => {
                url = self.url.as_deref().or(service.url).context("url: it is missing")?.to_owned();
                Kind::Http(service.name, Box::new(self.service(service)?))
            }
            (other, None) => {
                let names = READY.iter().map(|own| own.name).collect::<Vec<_>>().join(", ");
                bail!("kind: '{other}' is not one of webhook, alertmanager, smtp, http, exec, {names}");
            }
        };
        if !matches!(kind, Kind::Smtp(_) | Kind::Exec(_) | Kind::Http("http", _)) {
            address(&url)?;
        }
        let of = Channel::new(&self.name, kind, &url);
        let channel = Channel {
            timeout: self.timeout.unwrap_or(of.timeout),
            give_up_after: self.give_up_after.unwrap_or(of.give_up_after),
            fallback: self.fallback.clone(),
            per_minute: self.per_minute.or(service.and_then(|own| own.per_minute)),
            ..of
        };
        if channel.timeout.is_zero() {
            bail!("timeout: expected a duration above zero");
        }
        if channel.per_minute == Some(0) {
            bail!("per_minute: expected 1 or more");
        }
        channel.check().map_err(anyhow::Error::msg)?;
        Ok(channel)
    }

    /// A key of another kind does nothing, and whoever wrote it thinks that it does.
    fn check_keys(&self, service: Option<&ReadyMade>) -> Result<()> {
        let given = [
            ("from", self.from.is_some()),
            ("to", !self.to.is_empty()),
            ("user", self.user.is_some()),
            ("password_file", self.password_file.is_some()),
            ("secrets", !self.secrets.is_empty()),
            ("settings", !self.settings.is_empty()),
            ("variables", self.variables.is_some()),
            ("method", self.method.is_some()),
            ("define", !self.define.is_empty()),
            ("headers", !self.headers.is_empty()),
            ("body", self.body.is_some()),
            ("charset", self.charset.is_some()),
            ("success", !self.success.is_empty()),
            ("again", !self.again.is_empty()),
            ("each_alert", self.each_alert),
            ("command", !self.command.is_empty()),
        ];
        let kind = if service.is_some() { "" } else { self.kind.as_str() };
        let known = KEYS.iter().find(|(own, _)| *own == kind).map_or(&[][..], |(_, keys)| keys);
        match given.iter().find(|(key, is_there)| *is_there && !known.contains(key)) {
            Some((key, _)) => bail!("{key} is not for kind = \"{}\"", self.kind),
            None => Ok(()),
        }
    }

    fn secrets(&self) -> Result<BTreeMap<String, String>> {
        let read = |(name, file): (&String, &PathBuf)| Ok((name.clone(), secret(file)?));
        self.secrets.iter().map(read).collect()
    }

    fn http(&self) -> Result<HttpAsk> {
        Ok(HttpAsk {
            each: if self.each_alert { Each::Alert } else { Each::Notice },
            method: self.method.clone().unwrap_or_else(|| "POST".into()),
            url: self.url.clone().context("url: it is missing")?,
            define: self.define.clone(),
            headers: self.headers.clone(),
            body: self.body.clone().unwrap_or_default(),
            charset: self.charset.clone(),
            success: self.success.clone(),
            again: self.again.clone(),
            ..self.own(HttpAsk::default())?
        })
    }

    fn service(&self, service: &ReadyMade) -> Result<HttpAsk> {
        let ask = self.own(service.ask())?;
        for need in service.needs {
            let is_there = match need.split_once('.') {
                Some(("secrets", key)) => ask.secrets.contains_key(key),
                Some((_, key)) => ask.settings.contains_key(key),
                None => !ask.to.is_empty(),
            };
            if !is_there {
                bail!("kind = \"{}\" needs {}: {need} is missing", service.name, service.needs.join(", "));
            }
        }
        Ok(ask)
    }

    /// A request with what the file says of its own.
    fn own(&self, ask: HttpAsk) -> Result<HttpAsk> {
        let variables = self.variables.clone().unwrap_or(ask.variables);
        Ok(HttpAsk { settings: self.settings.clone(), secrets: self.secrets()?, to: self.to.clone(), variables, ..ask })
    }

    fn program(&self) -> Result<Program> {
        let [path, arguments @ ..] = self.command.as_slice() else {
            bail!("expected command = [\"/usr/local/bin/tell\", ...]");
        };
        if self.url.is_some() {
            bail!("url is not for kind = \"exec\"");
        }
        Ok(Program { path: path.into(), arguments: arguments.to_vec() })
    }

    fn mail(&self) -> Result<Mail> {
        let ChannelConfig { from, to, user, password_file, .. } = self;
        let text = self.url.as_deref().unwrap_or_default();
        let url = Url::parse(text).ok().filter(|url| url.has_host() && matches!(url.scheme(), "smtp" | "smtps"));
        let Some(url) = url else {
            bail!(
                "url: expected an address like smtps://mail.example.org or smtp://mail.example.org:587?tls=required, found '{text}'"
            );
        };
        let (Some(from), false) = (from, to.is_empty()) else {
            bail!("a channel of mail needs from = \"...\" and to = [\"...\"]");
        };
        if !url.username().is_empty() || url.password().is_some() {
            bail!("url: a name and a password stand in user and password_file, not in the address");
        }
        let login = match (user, password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => Some((user.clone(), secret(file)?)),
            _ => bail!("user and password_file belong together: one of them is missing"),
        };
        let is_safe =
            url.scheme() == "smtps" || url.query_pairs().any(|pair| pair == ("tls".into(), "required".into()));
        let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
        if login.is_some() && !is_safe && !is_here {
            bail!("url: a password goes over TLS only: smtps://... or smtp://...?tls=required");
        }
        Ok(Mail { from: from.clone(), to: to.clone(), login })
    }
}

fn address(text: &str) -> Result<()> {
    let is_web = |url: &Url| url.has_host() && matches!(url.scheme(), "http" | "https");
    match Url::parse(text).ok().filter(is_web) {
        Some(_) => Ok(()),
        None => Err(anyhow!("url: expected an address like https://example.org/hook, found '{text}'")),
    }
}

/// What stands in a file, without the end of its line.
fn secret(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
