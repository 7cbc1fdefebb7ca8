//! A silence, as Alertmanager has it.

use std::str::FromStr;

use promql::base::labels::Labels;
use promql::syntax::{Matcher, parse_selector};
use serde::{Deserialize, Serialize};

use crate::base::clock::rfc3339;

/// A silence.
#[derive(Debug, Clone)]
pub struct Silence {
    /// What tells it from others: a UUID.
    pub id: String,
    /// What the labels of its alerts have.
    pub matching: Vec<Matching>,
    pub(super) matchers: Vec<Matcher>,
    /// From when on, in milliseconds.
    pub from_ms: i64,
    /// Until when.
    pub until_ms: i64,
    /// Who says so.
    pub author: String,
    /// Why.
    pub reason: String,
    /// When it was written last.
    pub updated_ms: i64,
}

/// What a label has to be, as Alertmanager's API has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Matching {
    /// The label.
    pub name: String,
    /// A text, or a regular expression for all of the label's value.
    pub value: String,
    /// Is it a regular expression?
    pub is_regex: bool,
    /// Does the label have to be so, and not otherwise?
    #[serde(default = "yes")]
    pub is_equal: bool,
}

fn yes() -> bool {
    true
}

/// Why something cannot be silenced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrong {
    /// What was asked for is not right.
    Asked(String),
    /// There is no such silence.
    Nowhere(String),
    /// It cannot be stored.
    Store(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Wrong::Asked(text) | Wrong::Nowhere(text) | Wrong::Store(text)) = self;
        f.write_str(text)
    }
}

impl FromStr for Matching {
    type Err = String;

    /// `target=portal`, `target!=portal`, `target=~shop.*`, `target!~shop.*`, the value also in quotes; as amtool takes them.
    fn from_str(text: &str) -> Result<Matching, String> {
        let read = || {
            let (name, rest) = text.split_at(text.find(['=', '!']).filter(|at| *at > 0)?);
            // The signs of two letters before the one that they begin with.
            let signs = [("=~", true, true), ("!~", true, false), ("!=", false, false), ("=", false, true)];
            let of = |(sign, is_regex, is_equal)| Some((rest.strip_prefix(sign)?, is_regex, is_equal));
            let (value, is_regex, is_equal) = signs.into_iter().find_map(of)?;
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            Some(Matching { name: name.trim().to_owned(), value: value.to_owned(), is_regex, is_equal })
        };
        read().ok_or_else(|| format!("'{text}' is not like target=portal or target=~shop.*"))
    }
}

impl Matching {
    /// What compares labels.
    ///
    /// # Errors
    ///
    /// A regular expression is none.
    pub fn matchers(all: &[Matching]) -> Result<Vec<Matcher>, String> {
        let selector = format!("{{{}}}", all.iter().map(Matching::text).collect::<Vec<_>>().join(", "));
        parse_selector(&selector).map_err(|error| error.to_string())
    }

    /// A matcher as PromQL writes it: `target=~"shop.*"`.
    fn text(&self) -> String {
        let sign = match (self.is_equal, self.is_regex) {
            (true, false) => "=",
            (false, false) => "!=",
            (true, true) => "=~",
            (false, true) => "!~",
        };
        // JSON writes texts as PromQL reads them.
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!("{}{sign}{}", quoted(&self.name), quoted(&self.value))
    }
}

impl Silence {
    /// A silence that was not written yet.
    ///
    /// # Errors
    ///
    /// What is not right, in words.
    pub fn new(
        id: String,
        matching: Vec<Matching>,
        (from_ms, until_ms): (i64, i64),
        author: &str,
        reason: &str,
    ) -> Result<Silence, Wrong> {
        let wrong = |text: &str| Err(Wrong::Asked(text.to_owned()));
        if author.trim().is_empty() || reason.trim().is_empty() {
            return wrong("a silence has an author and a reason: createdBy and comment");
        }
        if until_ms <= from_ms {
            return wrong("a silence ends behind its beginning");
        }
        let matchers = Matching::matchers(&matching).map_err(|error| Wrong::Asked(format!("matchers: {error}")))?;
        // One that every alert has would be forgotten, and nobody would be told of anything.
        if matchers.iter().all(|own| own.matches("")) {
            return wrong(
                "matchers: expected one that does not match an empty label: of all alerts nobody would be told",
            );
        }
        let (author, reason) = (author.to_owned(), reason.to_owned());
        Ok(Silence { id, matching, matchers, from_ms, until_ms, author, reason, updated_ms: from_ms })
    }

    /// Is it about an alert with these labels, at a time?
    #[must_use]
    pub fn covers(&self, labels: &Labels, at_ms: i64) -> bool {
        (self.from_ms..self.until_ms).contains(&at_ms)
            && self.matchers.iter().all(|own| own.matches(labels.get(&own.label)))
    }

    /// `active`, `pending`, `expired`, as Alertmanager says it.
    #[must_use]
    pub fn state(&self, at_ms: i64) -> &'static str {
        match at_ms {
            at_ms if at_ms >= self.until_ms => "expired",
            at_ms if at_ms >= self.from_ms => "active",
            _ => "pending",
        }
    }

    /// What an event of an alert says of it.
    #[must_use]
    pub fn explain(&self) -> String {
        format!("silenced until {} by {}: {}", rfc3339(Some(self.until_ms)), self.author, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(name: &str, value: &str, is_regex: bool, is_equal: bool) -> Matching {
        Matching { name: name.into(), value: value.into(), is_regex, is_equal }
    }

    fn silence(matching: Vec<Matching>) -> Result<Silence, Wrong> {
        Silence::new("1".into(), matching, (10, 20), "me", "why")
    }

    #[test]
    fn what_is_silenced_has_all_that_it_says() {
        let of = |target: &str| Labels::new([("target", target), ("severity", "warning")]);
        let shop = matching("target", "shop.*", true, true);
        for (all, target, expected) in [
            (vec![shop.clone()], "shop1", true),
            (vec![shop.clone()], "my-shop", false),
            (vec![shop.clone(), matching("target", "shop1", false, false)], "shop1", false),
            (vec![shop.clone(), matching("severity", "critical", false, false)], "shop1", true),
            (vec![matching("target", "a\"b\\\n值", false, true)], "a\"b\\\n值", true),
            (vec![shop, matching("team", "", false, true)], "shop1", true),
        ] {
            assert_eq!(silence(all.clone()).unwrap().covers(&of(target), 15), expected, "{all:?} {target}");
        }
        let own = silence(vec![matching("target", "a", false, true)]).unwrap();
        assert_eq!([9, 10, 19, 20].map(|at| own.covers(&of("a"), at)), [false, true, true, false]);
        assert_eq!([9, 10, 20].map(|at| own.state(at)), ["pending", "active", "expired"]);
    }

    /// A silence of everything is mostly a mistake, and nobody hears of it.
    #[test]
    fn a_silence_of_everything_is_refused() {
        for all in [vec![], vec![matching("target", ".*", true, true)], vec![matching("x", "", false, true)]] {
            assert!(matches!(silence(all), Err(Wrong::Asked(_))));
        }
        assert!(matches!(silence(vec![matching("target", "(", true, true)]), Err(Wrong::Asked(_))));
        let own = vec![matching("target", "a", false, true)];
        assert!(Silence::new("1".into(), own.clone(), (10, 10), "me", "why").is_err());
        assert!(Silence::new("1".into(), own, (10, 20), " ", "why").is_err());
    }
}
