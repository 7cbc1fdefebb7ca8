//! What the store is made of, for people who want to look: where the rows of each table and day are.

use std::path::PathBuf;

use crate::state::shared::Shared;

/// Rows of one table in one file, or in the head. Segments and rolled days have an entry a day.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// `head`, `segment` or `rolled`.
    pub kind: &'static str,
    /// The schema of the table.
    pub schema: String,
    /// The table.
    pub table: String,
    /// The day, `YYYY-MM-DD`; nothing for the head and for segments of format version 1.
    pub day: Option<String>,
    /// Rows; in the head those that will be replaced by later ones, too.
    pub rows: u64,
    /// Bytes.
    pub bytes: u64,
    /// The earliest and the latest time, ns since the epoch; of a rolled day, its first and its last.
    pub times: (i64, i64),
    /// The place in the order of age: the log file's number.
    pub number: u64,
    /// How often a segment was compacted.
    pub generation: Option<u32>,
    /// The file; nothing for the head.
    pub path: Option<PathBuf>,
    /// Damaged pages that were found in it.
    pub damaged_pages: u64,
}

/// Every part that counts, the oldest first.
pub(crate) fn parts(shared: &Shared) -> Vec<Part> {
    let view = shared.view.load();
    let mut parts = Vec::new();
    let mut add = |table: u32, part: Part| {
        if let Some(table) = shared.catalog.table(table).filter(|table| !table.is_dropped()) {
            parts.push(Part { schema: table.schema.clone(), table: table.name.clone(), ..part });
        }
    };
    for rolled in view.rolled.values() {
        let id = rolled.id();
        let part = Part {
            day: Some(id.day.to_string()),
            rows: rolled.rows() as u64,
            bytes: rolled.file_bytes() as u64,
            times: (id.day.first(), id.day.last()),
            number: id.through,
            path: Some(rolled.path().to_owned()),
            ..Part::of("rolled")
        };
        add(id.table, part);
    }
    for segment in &view.segments {
        for (at, section) in segment.index().sections.iter().enumerate() {
            if section.day.is_some_and(|day| !view.counts(segment, section.table, day)) {
                continue;
            }
            let part = Part {
                day: section.day.map(|day| day.to_string()),
                rows: section.rows,
                bytes: section.bytes,
                times: section.times.unwrap_or_default(),
                number: segment.id().number,
                generation: Some(segment.id().generation),
                path: Some(segment.path().to_owned()),
                damaged_pages: segment.damaged_pages(at) as u64,
                ..Part::of("segment")
            };
            add(section.table, part);
        }
    }
    for head in &view.heads {
        for table in shared.catalog.live_tables() {
            let (frames, _) = crate::log::head::frames_of(head.entries(), table.id);
            let frames = || frames.iter().map(|(frame, _)| frame);
            let Some(first) = frames().map(|frame| frame.min_time).min() else { continue };
            let part = Part {
                rows: frames().map(|frame| frame.rows as u64).sum(),
                bytes: frames().map(|frame| frame.size() as u64).sum(),
                times: (first, frames().map(|frame| frame.max_time).max().unwrap_or(first)),
                number: head.number,
                ..Part::of("head")
            };
            add(table.id, part);
        }
    }
    parts
}

impl Part {
    fn of(kind: &'static str) -> Part {
        Part {
            kind,
            schema: String::new(),
            table: String::new(),
            day: None,
            rows: 0,
            bytes: 0,
            times: (0, 0),
            number: 0,
            generation: None,
            path: None,
            damaged_pages: 0,
        }
    }
}
