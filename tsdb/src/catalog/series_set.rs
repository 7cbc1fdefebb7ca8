//! A set of a table's series, and the tag predicates that choose it.

use crate::base::error::{Error, Result};
use crate::base::text_pattern::TextPattern;
use crate::catalog::registry::{ColumnRef, Table};
use crate::catalog::tag::{ABSENT, Tag};

/// With fewer than one in so many series in question, they are looked up by their values and not one after the other.
const FEW: u64 = 16;

/// A condition on one tag. A series without the tag meets only [`IsNull`](Self::IsNull).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagPredicate {
    /// The tag has one of these values.
    In(String, Vec<String>),
    /// The tag has a value, and none of these.
    NotIn(String, Vec<String>),
    /// The tag's value starts with this.
    StartsWith(String, String),
    /// The tag's value has a match of this regular expression (syntax of the `regex` crate, not anchored).
    Matches(String, String),
    /// The tag has a value, without a match of this regular expression.
    NotMatches(String, String),
    /// The series does not have the tag.
    IsNull(String),
    /// The series has the tag.
    IsNotNull(String),
}

impl TagPredicate {
    fn tag(&self) -> &str {
        match self {
            TagPredicate::In(tag, _) | TagPredicate::NotIn(tag, _) => tag,
            TagPredicate::StartsWith(tag, _) | TagPredicate::Matches(tag, _) | TagPredicate::NotMatches(tag, _) => tag,
            TagPredicate::IsNull(tag) | TagPredicate::IsNotNull(tag) => tag,
        }
    }

    /// For each of a tag's values: do its series meet the predicate?
    fn values(&self, tag: &Tag) -> Result<Vec<bool>> {
        let values = tag.values();
        let listed = |wanted: &[String], listed: bool| {
            let mut holds = vec![!listed; values.len()];
            wanted.iter().filter_map(|value| values.find(value)).for_each(|code| holds[code as usize] = listed);
            holds
        };
        let matching = |pattern: &str, matching: bool| {
            let regex = TextPattern::new(pattern).map_err(|error| {
                let reason = error.to_string().lines().last().unwrap_or_default().trim().to_owned();
                Error::Pattern { pattern: pattern.to_owned(), reason }
            })?;
            Ok(values.iter().map(|value| regex.is_match(value) == matching).collect())
        };
        match self {
            TagPredicate::In(_, wanted) => Ok(listed(wanted, true)),
            TagPredicate::NotIn(_, unwanted) => Ok(listed(unwanted, false)),
            TagPredicate::StartsWith(_, start) => Ok(values.iter().map(|value| value.starts_with(start)).collect()),
            TagPredicate::Matches(_, pattern) => matching(pattern, true),
            TagPredicate::NotMatches(_, pattern) => matching(pattern, false),
            TagPredicate::IsNull(_) => Ok(vec![false; values.len()]),
            TagPredicate::IsNotNull(_) => Ok(vec![true; values.len()]),
        }
    }
}

impl std::fmt::Display for TagPredicate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TagPredicate::In(tag, values) if values.len() == 1 => write!(f, "{tag} = {}", values[0]),
            TagPredicate::In(tag, values) => write!(f, "{tag} in ({})", values.join(", ")),
            TagPredicate::NotIn(tag, values) => write!(f, "{tag} not in ({})", values.join(", ")),
            TagPredicate::StartsWith(tag, start) => write!(f, "{tag} like {start}%"),
            TagPredicate::Matches(tag, pattern) => write!(f, "{tag} ~ {pattern}"),
            TagPredicate::NotMatches(tag, pattern) => write!(f, "{tag} !~ {pattern}"),
            TagPredicate::IsNull(tag) => write!(f, "{tag} is null"),
            TagPredicate::IsNotNull(tag) => write!(f, "{tag} is not null"),
        }
    }
}

/// A set of series of one table, a bit each.
#[derive(Debug, Clone)]
pub(crate) struct SeriesSet {
    bits: Vec<u64>,
}

