//! A tag of a table: its values, and which series has which.
//!
//! A value has a code, in the order of first use. Two ways lead from values to series: the code of every series, four
//! bytes each in a column that grows without moving (read without a lock), and for every value the set of its series
//! (roaring bitmaps; a number where there is one series only), so that few values find their series without a look at
//! the others.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock, RwLock, RwLockReadGuard};

use arc_swap::ArcSwapOption;
use arrow_array::{Array, StringArray};
use arrow_buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use hashbrown::HashTable;
use roaring::RoaringBitmap;

/// The code of a tag that a series does not have.
pub(crate) const ABSENT: u32 = u32::MAX;
/// Series in the first part of the column; each next one is twice as long.
const FIRST_PART: usize = 64;
/// As many as 2^32 series need.
const PARTS: usize = 27;

/// One tag of one table.
#[derive(Debug)]
pub(crate) struct Tag {
    values: RwLock<Values>,
    /// One more than the code of each series; 0 for absent.
    codes: [OnceLock<Box<[AtomicU32]>>; PARTS],
    /// All values as Arrow has them, as of when they were last asked for.
    dictionary: ArcSwapOption<StringArray>,
}

/// The values of a tag.
#[derive(Debug, Default)]
pub(crate) struct Values {
    text: String,
    /// Where each value ends in the text.
    ends: Vec<u32>,
    by_value: HashTable<u32>,
    hasher: RandomState,
    series: Vec<SeriesOf>,
}

/// The series that have a value.
#[derive(Debug)]
enum SeriesOf {
    None,
    One(u32),
    Many(Box<RoaringBitmap>),
}

/// The part of a column, and the place in it, of a series.
fn place(series: u32) -> (usize, usize) {
    let shifted = series as usize + FIRST_PART;
    let part = (shifted / FIRST_PART).ilog2() as usize;
    (part, shifted - (FIRST_PART << part))
}

impl Tag {
    pub(crate) fn new() -> Tag {
        Tag { values: RwLock::default(), codes: [const { OnceLock::new() }; PARTS], dictionary: ArcSwapOption::empty() }
    }

    /// The code of a series' value, or [`ABSENT`].
    pub(crate) fn code(&self, series: u32) -> u32 {
        let (part, at) = place(series);
        // 0 becomes u32::MAX.
        self.codes[part].get().map_or(ABSENT, |codes| codes[at].load(Ordering::Relaxed).wrapping_sub(1))
    }

    /// Gives a series a value. Only one thread may do so at a time.
    pub(crate) fn set(&self, series: u32, code: u32) {
        let (part, at) = place(series);
        let codes = self.codes[part].get_or_init(|| (0..FIRST_PART << part).map(|_| AtomicU32::new(0)).collect());
        codes[at].store(code + 1, Ordering::Relaxed);
        let mut values = self.values.write().expect("nothing panics while it holds the values");
        let own = &mut values.series[code as usize];
        match own {
            SeriesOf::None => *own = SeriesOf::One(series),
            SeriesOf::One(first) => *own = SeriesOf::Many(Box::new([*first, series].into_iter().collect())),
            SeriesOf::Many(set) => drop(set.insert(series)),
        }
    }

    /// The values, which do not grow as long as this is held.
    pub(crate) fn values(&self) -> RwLockReadGuard<'_, Values> {
        self.values.read().expect("nothing panics while it holds the values")
    }

    /// Adds a value and returns its code; nothing if there is no room for it.
    pub(crate) fn add(&self, value: &str) -> Option<u32> {
        let mut values = self.values.write().expect("nothing panics while it holds the values");
        let values = &mut *values;
        // What Arrow's offsets can reach.
        i32::try_from(values.text.len() + value.len()).ok()?;
        let code = values.ends.len() as u32;
        values.text.push_str(value);
        values.ends.push(values.text.len() as u32);
        values.series.push(SeriesOf::None);
        let (text, ends, hasher) = (&values.text, &values.ends, &values.hasher);
        let hash = |code: &u32| hasher.hash_one(value_at(text, ends, *code));
        values.by_value.insert_unique(hasher.hash_one(value), code, hash);
        Some(code)
    }

    /// All values by their codes.
    pub(crate) fn dictionary(&self) -> Arc<StringArray> {
        let values = self.values();
        if let Some(known) = self.dictionary.load_full().filter(|known| known.len() == values.len()) {
            return known;
        }
        let offsets: ScalarBuffer<i32> = std::iter::once(0).chain(values.ends.iter().map(|end| *end as i32)).collect();
        let text = Buffer::from(values.text.as_bytes());
        let dictionary = Arc::new(StringArray::new(OffsetBuffer::new(offsets), text, None));
        self.dictionary.store(Some(dictionary.clone()));
        dictionary
    }
}

fn value_at<'a>(text: &'a str, ends: &[u32], code: u32) -> &'a str {
    let start = if code == 0 { 0 } else { ends[code as usize - 1] as usize };
    &text[start..ends[code as usize] as usize]
}

impl Values {
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The code of a value.
    pub(crate) fn find(&self, value: &str) -> Option<u32> {
        let is_this = |code: &u32| value_at(&self.text, &self.ends, *code) == value;
        self.by_value.find(self.hasher.hash_one(value), is_this).copied()
    }

    /// The values by their codes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.ends.len() as u32).map(|code| value_at(&self.text, &self.ends, code))
    }

    /// Tells `take` every series of a value.
    pub(crate) fn series(&self, code: u32, mut take: impl FnMut(u32)) {
        match &self.series[code as usize] {
            SeriesOf::None => {}
            SeriesOf::One(series) => take(*series),
            SeriesOf::Many(set) => set.iter().for_each(take),
        }
    }

    /// How many series have a value.
    pub(crate) fn series_count(&self, code: u32) -> u64 {
        match &self.series[code as usize] {
            SeriesOf::None => 0,
            SeriesOf::One(_) => 1,
            SeriesOf::Many(set) => set.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_of_codes_grows_in_place() {
        let mut expected = (0, 0);
        for series in 0..10_000 {
            assert_eq!(place(series), expected);
            expected.1 += 1;
            if expected.1 == FIRST_PART << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
        assert!(place(u32::MAX).0 < PARTS);
    }

    #[test]
    fn values_find_their_series_and_series_their_values() {
        let tag = Tag::new();
        for value in ["a", "", "ccc"] {
            tag.add(value).unwrap();
        }
        for series in 0..300 {
            if series % 3 > 0 {
                tag.set(series, series % 3);
            }
        }
        let values = tag.values();
        assert_eq!(values.iter().collect::<Vec<_>>(), ["a", "", "ccc"]);
        assert_eq!((values.find("ccc"), values.find("b")), (Some(2), None));
        assert_eq!((0..3).map(|code| values.series_count(code)).collect::<Vec<_>>(), [0, 100, 100]);
        let mut own = Vec::new();
        values.series(2, |series| own.push(series));
        assert!(own.iter().all(|series| series % 3 == 2) && own.len() == 100);
        drop(values);
        assert_eq!((tag.code(0), tag.code(1), tag.code(2), tag.code(5000)), (ABSENT, 1, 2, ABSENT));
        assert_eq!(tag.dictionary().value(2), "ccc");
        tag.add("d").unwrap();
        assert_eq!(tag.dictionary().len(), 4);
    }
}
