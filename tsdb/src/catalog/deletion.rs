//! A deletion: which rows went away. It is written to the log and to segments like rows are, and hides all older ones.

use std::ops::RangeInclusive;

use roaring::RoaringBitmap;

use crate::base::day::Day;
use crate::files::block::{u32_at, u64_at};

/// Rows of a table in a range of times; of some series, or of all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deletion {
    pub table: u32,
    pub from: i64,
    /// Inclusive.
    pub to: i64,
    /// `None` for all series.
    pub series: Option<RoaringBitmap>,
}

impl Deletion {
    /// Bytes before the set of series.
    const FIXED: usize = 24;

    pub(crate) fn deletes(&self, series: u32, time: i64) -> bool {
        (self.from..=self.to).contains(&time) && self.has_series(series)
    }

    pub(crate) fn has_series(&self, series: u32) -> bool {
        self.series.as_ref().is_none_or(|set| set.contains(series))
    }

    /// The days that it can concern.
    pub(crate) fn days(&self) -> RangeInclusive<Day> {
        Day::of(self.from)..=Day::of(self.to.max(self.from))
    }

    pub(crate) fn meets_times(&self, first: i64, last: i64) -> bool {
        self.from <= last && self.to >= first
    }

    /// u32 table, u32 1 if it has a set of series, i64 from, i64 to, then the set in roaring's portable format.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        out.extend(self.table.to_le_bytes());
        out.extend(u32::from(self.series.is_some()).to_le_bytes());
        out.extend(self.from.to_le_bytes());
        out.extend(self.to.to_le_bytes());
        if let Some(set) = &self.series {
            set.serialize_into(&mut out).expect("writing into memory does not fail");
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Deletion, String> {
        let (fixed, set) = bytes.split_at_checked(Deletion::FIXED).ok_or("the deletion is cut off")?;
        let series = match u32_at(fixed, 4) {
            0 => None,
            1 => Some(RoaringBitmap::deserialize_from(set).map_err(|error| format!("the deletion's series: {error}"))?),
            other => return Err(format!("unknown kind {other} of a deletion")),
        };
        Ok(Deletion { table: u32_at(fixed, 0), from: u64_at(fixed, 8) as i64, to: u64_at(fixed, 16) as i64, series })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn deletions_come_back(table: u32, from: i64, to: i64, series: Option<Vec<u32>>) {
            let series = series.map(|series| series.into_iter().collect());
            let deletion = Deletion { table, from, to, series };
            proptest::prop_assert_eq!(Deletion::decode(&deletion.encode()).unwrap(), deletion);
        }

        #[test]
        fn any_bytes_decode_or_are_refused(mut bytes: Vec<u8>) {
            if bytes.len() > 8 {
                bytes[4..8].copy_from_slice(&[1, 0, 0, 0]);
            }
            let _ = Deletion::decode(&bytes);
        }
    }
}
