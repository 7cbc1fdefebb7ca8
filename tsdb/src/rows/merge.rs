//! Merges ordered sources into one ordered stream in which every key stands once.
//!
//! The same machine serves queries (head and segments) and compactions (segments).

use crate::base::error::Result;
use crate::rows::keyed::Rows;

/// Rows in the order of their keys, no key twice.
pub(crate) type Source<'a> = Box<dyn Iterator<Item = Result<Rows>> + Send + 'a>;

/// The merge of several sources, the oldest first: where keys meet, the later source's values win field by field.
pub(crate) struct Merge<'a> {
    sources: Vec<Cursor<'a>>,
}

struct Cursor<'a> {
    rest: Source<'a>,
    /// Rows read from the source and not yet merged; empty at its end.
    rows: Option<Rows>,
}

impl Cursor<'_> {
    /// Reads on if all that was read is used up.
    fn fill(&mut self) -> Result<()> {
        while self.rows.as_ref().is_none_or(|rows| rows.len() == 0) {
            match self.rest.next() {
                Some(rows) => self.rows = Some(rows?),
                None => {
                    self.rows = None;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Takes the first `count` rows.
    fn take(&mut self, count: usize) -> Rows {
        let rows = self.rows.take().expect("only filled cursors are taken from");
        self.rows = Some(rows.slice(count..rows.len()));
        rows.slice(0..count)
    }
}

impl<'a> Merge<'a> {
    pub(crate) fn new(sources: Vec<Source<'a>>) -> Merge<'a> {
        Merge { sources: sources.into_iter().map(|rest| Cursor { rest, rows: None }).collect() }
    }

    fn step(&mut self) -> Result<Option<Rows>> {
        for source in &mut self.sources {
            source.fill()?;
        }
        self.sources.retain(|source| source.rows.is_some());
        // Up to the smallest of the last keys in hand, nothing unread can come between.
        let last = |source: &Cursor<'_>| source.rows.as_ref().map(|rows| rows.key(rows.len() - 1));
        let Some(horizon) = self.sources.iter().filter_map(last).min() else {
            return Ok(None);
        };
        let mut parts: Vec<Rows> = Vec::new();
        for source in &mut self.sources {
            let count = source.rows.as_ref().map_or(0, |rows| rows.count_to(horizon));
            if count > 0 {
                parts.push(source.take(count));
            }
        }
        if let [_] = parts[..] {
            return Ok(parts.pop());
        }
        Ok(Some(merge_parts(&parts)))
    }
}

fn merge_parts(parts: &[Rows]) -> Rows {
    let mut picks = Vec::with_capacity(parts.iter().map(Rows::len).sum());
    for (source, part) in parts.iter().enumerate() {
        picks.extend((0..part.len()).map(|row| part.at(source, row)));
    }
    picks.sort(); // a stable sort: it recognises the runs that the parts are
    Rows::gathered(&picks, parts, parts[0].columns.len())
}

impl Iterator for Merge<'_> {
    type Item = Result<Rows>;

    fn next(&mut self) -> Option<Result<Rows>> {
        self.step().transpose()
    }
}
