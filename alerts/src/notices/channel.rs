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

/// Who writes mails to whom.
#[derive(Clone, PartialEq, Eq)]
pub struct Mail {
    /// `Watch <watch@example.org>`
    pub from: String,
    /// The same of everybody who gets it.
    pub to: Vec<String>,
    /// The name and password that the server of mail asks for.
    pub login: Option<(String, String)>,
}

impl std::fmt::Debug for Mail {
    /// Without the password.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mail").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// How a channel works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A POST of JSON, as Alertmanager's own webhook has it.
    Webhook,
    /// A POST to the API of an Alertmanager, version 2. It has to hear again and again of what fires.
    Alertmanager,
    /// A mail by SMTP.
    Smtp(Mail),
}

impl Kind {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Webhook => "webhook",
            Kind::Alertmanager => "alertmanager",
            Kind::Smtp(_) => "smtp",
        }
    }
}

impl Channel {
    /// Who gets it, where that is somebody else than the channel itself.
    #[must_use]
    pub fn recipient(&self) -> String {
        match &self.kind {
            Kind::Smtp(mail) => mail.to.join(", "),
            Kind::Webhook | Kind::Alertmanager => String::new(),
        }
    }

    /// Is all of it right, as far as that can be said without a connection?
    ///
    /// # Errors
    ///
    /// It is not, in words.
    pub fn check(&self) -> Result<(), String> {
        match &self.kind {
            Kind::Smtp(mail) => super::mail::check(&self.url, mail, self.timeout),
            Kind::Webhook | Kind::Alertmanager => Ok(()),
        }
    }

    /// Where it posts to.
    #[must_use]
    pub fn address(&self) -> String {
        match self.kind {
            Kind::Webhook | Kind::Smtp(_) => self.url.clone(),
            Kind::Alertmanager => format!("{}/api/v2/alerts", self.url.trim_end_matches('/')),
        }
    }
}
