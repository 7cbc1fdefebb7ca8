//! A request by templates, and what its answer means.

use std::collections::BTreeMap;

use encoding_rs::Encoding;
use minijinja::{Environment, Value};
use regex::Regex;
use serde_json_path::JsonPath;

use super::context;
use super::filters;
use crate::notices::channel::Channel;
use crate::notices::told::{Notice, Told};

/// A template may take so many steps.
const FUEL: u64 = 2_000_000;
/// A request has so many bytes at the most.
const BYTES_MAX: usize = 1 << 20;

/// What a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Each {
    /// A notice, with all that is in it.
    #[default]
    Notice,
    /// One of its alerts.
    Alert,
}

/// A request, as templates.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct HttpAsk {
    /// What it is about.
    pub each: Each,
    /// `POST`
    pub method: String,
    /// The address.
    pub url: String,
    /// Names and expressions (`key = "a" | hmac_sha256(secrets.key)`), each of which sees those before it, and which
    /// templates see.
    pub define: Vec<String>,
    /// Headers, by name.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: String,
    /// The characters that the body is written in; UTF-8 if none is said.
    pub charset: Option<String>,
    /// JSONPath and regular expression: what an answer has to have, beside its status, for the notice to be taken.
    pub success: BTreeMap<String, String>,
    /// The same of answers that may be others another time.
    pub again: BTreeMap<String, String>,
    /// What templates know as `settings`.
    pub settings: BTreeMap<String, String>,
    /// As `secrets`.
    pub secrets: BTreeMap<String, String>,
    /// As `to`.
    pub to: Vec<String>,
    /// As `variables`, templates themselves.
    pub variables: BTreeMap<String, String>,
}

impl std::fmt::Debug for HttpAsk {
    /// Without secrets, also where they stand in addresses and headers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HttpAsk").field("method", &self.method).field("to", &self.to).finish_non_exhaustive()
    }
}

/// A request that can be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Filled {
    pub url: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// What an answer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    Taken,
    Again,
    Never,
}

impl HttpAsk {
    /// The requests that tell a notice, in their order.
    ///
    /// # Errors
    ///
    /// A template does not work out.
    pub(crate) fn fill(&self, channel: &Channel, notice: &Notice, external_url: &str) -> Result<Vec<Filled>, String> {
        match self.each {
            Each::Notice => Ok(vec![self.fill_one(channel, notice, external_url)?]),
            Each::Alert => {
                let one = |own: &Told| {
                    let notice = Notice { alerts: vec![own.clone()], ..notice.clone() };
                    self.fill_one(channel, &notice, external_url)
                };
                notice.alerts.iter().map(one).collect()
            }
        }
    }

    fn fill_one(&self, channel: &Channel, notice: &Notice, external_url: &str) -> Result<Filled, String> {
        let environment = environment();
        let mut context = context::of(channel, notice, external_url);
        context.insert("settings".into(), Value::from(&self.settings));
        context.insert("secrets".into(), Value::from(&self.secrets));
        context.insert("to".into(), Value::from(&self.to));
        let render = |what: &str, template: &str, context: &BTreeMap<String, Value>| {
            environment.render_str(template, Value::from(context)).map_err(|error| say(what, &error))
        };
        let variables = self.variables.iter();
        let variables: BTreeMap<String, String> = variables
            .map(|(name, own)| Ok((name.clone(), render(&format!("variables.{name}"), own, &context)?)))
            .collect::<Result<_, String>>()?;
        context.insert("variables".into(), Value::from(variables));
        for own in &self.define {
            let (name, expression) = defined(own)?;
            let what = format!("define: {name}");
            let compiled = environment.compile_expression(expression).map_err(|error| say(&what, &error))?;
            let value = compiled.eval(Value::from(&context)).map_err(|error| say(&what, &error))?;
            context.insert(name.to_owned(), value);
        }
        let header = |(name, own): (&String, &String)| {
            let value = render(&format!("headers.{name}"), own, &context)?;
            // What comes from a text cannot begin another header.
            match value.contains(|letter: char| letter.is_control()) {
                true => Err(format!("headers.{name}: a header is one line without control characters")),
                false => Ok((name.clone(), value)),
            }
        };
        let headers = self.headers.iter().map(header).collect::<Result<Vec<_>, String>>()?;
        let url = render("url", &self.url, &context)?;
        let body = self.encoded(render("body", &self.body, &context)?)?;
        if url.len() + body.len() > BYTES_MAX {
            return Err(format!("the request has more than {} MiB", BYTES_MAX >> 20));
        }
        Ok(Filled { url, headers, body })
    }

