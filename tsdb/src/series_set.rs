//! A set of a table's series, and the tag predicates that choose it.

use crate::catalog::{ABSENT, ColumnRef, Table};
use crate::error::{Error, Result};

/// A condition on one tag. A series without the tag meets only [`IsNull`](Self::IsNull).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TagPredicate {
    /// The tag has one of these values.
    In(String, Vec<String>),
    /// The tag has a value, and none of these.
    NotIn(String, Vec<String>),
    /// The series does not have the tag.
    IsNull(String),
    /// The series has the tag.
    IsNotNull(String),
}

impl TagPredicate {
    fn tag(&self) -> &str {
        match self {
            TagPredicate::In(tag, _) | TagPredicate::NotIn(tag, _) => tag,
            TagPredicate::IsNull(tag) | TagPredicate::IsNotNull(tag) => tag,
        }
    }

    fn holds(&self, value: Option<&str>) -> bool {
        match (self, value) {
            (TagPredicate::In(_, values), Some(value)) => values.iter().any(|known| known == value),
            (TagPredicate::NotIn(_, values), Some(value)) => values.iter().all(|known| known != value),
            (TagPredicate::IsNull(_), value) => value.is_none(),
            (_, value) => value.is_some() && matches!(self, TagPredicate::IsNotNull(_)),
        }
    }
}

impl std::fmt::Display for TagPredicate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TagPredicate::In(tag, values) if values.len() == 1 => write!(f, "{tag} = {}", values[0]),
            TagPredicate::In(tag, values) => write!(f, "{tag} in ({})", values.join(", ")),
            TagPredicate::NotIn(tag, values) => write!(f, "{tag} not in ({})", values.join(", ")),
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
        let series = table.series_count();
        let mut set = SeriesSet { bits: vec![u64::MAX; series.div_ceil(64)] };
        if let Some(last) = set.bits.last_mut().filter(|_| series % 64 > 0) {
            *last = u64::MAX >> (64 - series % 64);
        }
        for predicate in predicates {
            let Some(ColumnRef::Tag(tag)) = table.columns().find(predicate.tag()) else {
                return Err(Error::UnknownColumn { table: table.name.clone(), column: predicate.tag().into() });
            };
            // Decide once a value, then look the decision up once a series.
            let values = table.tag_values(tag).iter().map(|(_, value)| predicate.holds(Some(value)));
            let (values, absent): (Vec<bool>, bool) = (values.collect(), predicate.holds(None));
            for id in 0..series {
                let holds = match table.tag_code(id as u32, tag) {
                    ABSENT => absent,
                    code => values.get(code as usize).copied().unwrap_or(false),
                };
                if !holds {
                    set.bits[id / 64] &= !(1 << (id % 64));
                }
            }
        }
        Ok(Some(set))
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
        let (low, high) = (first as usize / 64, last as usize / 64);
        (low..=high).any(|word| {
            let Some(mut bits) = self.bits.get(word).copied() else { return false };
            if word == low {
                bits &= u64::MAX << (first % 64);
            }
            if word == high {
                bits &= u64::MAX >> (63 - last % 64);
            }
            bits != 0
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
            }
        }
    }
}