impl SeriesSet {
    /// The series of a table that meet all predicates, or `None` if there are no predicates: all series.
    pub(crate) fn choose(table: &Table, predicates: &[TagPredicate]) -> Result<Option<SeriesSet>> {
        if predicates.is_empty() {
            return Ok(None);
        }
        let count = table.series_count();
        let mut chosen: Option<SeriesSet> = None;
        for predicate in predicates {
            let Some(ColumnRef::Tag(tag)) = table.columns().find(predicate.tag()) else {
                return Err(Error::UnknownColumn { table: table.name.clone(), column: predicate.tag().into() });
            };
            let own = SeriesSet::of(table.tag(tag), count, predicate)?;
            chosen = Some(match chosen {
                None => own,
                Some(mut set) => {
                    set.bits.iter_mut().zip(own.bits).for_each(|(bits, own)| *bits &= own);
                    set
                }
            });
        }
        Ok(chosen)
    }

    /// The series, of so many, that meet a predicate on this tag.
    fn of(tag: &Tag, count: u32, predicate: &TagPredicate) -> Result<SeriesSet> {
        let mut set = SeriesSet { bits: vec![0; count.div_ceil(64) as usize] };
        let mut add = |series: u32| set.bits[series as usize / 64] |= 1 << (series % 64);
        // A few values find their series by themselves.
        if let TagPredicate::In(_, wanted) = predicate {
            let values = tag.values();
            let codes: Vec<u32> = wanted.iter().filter_map(|value| values.find(value)).collect();
            if codes.iter().map(|code| values.series_count(*code)).sum::<u64>() * FEW <= u64::from(count) {
                for code in codes {
                    values.series(code, |series| {
                        if series < count {
                            add(series);
                        }
                    });
                }
                return Ok(set);
            }
        }
        // Decide once a value, then look the decision up once a series.
        let (holds, absent) = (predicate.values(tag)?, matches!(predicate, TagPredicate::IsNull(_)));
        for series in 0..count {
            let holds = match tag.code(series) {
                ABSENT => absent,
                code => holds.get(code as usize).copied().unwrap_or(false),
            };
            if holds {
                add(series);
            }
        }
        Ok(set)
    }

    /// Is this series in it? Series made after the set was chosen are not.
    pub(crate) fn contains(&self, series: u32) -> bool {
        self.bits.get(series as usize / 64).is_some_and(|word| word >> (series % 64) & 1 == 1)
    }

    /// The series in it, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let bits = |word: u64| (0..64).filter(move |bit| word >> bit & 1 == 1);
        self.bits.iter().enumerate().flat_map(move |(at, word)| bits(*word).map(move |bit| at as u32 * 64 + bit))
    }

    /// Is any series from `first` to `last` in it?
    pub(crate) fn meets(&self, first: u32, last: u32) -> bool {
        self.words(first, last).any(|bits| bits != 0)
    }

    /// How many series from `first` to `last` are in it.
    pub(crate) fn count(&self, first: u32, last: u32) -> u32 {
        self.words(first, last).map(u64::count_ones).sum()
    }

    /// The bits of the series from `first` to `last`, word by word.
    fn words(&self, first: u32, last: u32) -> impl Iterator<Item = u64> + '_ {
        let (low, high) = (first as usize / 64, last as usize / 64);
        let own = self.bits.get(low..(high + 1).min(self.bits.len())).unwrap_or_default();
        own.iter().enumerate().map(move |(at, bits)| {
            let from = if at == 0 { u64::MAX << (first % 64) } else { u64::MAX };
            let to = if low + at == high { u64::MAX >> (63 - last % 64) } else { u64::MAX };
            bits & from & to
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meets_agrees_with_contains() {
        let set = SeriesSet { bits: vec![0, 1 << 5 | 1 << 63, 0, 1] };
        for first in 0..260u32 {
            for last in first..260 {
                assert_eq!(set.meets(first, last), (first..=last).any(|id| set.contains(id)), "{first}..={last}");
                let count = (first..=last).filter(|id| set.contains(*id)).count();
                assert_eq!(set.count(first, last) as usize, count, "{first}..={last}");
            }
        }
    }
}