    fn encoded(&self, body: String) -> Result<Vec<u8>, String> {
        let Some(name) = &self.charset else { return Ok(body.into_bytes()) };
        let encoding = Encoding::for_label(name.as_bytes()).ok_or_else(|| format!("charset: '{name}' is not known"))?;
        // A letter that it does not have becomes `&#128512;`, as browsers send it.
        Ok(encoding.encode(&body).0.into_owned())
    }

    /// What an answer means, by its status and body.
    pub(crate) fn meaning(&self, is_success: bool, is_passing: bool, body: &[u8]) -> Meaning {
        let json = serde_json::from_slice::<serde_json::Value>(body).ok();
        let matches = |(path, pattern): (&String, &String)| -> Vec<bool> {
            let (Some(json), Ok(path), Ok(pattern)) = (&json, JsonPath::parse(path), Regex::new(pattern)) else {
                return Vec::new();
            };
            let matches = path.query(json).into_iter().map(|value| match value {
                serde_json::Value::String(text) => pattern.is_match(text),
                other => pattern.is_match(&other.to_string()),
            });
            matches.collect()
        };
        // What a place has several of has to be right everywhere, as of a list of phones.
        let is_right = |rule| Some(matches(rule)).is_some_and(|all| !all.is_empty() && !all.contains(&false));
        if is_success && self.success.iter().all(is_right) {
            return Meaning::Taken;
        }
        // A page instead of the JSON that is expected comes from something on the way.
        let is_strange = is_success && json.is_none();
        match is_passing || is_strange || self.again.iter().any(|rule| matches(rule).contains(&true)) {
            true => Meaning::Again,
            false => Meaning::Never,
        }
    }

    /// Is all of it right, as far as that can be said without a connection?
    ///
    /// # Errors
    ///
    /// It is not, in words.
    pub(crate) fn check(&self, channel: &Channel) -> Result<(), String> {
        for (key, rules) in [("success", &self.success), ("again", &self.again)] {
            for (path, pattern) in rules {
                JsonPath::parse(path).map_err(|error| format!("{key}: '{path}' is no JSONPath: {error}"))?;
                Regex::new(pattern).map_err(|error| format!("{key}: '{path}': {error}"))?;
            }
        }
        let notice = crate::notices::sample(channel);
        for filled in self.fill(channel, &notice, "http://127.0.0.1:9999")? {
            let is_web = filled.url.starts_with("http://") || filled.url.starts_with("https://");
            if !is_web || filled.url.parse::<hyper::Uri>().is_err() {
                return Err("url: what it gives is not an address like https://example.org/send".into());
            }
        }
        Ok(())
    }
}

fn defined(own: &str) -> Result<(&str, &str), String> {
    let read = own.split_once('=').map(|(name, expression)| (name.trim(), expression.trim()));
    let is_name = |name: &str| !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
    match read.filter(|(name, _)| is_name(name)) {
        // These mean something in an expression.
        Some((name, _)) if ["none", "true", "false"].contains(&name.to_lowercase().as_str()) => {
            Err(format!("define: '{name}' is a value and no name"))
        }
        Some(read) => Ok(read),
        None => Err(format!("define: expected name = expression, found '{own}'")),
    }
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(minijinja::UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    filters::add(&mut environment);
    environment
}

fn say(what: &str, error: &minijinja::Error) -> String {
    let line = error.line().filter(|line| *line > 1).map_or(String::new(), |line| format!(" (line {line})"));
    format!("{what}{line}: {}", error.detail().unwrap_or(&error.kind().to_string()))
}
