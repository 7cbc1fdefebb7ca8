//! The roller: writes a closed day of a table to Parquet, and writes it anew when late rows or deletions have come.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arrow_array::{Array, ArrayRef, RecordBatch};
use arrow_schema::{DataType, Schema};
use arrow_select::concat::concat_batches;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder, WriterVersion};
use parquet::schema::types::ColumnPath;
use xxhash_rust::xxh3::Xxh3Default;

use crate::base::day::Day;
use crate::base::error::{Error, IoContext, Result};
use crate::base::ids::RolledId;
use crate::catalog::filter::Filter;
use crate::catalog::registry::Table;
use crate::files::data_dir::NewFile;
use crate::read::reading::Reading;
use crate::read::scan::Projection;
use crate::read::unit::Layers;
use crate::rolled::file::{METADATA_KEY, Metadata, RolledDay, folder, path};
use crate::state::shared::Shared;
use crate::upkeep::outliving;

/// Rows of a row group: what DuckDB likes, and small enough to be checked at once.
const GROUP_ROWS: usize = 122_880;
/// Rows of a data page: what is skipped between the series that are wanted.
const PAGE_ROWS: usize = 8192;
/// Rows with which encodings are tried.
const SAMPLE_ROWS: usize = 64 * 1024;
const ZSTD_LEVEL: i32 = 3;

/// Rolls the days that are due: those that ended long enough ago and have rows in segments, and those that deletions
/// have met since they were rolled.
pub(crate) fn roll_due(shared: &Arc<Shared>, now: i64) -> Result<()> {
    let Some(age) = shared.options.roll_after else { return Ok(()) };
    if !shared.health.general().is_empty() {
        // What was lost as a whole may be found again: nothing is written over it until then.
        return Ok(());
    }
    let closed = now.saturating_sub(i64::try_from(age.as_nanos()).unwrap_or(i64::MAX));
    for (table, day) in due(shared, closed) {
        if shared.closing.load(Ordering::Relaxed) {
            return Err(Error::Closed);
        }
        match roll(shared, table, day) {
            // Noted where it was found; the day stays where it is.
            Err(Error::Corrupt { .. }) => {}
            outcome => outcome?,
        }
    }
    Ok(())
}

/// The tables' days that a roll would change.
fn due(shared: &Shared, closed: i64) -> BTreeSet<(u32, Day)> {
    let view = shared.view.load_full();
    let mut due = BTreeSet::new();
    let newest = view.segments.last().map_or(0, |segment| segment.id().number);
    for (key, rolled) in &view.rolled {
        // Fields that were dropped go from what others can read, too. A file has the newest segment in its name.
        let table = shared.catalog.table(key.0).filter(|table| !table.is_dropped());
        let columns = table.map(|table| table.columns());
        let has_dropped = |field: &u32| columns.as_ref().is_some_and(|columns| columns.is_dropped(*field));
        if rolled.id().through < newest && rolled.fields().iter().any(has_dropped) {
            due.insert(*key);
        }
    }
    for segment in &view.segments {
        let days = segment.days().filter(|(table, day)| day.last() < closed && view.counts(segment, *table, *day));
        due.extend(days.filter(|(table, day)| day.last() >= view.floor(*table)));
        for (number, deletion) in &segment.index().deletions {
            let rolled = view.rolled.range((deletion.table, Day(i32::MIN))..=(deletion.table, Day(i32::MAX)));
            let met = rolled.filter(|((_, day), rolled)| {
                rolled.id().through < *number && deletion.meets_times(day.first(), day.last())
            });
            due.extend(met.map(|(key, _)| *key));
        }
    }
    due
}

