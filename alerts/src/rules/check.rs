//! What is wrong with rules, or may be.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::rule::{Kind, RuleFile, Text};

/// Something that is wrong with a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Which file.
    pub file: Arc<str>,
    /// In which line.
    pub line: usize,
    /// What it is.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.message)
    }
}

/// What may be wrong with files that can be read: rules that make the same series twice.
#[must_use]
pub fn check(files: &[RuleFile]) -> Vec<Problem> {
    let mut seen = BTreeMap::new();
    let mut problems = Vec::new();
    for file in files {
        for group in &file.groups {
            for rule in &group.rules {
                let labels: Vec<_> = rule.labels.iter().map(Text::pair).collect();
                let key = (matches!(rule.kind, Kind::Record), rule.name.as_str(), labels);
                match seen.get(&key) {
                    Some((before, line)) => problems.push(Problem {
                        file: group.file.clone(),
                        line: rule.line,
                        message: format!("{:?} with the same labels stands in {before}:{line}, too", rule.name),
                    }),
                    None => drop(seen.insert(key, (group.file.clone(), rule.line))),
                }
            }
        }
    }
    problems
}
