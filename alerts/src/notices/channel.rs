//! Ways to somebody.

use std::time::Duration;

/// A way to somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// How it works.
    pub kind: Kind,
    /// Where to.
    pub url: String,
    /// How long an attempt may take.
    pub timeout: Duration,
}

/// How a channel works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A POST of JSON, as Alertmanager's own webhook has it.
    Webhook,
    /// A POST to the API of an Alertmanager, version 2. It has to hear again and again of what fires.
    Alertmanager,
}

impl Kind {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Webhook => "webhook",
            Kind::Alertmanager => "alertmanager",
        }
    }
}

impl Channel {
    /// Where it posts to.
    #[must_use]
    pub fn address(&self) -> String {
        match self.kind {
            Kind::Webhook => self.url.clone(),
            Kind::Alertmanager => format!("{}/api/v2/alerts", self.url.trim_end_matches('/')),
        }
    }
}