/// Writes all rows of a table's day that are in segments or rolled before to a new file, which then counts instead.
fn roll(shared: &Arc<Shared>, table: u32, day: Day) -> Result<()> {
    let view = shared.view.load_full();
    let Some(through) = view.segments.last().map(|segment| segment.id().number) else { return Ok(()) };
    let table = shared.catalog.table(table).expect("what is stored is of a known table");
    if table.is_dropped() {
        return Ok(());
    }
    let layers = Layers { view: &view, segments: &view.segments, rolled: true, heads: false };
    let units = layers.units(table.id, &Filter::ALL.on(day));
    // What the file names must be in the catalogue after a loss of power.
    let projection = Projection::durable(table)?;
    let reading = Reading::in_background(shared);
    let mut id = RolledId { table: table.id, day, through, tail_at: 0, tail_checksum: 0 };
    let mut writer: Option<DayWriter> = None;
    let mut sample: Vec<(RecordBatch, Vec<u32>)> = Vec::new();
    for unit in units {
        for rows in unit.read(&projection.fields, true, &reading) {
            let rows = rows?;
            if shared.closing.load(Ordering::Relaxed) {
                return Err(Error::Closed);
            }
            let batch = (projection.batch(&rows)?, rows.series.to_vec());
            match &mut writer {
                Some(writer) => writer.write(&batch.0, &batch.1)?,
                None => sample.push(batch),
            }
            if writer.is_none() && sample.iter().map(|(batch, _)| batch.num_rows()).sum::<usize>() >= SAMPLE_ROWS {
                writer = Some(DayWriter::start(shared, table, &projection, id, &std::mem::take(&mut sample))?);
            }
        }
    }
    let writer = match writer {
        Some(writer) => writer,
        None => DayWriter::start(shared, table, &projection, id, &sample)?,
    };
    (id.tail_at, id.tail_checksum) = writer.finish(table)?;
    let new = Arc::new(RolledDay::open(&shared.dir, table, id, &shared.footers)?);
    let old = view.rolled.get(&(table.id, day)).cloned();
    shared.last_rows.forget(table.id);
    let outliving = outliving::outliving(&view);
    // What was dropped meanwhile does not count again: its file's name may become that of another table's day.
    let is_dropped = Cell::new(false);
    shared.change(
        |manifest| {
            is_dropped.set(table.is_dropped());
            if is_dropped.get() {
                return;
            }
            manifest.rolled.retain(|other| (other.table, other.day) != (id.table, id.day));
            manifest.rolled.push(id);
            manifest.rolled.sort_unstable();
            outliving::prolong(manifest.rollup_days.iter_mut(), &outliving, through);
        },
        |view| {
            if is_dropped.get() {
                return;
            }
            outliving::prolong(view.rollup_days.values_mut().flatten().map(|day| &mut day.id), &outliving, through);
            view.rolled.insert((id.table, id.day), new.clone());
        },
    )?;
    if is_dropped.get() {
        shared.dir.remove_leftover(new.path());
        return Ok(());
    }
    shared.counters.rolled();
    if let Some(old) = old.filter(|old| old.id().through != through) {
        shared.dir.remove_leftover(old.path());
    }
    Ok(())
}

/// Bytes on their way into the file, with the checksum of those since it was last asked for.
struct Hashed {
    file: NewFile,
    hasher: Xxh3Default,
    written: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hasher.update(&bytes[..count]);
        self.written += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(()) // the file is flushed when it is published
    }
}

impl Hashed {
    fn checksum(&mut self) -> u64 {
        std::mem::take(&mut self.hasher).digest()
    }
}

/// A Parquet file under way.
struct DayWriter {
    writer: ArrowWriter<Hashed>,
    path: PathBuf,
    group_rows: usize,
    groups: Vec<(u64, u64)>,
    runs: Vec<(u32, u32)>,
    /// The numbers of the fields.
    fields: Vec<u32>,
}

impl DayWriter {
    /// Starts the file with these first batches and their series, by which the encodings are chosen.
    fn start(
        shared: &Shared,
        table: &Table,
        projection: &Projection,
        id: RolledId,
        first: &[(RecordBatch, Vec<u32>)],
    ) -> Result<DayWriter> {
        let path = path(&shared.dir, table, id);
        shared.dir.create_dir(path.parent().expect("a file lies in a folder"))?;
        let sample = concat_batches(&projection.schema, first.iter().map(|(batch, _)| batch));
        let properties = properties(&sample.expect("batches of one scan have one schema"));
        let file = Hashed { file: NewFile::create(&shared.dir, &path)?, hasher: Xxh3Default::new(), written: 0 };
        let writer = ArrowWriter::try_new(file, projection.schema.clone(), Some(properties));
        let writer = writer.map_err(io).on("write", &path)?;
        let fields = projection.fields.clone();
        let mut writer = DayWriter { writer, path, group_rows: 0, groups: Vec::new(), runs: Vec::new(), fields };
        first.iter().try_for_each(|(batch, series)| writer.write(batch, series))?;
        Ok(writer)
    }

    fn write(&mut self, batch: &RecordBatch, series: &[u32]) -> Result<()> {
        let count = batch.num_rows().min(GROUP_ROWS - self.group_rows);
        self.writer.write(&batch.slice(0, count)).map_err(io).on("write", &self.path)?;
        for run in series[..count].chunk_by(|a, b| a == b) {
            match self.runs.last_mut() {
                Some((last, rows)) if *last == run[0] => *rows += run.len() as u32,
                _ => self.runs.push((run[0], run.len() as u32)),
            }
        }
        self.group_rows += count;
        if self.group_rows == GROUP_ROWS {
            self.end_group()?;
        }
        match count < batch.num_rows() {
            true => self.write(&batch.slice(count, batch.num_rows() - count), &series[count..]),
            false => Ok(()),
        }
    }

