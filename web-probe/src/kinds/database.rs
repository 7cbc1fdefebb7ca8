//! What checks of databases share: where one is, who asks, what is asked, and what has to come back.

use std::ops::RangeInclusive;

use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::base::pattern::Pattern;
use crate::checks::ask::Ask;
use crate::found::failure::{Class, Failure};
use crate::found::field::Field;
use crate::found::findings::Findings;

/// How much of the answer is kept in the field `answer`.
const ANSWER_CHARS: usize = 256;

/// A database, and the one statement that it is asked: `scheme://user:password@host:port/name?tls=true`.
#[derive(Debug)]
pub(crate) struct Database {
    pub host: Host<String>,
    pub port: u16,
    pub user: Option<String>,
    pub password: Option<String>,
    /// Which one of the server.
    pub name: Option<String>,
    pub tls: bool,
    pub statement: String,
    /// What the first value of the answer has to contain.
    pub expect: Option<Pattern>,
    /// It has to be a number of these.
    pub value: Option<RangeInclusive<f64>>,
}

impl Database {
    /// The database of an address, with the port and the statement that are usual there.
    pub(crate) fn new(url: &Url, port: u16, usual: &str, ask: Ask) -> Result<Database, String> {
        let Ask { send: statement, expect, value, .. } = ask;
        let text = |encoded: &str| -> Result<Option<String>, String> {
            let decoded = percent_decode_str(encoded).decode_utf8();
            let decoded = decoded.map_err(|_| "user, password and name are UTF-8 in percent encoding".to_owned())?;
            Ok(Some(decoded.into_owned()).filter(|text| !text.is_empty()))
        };
        let mut tls = false;
        for (key, value) in url.query_pairs() {
            tls = match (&*key, &*value) {
                ("tls", "true") => true,
                ("tls", "false") => false,
                _ => return Err(format!("'{key}={value}' is not known; tls=true is")),
            };
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("a host is missing")?;
        Ok(Database {
            host: Host::parse(host).map_err(|error| format!("'{host}' is not a host: {error}"))?,
            port: url.port().unwrap_or(port),
            user: text(url.username())?,
            password: url.password().map(text).transpose()?.flatten(),
            name: text(url.path().trim_start_matches('/'))?,
            tls,
            statement: statement.unwrap_or_else(|| usual.into()),
            expect: expect.body,
            value,
        })
    }

    /// Notes the answer's first value, and holds it to what is expected.
    pub(crate) fn answered(&self, answer: Option<&str>, findings: &mut Findings) -> Result<(), Failure> {
        let start = answer.map(|answer| answer.chars().take(ANSWER_CHARS).collect());
        findings.fields.extend(start.map(|start| ("answer", Field::Str(start))));
        let number = answer.and_then(|answer| answer.trim().parse::<f64>().ok());
        findings.fields.extend(number.map(|number| ("answer_value", Field::F64(number))));
        if let Some(range) = &self.value
            && !number.is_some_and(|number| range.contains(&number))
        {
            let (statement, found) = (&self.statement, answer.unwrap_or("nothing"));
            let (from, to) = (range.start(), range.end());
            return Err(Class::Body
                .because(format!("the answer to '{statement}' is {found}, expected a number from {from} to {to}")));
        }
        match &self.expect {
            Some(pattern) if !answer.is_some_and(|answer| pattern.is_match(answer)) => {
                Err(Class::Body.because(format!("the answer to '{}' does not contain '{pattern}'", self.statement)))
            }
            _ => Ok(()),
        }
    }
}
