//! Rows on their way to another server, kept on disk until it has them.
//!
//! A file has the rows that were measured in a moment, as line protocol. It is there as a whole or not at all (written,
//! synced, renamed) and goes when the other server has acknowledged it. One that is sent twice changes nothing: a row
//! of the same series and time is the same row.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::found::field::Field;
use crate::rows::record::Record;

/// How a finished file's name ends.
const END: &str = "lp";

/// A folder of rows that are still to be sent.
#[derive(Debug)]
pub struct Spool {
    dir: PathBuf,
    bytes_max: u64,
    next: u64,
}

impl Spool {
    /// Opens the folder, or makes it. It takes rows until its files have this many bytes.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn open(dir: PathBuf, bytes_max: u64) -> io::Result<Spool> {
        fs::create_dir_all(&dir)?;
        let last = files(&dir)?.last().and_then(|file| number(file));
        Ok(Spool { dir, bytes_max, next: last.map_or(0, |last| last + 1) })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Keeps rows until they are sent. `false`: there is no room, and they are not kept.
    pub(crate) fn keep(&mut self, records: &[Record]) -> io::Result<bool> {
        let mut text = String::new();
        records.iter().for_each(|record| write_line(record, &mut text));
        let mut used = text.len() as u64;
        for file in files(&self.dir)? {
            used += fs::metadata(file).map_or(0, |metadata| metadata.len()); // it may have been sent meanwhile
        }
        if used > self.bytes_max {
            return Ok(false);
        }
        let path = self.dir.join(format!("{:020}.{END}", self.next));
        let unfinished = path.with_extension("new");
        let mut file = File::create(&unfinished)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&unfinished, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.next += 1;
        Ok(true)
    }
}

/// The finished files of a spool's folder, oldest first.
///
/// # Errors
///
/// The folder cannot be read.
pub fn files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == END) && number(&path).is_some() {
            all.push(path);
        }
    }
    all.sort();
    Ok(all)
}

fn number(path: &Path) -> Option<u64> {
    path.file_stem()?.to_str()?.parse().ok()
}

/// A row as line protocol, with its time in nanoseconds.
fn write_line(record: &Record, out: &mut String) {
    escape(record.table, ", ", out);
    for (name, value) in record.tags.iter().filter(|(_, value)| !value.is_empty()) {
        out.push(',');
        escape(name, ",= ", out);
        out.push('=');
        escape(value, ",= ", out);
    }
    let mut before = ' ';
    for (name, field) in &record.fields {
        out.push(std::mem::replace(&mut before, ','));
        escape(name, ",= ", out);
        let _ = match field {
            Field::F64(value) => write!(out, "={value:?}"),
            Field::I64(value) => write!(out, "={value}i"),
            Field::Bool(value) => write!(out, "={value}"),
            Field::Str(value) => {
                out.push_str("=\"");
                escape(value, "\"\\", out);
                out.write_char('"')
            }
        };
    }
    let _ = writeln!(out, " {}", record.time_ns);
}

fn escape(text: &str, special: &str, out: &mut String) {
    for letter in text.chars() {
        if special.contains(letter) {
            out.push('\\');
        }
        out.push(letter);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(time_ns: i64) -> Record {
        let fields = vec![
            ("total_ms", Field::F64(3.0)),
            ("status", Field::I64(200)),
            ("up", Field::Bool(true)),
            ("message", Field::Str("a \"quoted\" \\ word\nand more".into())),
        ];
        let tags = vec![("target", "one, two = three".to_owned()), ("group", String::new())];
        Record { table: "probe", tags, time_ns, fields }
    }

    #[test]
    fn rows_are_kept_in_order_until_there_is_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path().join("forward"), 400).unwrap();
        assert!(spool.keep(&[record(1), record(2)]).unwrap());
        drop(spool);
        // What was not finished does not count.
        fs::write(dir.path().join("forward/00000000000000000007.new"), "half").unwrap();
        let mut spool = Spool::open(dir.path().join("forward"), 400).unwrap();
        assert!(spool.keep(&[record(3)]).unwrap());
        assert!(!spool.keep(&[record(4)]).unwrap());
        let all = files(spool.dir()).unwrap();
        let text: String = all.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
        let line = |time| {
            format!(
                "probe,target=one\\,\\ two\\ \\=\\ three total_ms=3.0,status=200i,up=true,message=\"a \\\"quoted\\\" \\\\ word\nand more\" {time}\n"
            )
        };
        assert_eq!(text, [line(1), line(2), line(3)].concat());
    }
}