    fn end_group(&mut self) -> Result<()> {
        if self.group_rows > 0 {
            self.group_rows = 0;
            self.writer.flush().map_err(io).on("write", &self.path)?;
            self.writer.sync().on("write", &self.path)?; // out of the writer's own buffer
            let file = self.writer.inner_mut();
            self.groups.push((file.written, file.checksum()));
        }
        Ok(())
    }

    /// Writes the rest and publishes the file; returns where the row groups end and the checksum of what is behind.
    fn finish(mut self, table: &Table) -> Result<(u64, u64)> {
        self.end_group()?;
        let tail_at = self.groups.last().map_or(0, |(end, _)| *end);
        let own = Metadata {
            schema: table.schema.clone(),
            table: table.name.clone(),
            number: Some(table.id),
            fields: (!self.fields.iter().copied().eq(0..self.fields.len() as u32)).then_some(self.fields),
            groups: std::mem::take(&mut self.groups),
            series: Metadata::encode_series(&self.runs),
        };
        let own = serde_json::to_string(&own).expect("texts and numbers always become JSON");
        self.writer.append_key_value_metadata(KeyValue::new(METADATA_KEY.to_owned(), own));
        let mut file = self.writer.into_inner().map_err(io).on("write", &self.path)?;
        let checksum = file.checksum();
        file.file.publish()?;
        Ok((tail_at, checksum))
    }
}

fn io(error: ParquetError) -> std::io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => *source,
            Err(other) => std::io::Error::other(other),
        },
        other => std::io::Error::other(other),
    }
}

/// How each column is encoded: as it comes out smallest on a sample.
fn properties(sample: &RecordBatch) -> WriterProperties {
    let mut builder = base_properties();
    for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
        let path = ColumnPath::from(field.name().as_str());
        let choices = choices(field.data_type());
        let size = |choice: &Option<Encoding>| encoded_size(column, *choice);
        let best = match choices.len() {
            0 | 1 => choices.first().copied().flatten(),
            _ => choices.into_iter().min_by_key(size).flatten(),
        };
        builder = choose(builder, path, best);
    }
    builder.build()
}

fn base_properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(ZSTD_LEVEL).expect("a level that zstd has")))
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_write_batch_size(PAGE_ROWS)
        .set_max_row_group_row_count(None)
        .set_created_by(concat!("fournines ", env!("CARGO_PKG_VERSION")).to_owned())
}

/// The encodings that are worth a try for a type; `None` is the dictionary.
fn choices(kind: &DataType) -> Vec<Option<Encoding>> {
    match kind {
        DataType::Timestamp(..) => vec![Some(Encoding::DELTA_BINARY_PACKED)],
        DataType::Int64 | DataType::UInt64 => vec![Some(Encoding::DELTA_BINARY_PACKED), None],
        DataType::Float64 => vec![Some(Encoding::BYTE_STREAM_SPLIT), None, Some(Encoding::PLAIN)],
        DataType::Boolean => vec![Some(Encoding::RLE)],
        _ => vec![None],
    }
}

fn choose(builder: WriterPropertiesBuilder, path: ColumnPath, choice: Option<Encoding>) -> WriterPropertiesBuilder {
    match choice {
        None => builder.set_column_dictionary_enabled(path, true),
        Some(encoding) => {
            builder.set_column_dictionary_enabled(path.clone(), false).set_column_encoding(path, encoding)
        }
    }
}

/// Bytes that a column takes with an encoding.
fn encoded_size(column: &ArrayRef, choice: Option<Encoding>) -> usize {
    if column.is_empty() {
        return 0;
    }
    let field = arrow_schema::Field::new("c", column.data_type().clone(), true);
    let schema = Arc::new(Schema::new(vec![field]));
    let batch = RecordBatch::try_new(schema.clone(), vec![column.clone()]).expect("one column of its own type");
    let properties = choose(base_properties(), ColumnPath::from("c"), choice).build();
    let mut bytes = Vec::new();
    let written = ArrowWriter::try_new(&mut bytes, schema, Some(properties)).and_then(|mut writer| {
        writer.write(&batch)?;
        writer.close()
    });
    written.map_or(usize::MAX, |_| bytes.len())
}

/// Removes the folders of days of some tables that have no file any more. Of others a folder may have been made this
/// moment by the keeper, for a file that it is about to begin, while a client drops a table.
pub(crate) fn remove_empty_folders<'a>(shared: &Shared, tables: impl Iterator<Item = &'a u32>) {
    for table in tables.filter_map(|id| shared.catalog.table(*id)) {
        let folder = folder(&shared.dir, table);
        for day in shared.dir.list(&folder).unwrap_or_default() {
            shared.dir.remove_empty(&day);
        }
    }
}
