//! Rolled days: a day of a table as a Parquet file that other programs read as it stands.
//!
//! `parquet/<table>/date=YYYY-MM-DD/<through>.parquet`, sorted by series and time, with `time`, the tags (as
//! dictionaries) and the fields as columns. What the store needs beyond that stands in the file's metadata under the
//! key `fournines`: which rows are of which series, and a checksum of every row group.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow_array::cast::AsArray;
use arrow_array::types::TimestampNanosecondType;
use arrow_buffer::ScalarBuffer;
use arrow_schema::SchemaRef;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReaderBuilder, RowSelection};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::base::day::Day;
use crate::base::error::{Error, Result};
use crate::base::ids::RolledId;
use crate::base::names::DEFAULT_SCHEMA;
use crate::base::options::PAGE_ROWS_MAX;
use crate::catalog::filter::Filter;
use crate::catalog::registry::{Catalog, Table};
use crate::codec::leb128;
use crate::files::data_dir::DataDir;
use crate::rolled::footer::{Footer, Footers};
use crate::rows::keyed::{Rows, pick, take_ranges};
use crate::rows::merge::Source;

/// The key of the store's own metadata in the file.
pub(crate) const METADATA_KEY: &str = "fournines";
/// Where the time is among the columns.
const TIME_PLACE: usize = 0;
/// What a folder's name cannot have, or what would be ambiguous in it.
const ESCAPED: &AsciiSet = &CONTROLS.add(b'/').add(b'\\').add(b'%').add(b'@').add(b'=');
/// Longer names are cut and made unique by a hash: file systems take 255 bytes.
const NAME_BYTES_MAX: usize = 200;

/// The store's own metadata in the file, as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Metadata {
    pub schema: String,
    pub table: String,
    /// The table's number. Files of old do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u32>,
    /// The numbers of the fields in the order of their columns, unless they count from 0: of a table of which fields
    /// were dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Vec<u32>>,
    /// Of each row group where it ends in the file and the XXH3-64 of its bytes.
    pub groups: Vec<(u64, u64)>,
    /// The series in the order of the rows: for each the distance from the one before and its number of rows, as
    /// LEB128, all in base64.
    pub series: String,
}

impl Metadata {
    pub(crate) fn encode_series(runs: &[(u32, u32)]) -> String {
        let (mut out, mut last) = (Vec::new(), 0);
        for (series, rows) in runs {
            leb128::write((series - last).into(), &mut out);
            leb128::write((*rows).into(), &mut out);
            last = *series;
        }
        BASE64_STANDARD.encode(out)
    }

    pub(crate) fn decode_series(&self) -> Result<Vec<(u32, u32)>, String> {
        let bytes = BASE64_STANDARD.decode(&self.series).map_err(|error| error.to_string())?;
        let (mut rest, mut runs, mut last) = (&bytes[..], Vec::new(), 0u32);
        while !rest.is_empty() {
            last = last.wrapping_add(leb128::read(&mut rest)? as u32);
            runs.push((last, leb128::read(&mut rest)? as u32));
        }
        Ok(runs)
    }
}

/// The folder of a table's rolled days.
pub(crate) fn folder(dir: &DataDir, table: &Table) -> PathBuf {
    let escaped = |name: &str| {
        let mut name = utf8_percent_encode(name, ESCAPED).to_string();
        if name.starts_with('.') {
            name.replace_range(..1, "%2E");
        }
        if name.len() > NAME_BYTES_MAX {
            let hash = xxh3_64(name.as_bytes());
            let end = (0..=NAME_BYTES_MAX - 17).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
            name.truncate(end);
            name = format!("{name}~{hash:016x}");
        }
        name
    };
    let mut name = escaped(&table.name);
    if table.schema != DEFAULT_SCHEMA {
        name = format!("{name}@{}", escaped(&table.schema));
    }
    dir.join("parquet").join(name)
}

/// The file of a rolled day.
pub(crate) fn path(dir: &DataDir, table: &Table, id: RolledId) -> PathBuf {
    folder(dir, table).join(format!("date={}", id.day)).join(format!("{:010}.parquet", id.through))
}

/// An open rolled day.
#[derive(Debug)]
pub(crate) struct RolledDay {
    id: RolledId,
    path: PathBuf,
    bytes: Bytes,
    footers: Arc<Footers>,
    /// Of each row group where it ends in the file and the XXH3-64 of its bytes.
    groups: Vec<(u64, u64)>,
    rows: usize,
    /// The numbers of its fields.
    fields: Vec<u32>,
    tag_count: usize,
    last_series: Option<u32>,
    checked: Vec<AtomicBool>,
    damaged: Vec<AtomicBool>,
}

