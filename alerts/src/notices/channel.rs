//! Ways to somebody.

use std::path::PathBuf;
use std::time::Duration;

use super::http::HttpAsk;

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
    /// So long it is tried.
    pub give_up_after: Duration,
    /// The channel that is told instead of what this one gives up.
    pub fallback: Option<String>,
    /// It takes so many notices a minute; what waits is told as one.
    pub per_minute: Option<u32>,
}

/// A program that tells somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// Where it lies.
    pub path: PathBuf,
    /// What it is called with.
    pub arguments: Vec<String>,
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
    /// A request by templates; the name is that of a service whose templates are known, or `http`.
    Http(&'static str, Box<HttpAsk>),
    /// A program, which is given what a webhook is.
    Exec(Program),
}

impl Kind {
    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Kind::Webhook => "webhook",
            Kind::Alertmanager => "alertmanager",
            Kind::Smtp(_) => "smtp",
            Kind::Http(name, _) => name,
            Kind::Exec(_) => "exec",
        }
    }
}

impl Channel {
    /// One that has 10 s for an attempt, is tried for a day, and takes as much as there is.
    #[must_use]
    pub fn new(name: &str, kind: Kind, url: &str) -> Channel {
        Channel {
            name: name.to_owned(),
            kind,
            url: url.to_owned(),
            timeout: Duration::from_secs(10),
            give_up_after: Duration::from_secs(86_400),
            fallback: None,
            per_minute: None,
        }
    }

    /// Who gets it, where that is somebody else than the channel itself.
    #[must_use]
    pub fn recipient(&self) -> String {
        match &self.kind {
            Kind::Smtp(mail) => mail.to.join(", "),
            Kind::Http(_, ask) => ask.to.join(", "),
            Kind::Webhook | Kind::Alertmanager | Kind::Exec(_) => String::new(),
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
            Kind::Http(_, ask) => ask.check(self),
            Kind::Webhook | Kind::Alertmanager | Kind::Exec(_) => Ok(()),
        }
    }
}
