//! What an answer must be for a target to be up.

use std::ops::RangeInclusive;

use hyper::header::{HeaderName, HeaderValue};
use serde_json_path::JsonPath;
use url::Url;

use super::HttpAsk;
use super::coding::UNPACKED_BYTES_MAX;
use super::exchange::Answer;
use crate::base::pattern::Pattern;
use crate::found::failure::{Class, Failure};
use crate::net::crypto::sha256_hex;

/// So much of what should not be there is told.
const FOUND_CHARS: usize = 100;

/// What an answer must be for the target to be up.
#[derive(Debug, Clone, PartialEq)]
pub struct Expect {
    /// Statuses that are up.
    pub status: Vec<RangeInclusive<u16>>,
    /// A pattern that the body must contain, within its first [`BODY_BYTES_SEARCHED`](Self::BODY_BYTES_SEARCHED).
    pub body: Option<Pattern>,
    /// A pattern that it must not contain there.
    pub body_not: Option<Pattern>,
    /// Headers that must be there, one value of each with a pattern.
    pub headers: Vec<(HeaderName, Pattern)>,
    /// A pattern that the address of the last answer must contain.
    pub final_url: Option<Pattern>,
    /// The protocol of the last answer, as `HTTP/2`.
    pub protocol: Option<String>,
    /// Bytes of the body, as they arrived.
    pub bytes: RangeInclusive<u64>,
    /// Places in a JSON body (RFC 9535), at one of each a value with a pattern. A text is matched without its quotes.
    pub json: Vec<(JsonPath, Pattern)>,
    /// The SHA-256 of the body without what [`masks`](Self::masks) match, in hexadecimal digits.
    pub sha256: Option<String>,
    /// Parts of the body that may change: they are taken out before it is hashed.
    pub masks: Vec<Pattern>,
    /// Record that hash, and whether it changed.
    pub watch_content: bool,
}

impl Expect {
    /// How much of an unpacked body a pattern is looked for in.
    pub const BODY_BYTES_SEARCHED: usize = 1 << 20;

    /// Is this status up?
    pub fn status_is_up(&self, status: u16) -> bool {
        self.status.iter().any(|range| range.contains(&status))
    }

    /// Is the content as a whole looked at?
    pub(crate) fn hashes_body(&self) -> bool {
        self.sha256.is_some() || self.watch_content
    }

    /// What is asked so that the answer can be judged.
    pub(crate) fn applied_to(&self, ask: HttpAsk) -> HttpAsk {
        let is_whole_needed = !self.masks.is_empty() || !self.json.is_empty();
        let body_bytes_kept = if is_whole_needed { UNPACKED_BYTES_MAX } else { Expect::BODY_BYTES_SEARCHED };
        HttpAsk { hash_body: self.hashes_body(), body_bytes_kept, ..ask }
    }

    /// Is the answer, which came from this address, what is expected?
    pub(crate) fn judge(&self, answer: &Answer, url: &Url) -> Result<(), Failure> {
        if !self.status_is_up(answer.status) {
            return Err(Class::Status.because(format!("status {} is not expected", answer.status)));
        }
        if let Some(pattern) = self.final_url.as_ref().filter(|pattern| !pattern.is_match(url.as_str())) {
            return Err(Class::FinalUrl.because(format!("it ends at {url}, which does not match '{pattern}'")));
        }
        if let Some(expected) = self.protocol.as_ref().filter(|expected| *expected != answer.protocol) {
            return Err(Class::HttpVersion.because(format!("it speaks {}, expected {expected}", answer.protocol)));
        }
        self.headers.iter().try_for_each(|(name, pattern)| judge_header(answer, name, pattern))?;
        if !self.bytes.contains(&answer.bytes) {
            let (least, most) = (self.bytes.start(), self.bytes.end());
            let expected = if *most == u64::MAX { format!("{least} or more") } else { format!("{least} to {most}") };
            return Err(Class::Size.because(format!("the body has {} bytes, expected {expected}", answer.bytes)));
        }
        if self.body.is_some() || self.body_not.is_some() {
            self.judge_text(&answer.text()?)?;
        }
        if !self.json.is_empty() {
            self.judge_json(&answer.whole_content()?.text(UNPACKED_BYTES_MAX))?;
        }
        self.judge_content(answer)
    }

    fn judge_text(&self, text: &str) -> Result<(), Failure> {
        if let Some(pattern) = self.body.as_ref().filter(|pattern| !pattern.is_match(text)) {
            return Err(Class::Body.because(format!("the body does not contain '{pattern}'")));
        }
        match self.body_not.as_ref().and_then(|pattern| Some((pattern, pattern.find(text)?))) {
            Some((pattern, found)) => {
                let found: String = found.as_str().chars().take(FOUND_CHARS).collect();
                Err(Class::Body.because(format!("the body contains '{found}', which '{pattern}' keeps out")))
            }
            None => Ok(()),
        }
    }

    fn judge_content(&self, answer: &Answer) -> Result<(), Failure> {
        let Some(expected) = &self.sha256 else { return Ok(()) };
        let found = self.content_sha256(answer)?;
        match expected.eq_ignore_ascii_case(&found) {
            true => Ok(()),
            false => Err(Class::Content.because(format!("the content changed: its SHA-256 is {found}"))),
        }
    }

    /// The SHA-256 of the body, unpacked, without its masked parts.
    ///
    /// # Errors
    ///
    /// The body cannot be unpacked, or is larger than what is looked at.
    pub(crate) fn content_sha256(&self, answer: &Answer) -> Result<String, Failure> {
        match self.masks.is_empty() {
            true => answer.content_sha256(),
            false => Ok(sha256_hex(&answer.whole_content()?.masked(&self.masks))),
        }
    }

    fn judge_json(&self, text: &str) -> Result<(), Failure> {
        let value: serde_json::Value = serde_json::from_str(text)
            .map_err(|error| Class::Json.because(format!("the body is not JSON: {error}")))?;
        for (path, pattern) in &self.json {
            let found: Vec<String> = path.query(&value).all().into_iter().map(as_text).collect();
            if !found.iter().any(|text| pattern.is_match(text)) {
                let found = if found.is_empty() { "nothing".into() } else { format!("'{}'", found.join(", ")) };
                return Err(Class::Json.because(format!("at {path} is {found}, which does not match '{pattern}'")));
            }
        }
        Ok(())
    }
}

impl Default for Expect {
    /// Any status from 200 to 399.
    fn default() -> Expect {
        Expect {
            status: vec![200..=399],
            body: None,
            body_not: None,
            headers: Vec::new(),
            final_url: None,
            protocol: None,
            bytes: 0..=u64::MAX,
            json: Vec::new(),
            sha256: None,
            masks: Vec::new(),
            watch_content: false,
        }
    }
}

/// A value of JSON as a pattern sees it.
fn as_text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn judge_header(answer: &Answer, name: &HeaderName, pattern: &Pattern) -> Result<(), Failure> {
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let found: Vec<String> = answer.headers.get_all(name).iter().map(text).collect();
    match found.iter().any(|value| pattern.is_match(value)) {
        true => Ok(()),
        false => {
            Err(Class::Header
                .because(format!("header {name} is '{}', which does not match '{pattern}'", found.join(", "))))
        }
    }
}
