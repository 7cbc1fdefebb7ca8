//! `steps`: several requests one behind the other, as a visitor makes them: cookies are carried on, and what one answer
//! says can be asked for in the next request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::header::HeaderValue;
use regex::{Captures, Regex};
use tokio::time::timeout_at;
use url::Url;

use super::web;
use crate::base::terms::Terms;
use crate::checks::check::{Check, Checking};
use crate::checks::kind::{Kind, Setting};
use crate::checks::step::Step;
use crate::found::failure::{Class, Failure};
use crate::found::findings::Findings;
use crate::found::measurement::{Detail, Details};
use crate::http::{Cookies, HttpAsk, follow};
use crate::net::network::Network;

/// The kind.
pub(crate) const KIND: Kind = Kind {
    schemes: web::SCHEMES,
    aliases: &[],
    is_asked: |ask| ask.steps.is_some(),
    takes: &Setting::WEB,
    make: |url, ask| {
        web::check(&url, &ask)?;
        Ok(Arc::new(StepsCheck::new(url, ask.steps.unwrap_or_default())?))
    },
};

/// What is left at the end of the timeout to put it all together.
const MARGIN: Duration = Duration::from_millis(20);

/// Requests of scenarios have rows: `step` is their name.
const STEPS: Details = Details { list: "steps", table: "probe_step", tag: "step" };

/// A scenario.
#[derive(Debug)]
pub(crate) struct StepsCheck {
    base: Url,
    steps: Vec<Step>,
    place: Regex,
}

/// What was extracted so far.
type Values = BTreeMap<String, String>;

impl StepsCheck {
    /// Steps from an address on.
    ///
    /// # Errors
    ///
    /// There are none, two have the same name, or one asks for what no earlier one extracts.
    pub(crate) fn new(base: Url, steps: Vec<Step>) -> Result<StepsCheck, String> {
        let place = Regex::new(r"\{([A-Za-z_][A-Za-z0-9_]*)\}").map_err(|error| error.to_string())?;
        if steps.is_empty() {
            return Err("there are no steps".into());
        }
        let (mut names, mut known): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
        for step in &steps {
            if names.contains(&step.name.as_str()) {
                return Err(format!("two steps are called '{}'", step.name));
            }
            names.push(&step.name);
            for text in step.texts() {
                let unknown = place.captures_iter(&text).map(|found| found[1].to_owned());
                if let Some(unknown) = unknown.into_iter().find(|name| !known.contains(&name.as_str())) {
                    return Err(format!("step '{}': no step before it extracts '{unknown}'", step.name));
                }
            }
            known.extend(step.extract.iter().map(|(name, _)| name.as_str()));
        }
        let steps = steps.into_iter().map(|step| Step { ask: step.expect.applied_to(step.ask), ..step }).collect();
        Ok(StepsCheck { base, steps, place })
    }

    fn fill(&self, text: &str, values: &Values) -> String {
        let value = |found: &Captures<'_>| values.get(&found[1]).cloned().unwrap_or_default();
        self.place.replace_all(text, value).into_owned()
    }

    /// The address and the request of a step, with what was extracted so far.
    fn asked(&self, step: &Step, values: &Values) -> Result<(Url, HttpAsk), Failure> {
        let invalid = |what: String| Class::Protocol.because(format!("http: {what}"));
        let url = self.fill(&step.url, values);
        let url = self.base.join(&url).map_err(|error| invalid(format!("'{url}' is not an address: {error}")))?;
        let mut ask = step.ask.clone();
        for (name, value) in &mut ask.headers {
            let filled = self.fill(&String::from_utf8_lossy(value.as_bytes()), values);
            *value = HeaderValue::from_str(&filled).map_err(|error| invalid(format!("header {name}: {error}")))?;
        }
        if let Ok(body) = std::str::from_utf8(&step.ask.body) {
            ask.body = self.fill(body, values).into();
        }
        if self.base.origin() != url.origin() {
            ask.leave();
        }
        Ok((url, ask))
    }

    async fn one(
        &self,
        step: &Step,
        terms: &Terms,
        network: &Network,
        (cookies, values): (&mut Cookies, &mut Values),
        findings: &mut Findings,
    ) -> Result<(), Failure> {
        let (url, ask) = self.asked(step, values)?;
        let (answer, url) = follow(terms, network, &url, &ask, Some(cookies), findings).await?;
        step.expect.judge(&answer, &url)?;
        if step.extract.is_empty() {
            return Ok(());
        }
        let text = answer.text()?;
        for (name, pattern) in &step.extract {
            let found = pattern.captures(&text).and_then(|found| found.get(1).or_else(|| found.get(0)));
            let found = found.ok_or_else(|| {
                Class::Extract.because(format!("the body does not contain '{pattern}', where {name} should be"))
            })?;
            values.insert(name.clone(), found.as_str().to_owned());
        }
        Ok(())
    }
}

impl Check for StepsCheck {
    fn kind(&self) -> &'static str {
        "steps"
    }

    fn run<'a>(&'a self, terms: &'a Terms, network: &'a Network, findings: &'a mut Findings) -> Checking<'a> {
        Box::pin(async move {
            let deadline = tokio::time::Instant::now() + terms.timeout.saturating_sub(MARGIN);
            let (mut cookies, mut values) = (Cookies::default(), Values::new());
            for step in &self.steps {
                let (start, mut own) = (Instant::now(), Findings::begun());
                let memory = (&mut cookies, &mut values);
                let done = timeout_at(deadline, self.one(step, terms, network, memory, &mut own)).await;
                let done = done.unwrap_or_else(|_| Err(own.timeout(terms.timeout)));
                findings.status = own.status;
                findings.bytes = Some(findings.bytes.unwrap_or(0) + own.bytes.unwrap_or(0));
                findings.cert_expires_s = findings.cert_expires_s.or(own.cert_expires_s);
                findings.address = findings.address.or(own.address);
                let measurement = own.measured(terms, start.elapsed(), done.as_ref().err().cloned());
                findings.phases = findings.phases.plus(&measurement.phases);
                findings.details.push(Detail { of: &STEPS, name: step.name.clone(), found: measurement });
                done.map_err(|failure| failure.class.because(format!("step '{}': {}", step.name, failure.message)))?;
            }
            Ok(())
        })
    }
}
