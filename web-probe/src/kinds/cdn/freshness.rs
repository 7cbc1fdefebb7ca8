//! Is what an edge has what the origin has, or had while the edge was told to keep it?
//!
//! An edge may give what the origin replaced, until its time is over. So the versions that the origin had are
//! remembered, each with when it was replaced: an edge that has an older one is *behind* until then, *stale* from then
//! on; what the origin never had, although it was watched when the edge fetched it, is *foreign*.

use std::collections::VecDeque;

/// How many versions are remembered.
const VERSIONS_MAX: usize = 100;

/// What an edge has, beside the origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// What the origin has now.
    Current,
    /// What the origin had; it may still give it.
    Behind,
    /// What the origin had, and its time is over.
    Stale,
    /// What the origin never had.
    Foreign,
    /// Nobody watched the origin when the edge fetched it.
    Unknown,
}

impl Freshness {
    pub(super) fn name(self) -> &'static str {
        match self {
            Freshness::Current => "current",
            Freshness::Behind => "behind",
            Freshness::Stale => "stale",
            Freshness::Foreign => "foreign",
            Freshness::Unknown => "unknown",
        }
    }
}

/// The versions of something that the origin had, newest last. Times are in seconds.
#[derive(Debug, Default)]
pub(super) struct History {
    versions: VecDeque<Version>,
    /// Since when all of them are known.
    since_s: Option<i64>,
}

#[derive(Debug)]
struct Version {
    content: String,
    first_s: i64,
    replaced_s: Option<i64>,
}

impl History {
    /// Notes what the origin has now.
    pub(super) fn note(&mut self, content: &str, now_s: i64) {
        self.since_s.get_or_insert(now_s);
        if self.versions.back().is_some_and(|version| version.content == content) {
            return;
        }
        if let Some(last) = self.versions.back_mut() {
            last.replaced_s = Some(now_s);
        }
        self.versions.retain(|version| version.content != content);
        self.versions.push_back(Version { content: content.to_owned(), first_s: now_s, replaced_s: None });
        if self.versions.len() > VERSIONS_MAX {
            self.versions.pop_front();
            self.since_s = self.versions.front().map(|version| version.first_s);
        }
    }

    /// What the origin has, and since when.
    pub(super) fn current(&self) -> Option<(&str, i64)> {
        self.versions.back().map(|version| (version.content.as_str(), version.first_s))
    }

    /// What an edge has that fetched it `age_s` ago and may keep it for `lifetime_s`.
    pub(super) fn judge(&self, content: &str, age_s: Option<i64>, lifetime_s: Option<i64>, now_s: i64) -> Freshness {
        let Some(since_s) = self.since_s else { return Freshness::Unknown };
        match self.versions.iter().find(|version| version.content == content).map(|version| version.replaced_s) {
            Some(None) => Freshness::Current,
            Some(Some(replaced_s)) => match lifetime_s {
                Some(lifetime) if now_s - replaced_s > lifetime => Freshness::Stale,
                _ => Freshness::Behind,
            },
            None if now_s - age_s.unwrap_or(0) >= since_s => Freshness::Foreign,
            None => Freshness::Unknown,
        }
    }
}

/// Has an edge a mark of what was written, such as a number that grows?
pub(super) fn has_mark(current: &str, of_edge: &str) -> bool {
    let numbers = (current.parse::<f64>(), of_edge.parse::<f64>());
    current == of_edge || matches!(numbers, (Ok(current), Ok(of_edge)) if of_edge >= current)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_replaced_is_behind_and_then_stale() {
        let mut history = History::default();
        assert_eq!(history.judge("one", None, Some(60), 0), Freshness::Unknown);
        history.note("one", 100);
        history.note("one", 110);
        history.note("two", 200);
        let judge = |content, age, lifetime, now| history.judge(content, age, lifetime, now);
        assert_eq!(judge("two", None, Some(60), 210), Freshness::Current);
        assert_eq!(judge("one", Some(50), Some(60), 210), Freshness::Behind);
        assert_eq!(judge("one", Some(60), Some(60), 260), Freshness::Behind);
        assert_eq!(judge("one", Some(99), Some(60), 261), Freshness::Stale);
        // Without a lifetime nobody can say that it is over.
        assert_eq!(judge("one", None, None, 99_999), Freshness::Behind);
        // Fetched before anybody looked, it may have been right.
        assert_eq!(judge("none", Some(111), Some(600), 210), Freshness::Unknown);
        assert_eq!(judge("none", Some(110), Some(600), 210), Freshness::Foreign);
        assert_eq!(judge("none", None, None, 210), Freshness::Foreign);
    }

    #[test]
    fn what_comes_back_is_current_again() {
        let mut history = History::default();
        for (at, content) in ["one", "two", "one"].into_iter().enumerate() {
            history.note(content, at as i64 * 100);
        }
        assert_eq!(history.current(), Some(("one", 200)));
        assert_eq!(history.judge("two", None, Some(50), 260), Freshness::Stale);
        assert_eq!(history.judge("one", None, Some(50), 260), Freshness::Current);
        for at in 0..200 {
            history.note(&format!("v{at}"), 1000 + at);
        }
        assert_eq!(history.versions.len(), VERSIONS_MAX);
        // What was forgotten is not called foreign.
        assert_eq!(history.judge("one", Some(150), Some(50), 1200), Freshness::Unknown);
    }

    #[test]
    fn marks_are_numbers_that_grow_or_texts() {
        assert!(has_mark("17", "17") && has_mark("17", "18") && !has_mark("17", "9"));
        assert!(has_mark("b3", "b3") && !has_mark("b3", "b4"));
    }
}
