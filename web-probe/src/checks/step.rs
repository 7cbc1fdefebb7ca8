//! One request of several.

use crate::base::pattern::Pattern;
use crate::http::{Expect, HttpAsk};

/// One request of several. In the address, the values of headers and the body `{name}` stands for what an earlier step
/// extracted.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The tag `step`.
    pub name: String,
    /// Where it goes, from the address of the target on.
    pub url: String,
    /// What is asked.
    pub ask: HttpAsk,
    /// What counts as up.
    pub expect: Expect,
    /// Names, and where their values are found in the body: in the first group, or in all of it.
    pub extract: Vec<(String, Pattern)>,
}

impl Step {
    /// All that can ask for what was extracted.
    pub(crate) fn texts(&self) -> Vec<String> {
        let headers = self.ask.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let body = String::from_utf8_lossy(&self.ask.body).into_owned();
        headers.chain([self.url.clone(), body]).collect()
    }
}