/// What happens when a row group of a day cannot be read: `Ok` leaves its rows out.
pub(crate) type OnDamagedGroup = Arc<dyn Fn(&RolledDay, usize, Error) -> Result<()> + Send + Sync>;

impl RolledDay {
    pub(crate) fn open(dir: &DataDir, table: &Table, id: RolledId, footers: &Arc<Footers>) -> Result<RolledDay> {
        let path = path(dir, table, id);
        let bytes = dir.map(&path)?;
        let footer = footers.get(id, &bytes).map_err(|reason| Error::corrupt(&path, id.tail_at, reason))?;
        let flags = || footer.groups.iter().map(|_| AtomicBool::new(false)).collect();
        Ok(RolledDay {
            id,
            path,
            bytes,
            footers: footers.clone(),
            groups: footer.groups.clone(),
            rows: footer.rows(),
            fields: footer.fields.iter().map(|(field, _)| *field).collect(),
            tag_count: footer.parquet.schema().fields().len() - 1 - footer.fields.len(),
            last_series: footer.series.last().map(|(series, _)| *series),
            checked: flags(),
            damaged: flags(),
        })
    }

    /// The rolled day in a file of which no manifest says anything. Its footer is believed if it speaks of row groups
    /// that are as it says.
    pub(crate) fn find(dir: &DataDir, catalog: &Catalog, path: &Path) -> Result<RolledId> {
        let damaged = |reason: &str| Error::corrupt(path, 0, reason);
        let bytes = dir.map_or_empty(path)?;
        let footer =
            std::panic::catch_unwind(|| Footer::parse(&bytes)).map_err(|_| damaged("the footer is damaged"))?;
        let footer = footer.map_err(|reason| damaged(&reason))?;
        let mut start = 0;
        for (end, checksum) in &footer.groups {
            if bytes.get(start..*end as usize).map(xxh3_64) != Some(*checksum) {
                return Err(damaged("the checksum of a row group differs, and of the footer none is known"));
            }
            start = *end as usize;
        }
        let (schema, name) = &footer.table;
        let by_number = footer.number.map(|number| catalog.table(number).filter(|table| !table.is_dropped()));
        let table = by_number.unwrap_or_else(|| catalog.find_table(schema, name));
        let table = table.ok_or_else(|| damaged("its table is not in the catalogue"))?;
        let day = path.parent().and_then(|folder| Day::parse(folder.file_name()?.to_str()?.strip_prefix("date=")?));
        let through = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        let (Some(day), Some(through)) = (day, through) else { return Err(damaged("its name is none of ours")) };
        let tail_checksum = xxh3_64(&bytes[start..]);
        Ok(RolledId { table: table.id, day, through, tail_at: start as u64, tail_checksum })
    }

    /// The schema and name of a rolled day's table, looked for among all files.
    pub(crate) fn names(dir: &DataDir, id: RolledId) -> Result<Option<(String, String)>> {
        let end = Path::new(&format!("date={}", id.day)).join(format!("{:010}.parquet", id.through));
        for path in dir.list_all(&dir.join("parquet"))?.iter().filter(|path| path.ends_with(&end)) {
            if let Ok(footer) = Footer::checked(&dir.map_or_empty(path)?, id) {
                return Ok(Some(footer.table));
            }
        }
        Ok(None)
    }

    fn footer(&self) -> Result<Arc<Footer>> {
        let footer = self.footers.get(self.id, &self.bytes);
        footer.map_err(|reason| Error::corrupt(&self.path, self.id.tail_at, reason))
    }

