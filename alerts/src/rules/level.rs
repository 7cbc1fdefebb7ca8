//! From which value on something is wrong, and how gravely.

use std::fmt;
use std::str::FromStr;

use statistics::float::show_general;

use super::rule::{Severity, Text};

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
}

/// Signs, those of two letters before those that they begin with.
const SIGNS: [(&str, Sign); 6] = [
    (">=", Sign::AtLeast),
    ("<=", Sign::AtMost),
    ("==", Sign::Equal),
    ("!=", Sign::Unequal),
    (">", Sign::Above),
    ("<", Sign::Below),
];

/// A bound that values are over, or not.
///
/// ```
/// use alerts::rules::Bound;
///
/// let bound: Bound = "> 0.8".parse().unwrap();
/// assert_eq!((bound.holds(0.9), bound.holds(0.8), bound.to_string()), (true, false, "> 0.8".into()));
/// let error = "800".parse::<Bound>().unwrap_err();
/// assert_eq!(error, "'800' is not a bound like \"> 800\"; signs are >, >=, <, <=, == and !=");
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bound {
    sign: Sign,
    value: f64,
}

impl Bound {
    /// Is a value over it? What is no number is not.
    #[must_use]
    pub fn holds(&self, value: f64) -> bool {
        match self.sign {
            Sign::Above => value > self.value,
            Sign::AtLeast => value >= self.value,
            Sign::Below => value < self.value,
            Sign::AtMost => value <= self.value,
            Sign::Equal => value == self.value,
            Sign::Unequal => value != self.value && !value.is_nan(),
        }
    }

    /// 1 if it is over large values, -1 if over small ones, 0 if over neither.
    fn direction(&self) -> i8 {
        match self.sign {
            Sign::Above | Sign::AtLeast => 1,
            Sign::Below | Sign::AtMost => -1,
            Sign::Equal | Sign::Unequal => 0,
        }
    }

    /// Is there a value that is over both?
    fn meets(&self, other: &Bound) -> bool {
        let (up, down) = if self.direction() > 0 { (self, other) } else { (other, self) };
        up.value < down.value || (up.holds(down.value) && down.holds(up.value))
    }
}

impl FromStr for Bound {
    type Err = String;

    fn from_str(text: &str) -> Result<Bound, String> {
        let own = text.trim();
        let read = SIGNS.iter().find_map(|(sign, kind)| {
            let value = own.strip_prefix(sign)?.trim().parse::<f64>().ok().filter(|value| value.is_finite())?;
            Some(Bound { sign: *kind, value })
        });
        read.ok_or_else(|| format!("'{text}' is not a bound like \"> 800\"; signs are >, >=, <, <=, == and !="))
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = SIGNS.iter().find(|(_, kind)| *kind == self.sign).map_or("", |(sign, _)| sign);
        write!(f, "{sign} {}", show_general(self.value))
    }
}

/// How gravely, from which value on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Level {
    /// How gravely.
    pub severity: Severity,
    /// From this on.
    pub raise: Bound,
    /// Until this; without one, as long as `raise` holds.
    pub clear: Option<Bound>,
}

impl Level {
    /// Is a value good again, once it was not?
    #[must_use]
    pub fn is_cleared(&self, value: f64) -> bool {
        match &self.clear {
            Some(clear) => clear.holds(value),
            None => !self.raise.holds(value),
        }
    }

    fn check(&self) -> Result<(), String> {
        let Some(clear) = &self.clear else { return Ok(()) };
        let (raise, name) = (&self.raise, self.severity.name());
        if raise.direction() == 0 || clear.direction() != -raise.direction() {
            return Err(format!("{name}: clear = \"{clear}\" is not on the other side of raise = \"{raise}\""));
        }
        if raise.meets(clear) {
            return Err(format!("{name}: a value can be over raise = \"{raise}\" and clear = \"{clear}\" at once"));
        }
        Ok(())
    }
}

/// What becomes of alerts of which nothing is found any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoData {
    /// They stay as they are.
    Keep,
    /// They stay, and an event says that nothing is known.
    #[default]
    Unknown,
    /// That is critical by itself.
    Critical,
}

/// What makes alerts of values.
#[derive(Debug, Clone, Default)]
pub struct Levels {
    /// Each severity once.
    pub levels: Vec<Level>,
    /// So long a value has to be over a bound, in milliseconds.
    pub for_ms: i64,
    /// So long it has to be good again.
    pub clear_for_ms: i64,
    /// So many of so many evaluations have to find it over the bound.
    pub confirm: Option<(usize, usize)>,
    /// Where nothing is found.
    pub no_data: NoData,
    /// Targets: while one is down, nothing is told.
    pub depends_on: Vec<String>,
    /// Texts beside labels.
    pub annotations: Vec<Text>,
}

/// So many evaluations are remembered at the most.
const CONFIRM_MAX: usize = 100;

impl Levels {
    /// Is all of it right?
    ///
    /// # Errors
    ///
    /// It is not, in words.
    pub fn check(&self) -> Result<(), String> {
        if self.levels.is_empty() {
            return Err("expected warning = { raise = \"> 800\" }, critical = { ... }, or both".into());
        }
        if let Some((needed, of)) = self.confirm
            && !(1..=of).contains(&needed) | (of > CONFIRM_MAX)
        {
            return Err(format!("confirm: expected a text like \"2 of 3\", with at most {CONFIRM_MAX}"));
        }
        if self.confirm.is_some() && self.for_ms > 0 {
            return Err("for and confirm exclude each other: how long, or how often".into());
        }
        if self.no_data == NoData::Critical && !self.levels.iter().any(|own| own.severity == Severity::Critical) {
            return Err("no_data = \"critical\" needs a level critical = { ... }".into());
        }
        self.levels.iter().try_for_each(Level::check)
    }

    /// Does another one say the same, but for texts?
    pub(super) fn is_same(&self, other: &Levels) -> bool {
        let of = |own: &Levels| (own.levels.clone(), own.for_ms, own.clear_for_ms, own.confirm, own.no_data);
        of(self) == of(other) && self.depends_on == other.depends_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn level(raise: &str, clear: &str) -> Result<(), String> {
        let clear = Some(clear.parse().unwrap());
        Level { severity: Severity::Warning, raise: raise.parse().unwrap(), clear }.check()
    }

    /// A value that raises and clears at once would go on and off at every look.
    #[test]
    fn what_raises_does_not_clear() {
        for (raise, clear) in [("> 800", "< 600"), (">= 1", "< 1"), ("< 5", "> 5"), ("<= 0", "> 0"), ("> 1", "<= 1")] {
            assert_eq!(level(raise, clear), Ok(()), "{raise} {clear}");
        }
        for (raise, clear) in [("> 800", "< 900"), (">= 1", "<= 1"), ("> 1", "> 0"), ("== 1", "< 1"), ("< 1", "== 2")] {
            assert!(level(raise, clear).is_err(), "{raise} {clear}");
        }
    }

    #[test]
    fn bounds_are_read_as_they_are_written() {
        for text in ["> 800", ">= -1.5", "< 1e9", "<= 0", "== 1", "!= 0"] {
            assert_eq!(text.parse::<Bound>().unwrap().to_string(), text.replace("1e9", "1e+09"));
        }
        for text in ["", ">", "800", "=> 1", "> x", "> nan", "> inf", "= 1"] {
            assert!(text.parse::<Bound>().is_err(), "{text}");
        }
        let bound: Bound = "!= 0".parse().unwrap();
        assert!(!bound.holds(f64::NAN) && !bound.holds(0.0) && bound.holds(1.0));
    }
}
