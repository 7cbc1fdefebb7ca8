//! Which numbers of a chunk are wanted.

use std::ops::Range;

/// Numbers of a chunk within a stretch of it: all, or some. Others in the stretch may come out as anything.
#[derive(Debug, Clone)]
pub(crate) struct Wanted<'a> {
    /// The stretch.
    pub reach: Range<usize>,
    /// Those in it, in order; none at all stands for all.
    some: &'a [Range<usize>],
}

impl<'a> Wanted<'a> {
    /// All numbers of a stretch.
    pub(crate) fn all(reach: Range<usize>) -> Wanted<'static> {
        Wanted { reach, some: &[] }
    }

    /// These, which stand in order.
    pub(crate) fn some(ranges: &'a [Range<usize>]) -> Wanted<'a> {
        let reach = ranges.first().map_or(0, |range| range.start)..ranges.last().map_or(0, |range| range.end);
        Wanted { reach, some: ranges }
    }

    /// Is one of these numbers wanted?
    pub(crate) fn meets(&self, places: &Range<usize>) -> bool {
        let meet = |range: &Range<usize>| range.start < places.end && places.start < range.end;
        match self.some {
            [] => meet(&self.reach),
            some => some.get(some.partition_point(|range| range.end <= places.start)).is_some_and(meet),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_meet_what_is_wanted() {
        let ranges = [3..5, 8..9];
        let wanted = Wanted::some(&ranges);
        assert_eq!(wanted.reach, 3..9);
        let all = Wanted::all(3..9);
        for first in 0..12 {
            for end in first..12 {
                let places = first..end;
                let is_met = ranges.iter().any(|range| range.clone().any(|at| places.contains(&at)));
                assert_eq!(wanted.meets(&places) && !places.is_empty(), is_met, "{places:?}");
                assert_eq!(
                    all.meets(&places) && !places.is_empty(),
                    (3..9).any(|at| places.contains(&at)),
                    "{places:?}"
                );
            }
        }
    }
}