    pub(crate) fn id(&self) -> RolledId {
        self.id
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its columns as its file has them: the time, the tags, the fields.
    pub(crate) fn columns(&self) -> Result<SchemaRef> {
        Ok(self.footer()?.parquet.schema().clone())
    }

    /// The numbers of its fields, in the order of their columns.
    pub(crate) fn fields(&self) -> &[u32] {
        &self.fields
    }

    /// How many tags it has.
    pub(crate) fn tag_count(&self) -> usize {
        self.tag_count
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// The length of its file.
    pub(crate) fn file_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The largest series that it has rows of.
    pub(crate) fn last_series(&self) -> Option<u32> {
        self.last_series
    }

    /// Where a row group lies in the file.
    pub(crate) fn extent(&self, group: usize) -> Range<usize> {
        let start = if group == 0 { 0 } else { self.groups[group - 1].0 as usize };
        start..self.groups[group].0 as usize
    }

    pub(crate) fn bytes(&self, extent: Range<usize>) -> &[u8] {
        self.bytes.get(extent).unwrap_or_default()
    }

    /// Marks a row group as damaged; says whether that is new.
    pub(crate) fn set_damaged(&self, group: usize) -> bool {
        !self.damaged[group].swap(true, Ordering::Relaxed)
    }

    /// Compares the checksum of a row group, once.
    pub(crate) fn check(&self, group: usize) -> Result<()> {
        if self.checked[group].load(Ordering::Relaxed) {
            return Ok(());
        }
        let extent = self.extent(group);
        let (got, expected) = (xxh3_64(self.bytes(extent.clone())), self.groups[group].1);
        if got != expected {
            let reason = format!("checksum of the row group is {got:#018x}, expected {expected:#018x}");
            return Err(Error::corrupt(&self.path, extent.start as u64, reason));
        }
        self.checked[group].store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The rows that a filter wants, in key order.
    pub(crate) fn read(
        self: &Arc<RolledDay>,
        fields: &[u32],
        filter: Filter,
        on_damage: OnDamagedGroup,
    ) -> Source<'static> {
        let footer = match self.footer() {
            Ok(footer) => footer,
            // It was read when the store was opened, and has become damaged since.
            Err(error) => return Box::new(on_damage(self, 0, error).err().map(Err).into_iter()),
        };
        let (day, fields) = (self.clone(), fields.to_vec());
        Box::new((0..self.groups.len()).flat_map(move |group| -> Source<'static> {
            if !footer.runs(group).any(|(series, _)| filter.wants_series(series)) {
                return Box::new(std::iter::empty());
            }
            match day.read_group(group, &footer, &fields, &filter) {
                Ok(rows) => rows,
                Err(error) => Box::new(on_damage(&day, group, error).err().map(Err).into_iter()),
            }
        }))
    }

    /// The rows of a row group.
    fn read_group(
        self: &Arc<RolledDay>,
        group: usize,
        footer: &Footer,
        fields: &[u32],
        filter: &Filter,
    ) -> Result<Source<'static>> {
        self.check(group)?;
        let failed = |error: &dyn std::fmt::Display| {
            Error::corrupt(&self.path, self.extent(group).start as u64, error.to_string())
        };
        let schema = footer.parquet.metadata().file_metadata().schema_descr();
        let mut places: Vec<Option<usize>> = fields.iter().map(|field| footer.column_of(*field)).collect();
        let mut wanted: Vec<usize> = places.iter().flatten().copied().chain([TIME_PLACE]).collect();
        wanted.sort_unstable();
        wanted.dedup();
        // Of the columns that are read, the time and these.
        let rank = |place: usize| wanted.binary_search(&place).expect("it is among them");
        places.iter_mut().flatten().for_each(|place| *place = rank(*place));
        // Rows of other series are not decoded.
        let (mut ranges, mut series, mut start) = (Vec::new(), Vec::new(), 0);
        for (id, rows) in footer.runs(group) {
            if filter.wants_series(id) {
                ranges.push(start..start + rows);
                series.resize(series.len() + rows, id);
            }
            start += rows;
        }
        let selection = RowSelection::from_consecutive_ranges(ranges.into_iter(), start);
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(self.bytes.clone(), footer.parquet.clone())
            .with_row_groups(vec![group])
            .with_projection(ProjectionMask::roots(schema, wanted))
            .with_row_selection(selection)
            .with_batch_size(PAGE_ROWS_MAX)
            .build()
            .map_err(|error| failed(&error))?;
        let (filter, day, mut at) = (filter.clone(), self.clone(), 0);
        Ok(Box::new(reader.map(move |batch| {
            let batch =
                batch.map_err(|error| Error::corrupt(&day.path, day.extent(group).start as u64, error.to_string()))?;
            let times = batch.column(TIME_PLACE).as_primitive::<TimestampNanosecondType>().values().clone();
            let own: ScalarBuffer<u32> = series[at..at + batch.num_rows()].to_vec().into();
            at += batch.num_rows();
            let ranges = filter.ranges(&own, &times);
            let column = |place: &Option<usize>| {
                Some(take_ranges(batch.column((*place)?), &ranges).expect("ranges lie inside the batch"))
            };
            let columns = match ranges.is_empty() {
                true => vec![None; places.len()],
                false => places.iter().map(column).collect(),
            };
            Ok(Rows { series: pick(&own, &ranges), times: pick(&times, &ranges), columns })
        })))
    }
}
