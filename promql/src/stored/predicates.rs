//! What the store can sort out by itself. A tag that is absent is an empty label.

use tsdb::TagPredicate;

use super::places::Place;
use crate::base::labels::NAME;
use crate::syntax::{MatchOp, Matcher};

/// Predicates that no series meets less than these matchers; `None` if no series of the table can match.
pub(crate) fn predicates(place: &Place, matchers: &[Matcher]) -> Option<Vec<TagPredicate>> {
    let mut predicates = Vec::new();
    for matcher in matchers.iter().filter(|matcher| matcher.label != NAME) {
        match place.tag(&matcher.label) {
            Some(tag) => predicates.extend(predicate(tag, matcher)),
            None if matcher.matches("") => {}
            None => return None,
        }
    }
    Some(predicates)
}

/// Do these predicates say all that the matchers do, so that nobody has to look at the labels of series?
pub(crate) fn say_all(place: &Place, matchers: &[Matcher]) -> bool {
    let is_said = |matcher: &Matcher| match (place.tag(&matcher.label), &matcher.op) {
        (None, _) => true,
        (Some(_), MatchOp::NotEqual(_)) => false,
        (Some(_), _) => !matcher.matches(""),
    };
    matchers.iter().filter(|matcher| matcher.label != NAME).all(is_said)
}

/// What holds of a tag that is there, wherever the matcher does not take one that is absent.
fn predicate(tag: &str, matcher: &Matcher) -> Option<TagPredicate> {
    if matcher.matches("") {
        return None;
    }
    let tag = tag.to_owned();
    Some(match &matcher.op {
        MatchOp::Equal(value) => TagPredicate::In(tag, vec![value.clone()]),
        MatchOp::NotEqual(_) => TagPredicate::IsNotNull(tag),
        MatchOp::Matches(pattern) => match pattern.choice() {
            Some(values) => TagPredicate::In(tag, values.into_iter().map(str::to_owned).collect()),
            None => TagPredicate::Matches(tag, pattern.written().to_owned()),
        },
        MatchOp::MatchesNot(pattern) => TagPredicate::NotMatches(tag, pattern.written().to_owned()),
    })
}
