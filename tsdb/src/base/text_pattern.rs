//! Regular expressions of texts. Most that people write are a text with gaps, as `web-.*`: these are found without a machine
//! for them, whose making takes longer than most questions.

use regex::Regex;

/// A regular expression (syntax of the `regex` crate, not anchored).
///
/// ```
/// use tsdb::TextPattern;
///
/// let pattern = TextPattern::new("^(?s:web-.+)$").unwrap();
/// assert!(pattern.is_match("web-1") && !pattern.is_match("web-"));
/// ```
#[derive(Debug, Clone)]
pub enum TextPattern {
    /// All of a text is one with gaps.
    Gaps(TextWithGaps),
    /// Any other.
    Regex(Regex),
}

/// A text with gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextWithGaps {
    start: String,
    /// Gaps, each with the text behind it.
    rest: Vec<(Gap, String)>,
}

/// Any text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Gap {
    /// Of any length.
    Any,
    /// Of a letter at least.
    Some,
}

impl TextPattern {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// It is none, or takes too much memory.
    pub fn new(pattern: &str) -> Result<TextPattern, regex::Error> {
        match TextWithGaps::of(pattern) {
            Some(text) => Ok(TextPattern::Gaps(text)),
            None => Regex::new(pattern).map(TextPattern::Regex),
        }
    }

    /// Has a text a match of it?
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        match self {
            TextPattern::Gaps(own) => own.is_match(text),
            TextPattern::Regex(regex) => regex.is_match(text),
        }
    }
}

impl TextWithGaps {
    /// A regular expression as one, if it is one: anchored at both ends, with dots that match all letters.
    fn of(pattern: &str) -> Option<TextWithGaps> {
        let inside = pattern.strip_prefix("^(?s:").and_then(|rest| rest.strip_suffix(")$"));
        let inside = inside.or_else(|| pattern.strip_prefix("(?s)^").and_then(|rest| rest.strip_suffix('$')))?;
        let (mut own, mut letters) = (TextWithGaps { start: String::new(), rest: Vec::new() }, inside.chars());
        while let Some(letter) = letters.next() {
            let text = own.rest.last_mut().map_or(&mut own.start, |(_, text)| text);
            match letter {
                '.' => {
                    let gap = match letters.next()? {
                        '*' => Gap::Any,
                        '+' => Gap::Some,
                        _ => return None,
                    };
                    match own.rest.last_mut() {
                        // Of two gaps side by side one is enough, unless each has to have a letter.
                        Some((before, text)) if text.is_empty() => match (*before, gap) {
                            (Gap::Some, Gap::Some) => return None,
                            (Gap::Any, gap) => *before = gap,
                            (Gap::Some, Gap::Any) => {}
                        },
                        _ => own.rest.push((gap, String::new())),
                    }
                }
                '\\' => text.push(letters.next().filter(char::is_ascii_punctuation)?),
                '+' | '*' | '?' | '(' | ')' | '|' | '[' | ']' | '{' | '}' | '^' | '$' => return None,
                letter => text.push(letter),
            }
        }
        Some(own)
    }

    fn is_match(&self, text: &str) -> bool {
        let Some(mut left) = text.strip_prefix(&*self.start) else { return false };
        let Some(((gap, end), between)) = self.rest.split_last() else { return left.is_empty() };
        for (gap, text) in between {
            // The first place leaves most for what comes behind.
            let least = if *gap == Gap::Some { left.chars().next().map_or(0, char::len_utf8) } else { 0 };
            let Some(place) = left[least..].find(&**text).filter(|_| *gap == Gap::Any || least > 0) else {
                return false;
            };
            left = &left[least + place + text.len()..];
        }
        left.strip_suffix(&**end).is_some_and(|middle| *gap == Gap::Any || !middle.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is found without a machine is what the machine finds.
    #[test]
    fn texts_with_gaps_match_what_their_regular_expression_does() {
        let mut random = fastrand::Rng::with_seed(11);
        let pieces = ["a", "b", "ab", "é", "\\.", "\\-", ".*", ".+", ".*", "\n"];
        let letters = ["a", "b", "é", ".", "-", "\n"];
        let (mut with_gaps, mut matched) = (0, 0);
        for _ in 0..20_000 {
            let inside: String = (0..random.usize(..6)).map(|_| pieces[random.usize(..pieces.len())]).collect();
            let pattern = if random.bool() { format!("^(?s:{inside})$") } else { format!("(?s)^{inside}$") };
            let Some(own) = TextWithGaps::of(&pattern) else { continue };
            with_gaps += 1;
            let regex = Regex::new(&pattern).unwrap();
            for _ in 0..10 {
                let text: String = (0..random.usize(..7)).map(|_| letters[random.usize(..letters.len())]).collect();
                assert_eq!(own.is_match(&text), regex.is_match(&text), "{pattern:?} in {text:?}: {own:?}");
                matched += usize::from(own.is_match(&text));
            }
        }
        assert!(with_gaps > 10_000 && matched > 10_000, "{with_gaps} {matched}");
    }

    #[test]
    fn others_are_left_to_the_machine() {
        for pattern in [
            "a",
            "^a$",
            "^(?s:a|b)$",
            "^(?s:a.b)$",
            "^(?s:.*?)$",
            "^(?s:a+)$",
            "^(?s:\\d)$",
            "^(?s:.+.+)$",
            "^(?s:[a])$",
        ] {
            assert!(matches!(TextPattern::new(pattern).unwrap(), TextPattern::Regex(_)), "{pattern}");
        }
        assert!(TextPattern::new("^(?s:()$").is_err());
        assert!(matches!(TextPattern::new("(?s)^.*8$").unwrap(), TextPattern::Gaps(_)));
    }
}
