//! How rows leave: JSON, JSON lines, CSV, Parquet, an Arrow stream, or a table for people.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray, TimestampNanosecondArray};
use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::{DataType, FieldRef, SchemaRef, TimeUnit};
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{JsonArray, JsonFormat, LineDelimited, NullableEncoder, WriterBuilder as JsonBuilder};
use arrow::json::{Encoder as JsonEncoder, EncoderFactory, EncoderOptions};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches_with_schema;
use bytes::Bytes;
use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

/// A format of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// An array of objects, one a row; absent values are null.
    #[default]
    Json,
    /// An object a line.
    JsonLines,
    /// A header line, then a line a row.
    Csv,
    /// A file of Parquet, compressed with zstd.
    Parquet,
    /// An IPC stream of Arrow.
    Arrow,
    /// A table for people.
    Pretty,
}

/// All of them.
const ALL: [Format; 6] = [Format::Json, Format::JsonLines, Format::Csv, Format::Parquet, Format::Arrow, Format::Pretty];
/// About what a row of JSON takes.
const ROW_BYTES: usize = 64;
/// A row group of Parquet is written when it has so many rows or takes so many bytes.
const ROW_GROUP_ROWS_MAX: usize = 1 << 20;
const ROW_GROUP_BYTES_MAX: usize = 64 << 20;

impl Format {
    /// The format with this name.
    pub fn parse(name: &str) -> Option<Format> {
        ALL.into_iter().find(|format| format.name() == name)
    }

    /// Their names, for people.
    pub fn names() -> String {
        ALL.map(Format::name).join(", ")
    }

    /// Its name, as requests have it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::JsonLines => "jsonl",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Arrow => "arrow",
            Format::Pretty => "pretty",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::JsonLines => "application/jsonl",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Parquet => "application/vnd.apache.parquet",
            Format::Arrow => "application/vnd.apache.arrow.stream",
            Format::Pretty => "text/plain; charset=utf-8",
        }
    }
}

/// Writes the batches of an answer one after the other.
pub(crate) struct Encoder {
    schema: SchemaRef,
    started: bool,
    writer: Writer,
}

enum Writer {
    Json,
    JsonLines,
    Csv,
    Parquet(Box<ArrowWriter<Vec<u8>>>),
    Arrow(Box<StreamWriter<Vec<u8>>>),
    /// A table's widths are known only when all rows are there; and what they may take, in bytes.
    Pretty(Vec<RecordBatch>, Room),
}

/// What a table for people takes while it is made, against what it may.
struct Room {
    taken: usize,
    bytes_max: usize,
}

impl Room {
    /// Estimated, and rather too much: what a cell takes beside its text, and how often the data is there.
    const CELL_BYTES: usize = 256;
    const COPIES: usize = 4;

    fn take(&mut self, batch: &RecordBatch) -> Result<(), ArrowError> {
        let cells = batch.num_rows() * batch.num_columns();
        let bytes: usize =
            batch.columns().iter().map(|column| column.to_data().get_slice_memory_size().unwrap_or(0)).sum();
        self.taken = self.taken.saturating_add(cells * Room::CELL_BYTES + bytes * Room::COPIES);
        match self.taken <= self.bytes_max {
            true => Ok(()),
            false => Err(ArrowError::MemoryError(
                "a table for people is made as a whole; expected a LIMIT, or csv or jsonl, which go out row by row"
                    .into(),
            )),
        }
    }
}

/// A name that two columns have; JSON has each name once.
fn twice(schema: &SchemaRef) -> Option<&str> {
    let names: Vec<&str> = schema.fields().iter().map(|field| field.name().as_str()).collect();
    names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)).map(|(_, name)| *name)
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Encoder {
    /// A table for people may take so many bytes while it is made.
    pub(crate) fn new(format: Format, schema: SchemaRef, bytes_max: usize) -> Result<Encoder, ArrowError> {
        if let (Format::Json | Format::JsonLines, Some(name)) = (format, twice(&schema)) {
            return Err(ArrowError::JsonError(format!(
                "two columns are called '{name}', and an object has each name once: give one of them another name with AS"
            )));
        }
        let writer = match format {
            Format::Json => Writer::Json,
            Format::JsonLines => Writer::JsonLines,
            Format::Csv => Writer::Csv,
            Format::Pretty => Writer::Pretty(Vec::new(), Room { taken: 0, bytes_max }),
            Format::Arrow => Writer::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &schema)?)),
            Format::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(ROW_GROUP_ROWS_MAX))
                    .build();
                let writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
                Writer::Parquet(Box::new(writer))
            }
        };
        Ok(Encoder { schema, started: false, writer })
    }

    /// The bytes of a batch, behind those of the batches before.
    pub(crate) fn batch(&mut self, batch: RecordBatch) -> Result<Bytes, ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(Bytes::new());
        }
        let first = !std::mem::replace(&mut self.started, true);
        Ok(match &mut self.writer {
            Writer::Json => {
                // One array goes on over all batches: its start is a comma in all but the first, its end is behind the
                // last.
                let mut array = json::<JsonArray>(&batch)?;
                array[0] = if first { b'[' } else { b',' };
                array.pop();
                array.into()
            }
            Writer::JsonLines => json::<LineDelimited>(&batch)?.into(),
            Writer::Csv => csv(&batch, first)?,
            Writer::Parquet(writer) => {
                writer.write(&batch)?;
                if writer.in_progress_size() > ROW_GROUP_BYTES_MAX {
                    writer.flush()?;
                }
                std::mem::take(writer.inner_mut()).into()
            }
            Writer::Arrow(writer) => {
                writer.write(&batch)?;
                std::mem::take(writer.get_mut()).into()
            }
            Writer::Pretty(kept, room) => {
                room.take(&batch)?;
                kept.push(batch);
                Bytes::new()
            }
        })
    }

    /// The bytes behind the last batch.
    pub(crate) fn finish(self) -> Result<Bytes, ArrowError> {
        Ok(match self.writer {
            Writer::Json if self.started => Bytes::from_static(b"]\n"),
            Writer::Json => Bytes::from_static(b"[]\n"),
            Writer::JsonLines => Bytes::new(),
            Writer::Csv if self.started => Bytes::new(),
            Writer::Csv => csv(&RecordBatch::new_empty(self.schema), true)?,
            Writer::Parquet(mut writer) => {
                writer.finish()?;
                std::mem::take(writer.inner_mut()).into()
            }
            Writer::Arrow(writer) => writer.into_inner()?.into(),
            Writer::Pretty(kept, _) => format!("{}\n", pretty_format_batches_with_schema(self.schema, &kept)?).into(),
        })
    }
}

fn json<F: JsonFormat>(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let builder = JsonBuilder::new().with_explicit_nulls(true).with_encoder_factory(Arc::new(Instants));
    let mut writer = builder.build::<_, F>(Vec::with_capacity(batch.num_rows() * ROW_BYTES));
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

/// Writes instants in UTC, which every answer has, several times as fast as `arrow` does, and in the same way.
#[derive(Debug)]
struct Instants;

/// Of a column.
struct InstantEncoder<'a>(&'a TimestampNanosecondArray);

impl EncoderFactory for Instants {
    fn make_default_encoder<'a>(
        &self,
        _: &'a FieldRef,
        array: &'a dyn Array,
        _: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        Ok(match array.data_type() {
            DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)) if matches!(&**zone, "UTC" | "+00:00") => {
                let encoder = InstantEncoder(array.as_primitive());
                Some(NullableEncoder::new(Box::new(encoder), array.nulls().cloned()))
            }
            _ => None,
        })
    }
}

impl JsonEncoder for InstantEncoder<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        const fn digits(count: u8) -> DateTimePrinter {
            DateTimePrinter::new().precision(Some(count))
        }
        /// Without a fraction, to the millisecond, microsecond or nanosecond.
        const PRINTERS: [DateTimePrinter; 4] = [digits(0), digits(3), digits(6), digits(9)];
        let ns = self.0.value(row);
        let printer = match ns {
            _ if ns % 1_000_000_000 == 0 => &PRINTERS[0],
            _ if ns % 1_000_000 == 0 => &PRINTERS[1],
            _ if ns % 1_000 == 0 => &PRINTERS[2],
            _ => &PRINTERS[3],
        };
        let instant =
            Timestamp::from_nanosecond(ns.into()).expect("what 64 bits hold is within the years that there are");
        out.push(b'"');
        printer.print_timestamp(&instant, &mut *out).expect("memory takes everything");
        out.push(b'"');
    }
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Bytes, ArrowError> {
    let mut writer = CsvBuilder::new().with_header(header).build(Vec::new());
    writer.write(batch)?;
    Ok(writer.into_inner().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};

    proptest::proptest! {
        #[test]
        fn instants_are_written_as_arrow_writes_them(
            instants: Vec<Option<i64>>, zeros in 0u32..12, zone in proptest::sample::select(vec!["UTC", "+00:00", "+01:00"]),
        ) {
            let round = |ns: i64| ns - ns % 10i64.pow(zeros);
            let mut instants: Vec<_> = instants.into_iter().map(|instant| instant.map(round)).collect();
            instants.extend([Some(0), Some(-1), Some(i64::MAX), Some(i64::MIN), None]);
            let column = TimestampNanosecondArray::from(instants).with_timezone(zone);
            let schema = Schema::new(vec![Field::new("t", column.data_type().clone(), true)]);
            let batch = RecordBatch::try_new(Arc::new(schema), vec![Arc::new(column)]).unwrap();
            let mut plain = JsonBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
            plain.write(&batch).unwrap();
            plain.finish().unwrap();
            proptest::prop_assert_eq!(json::<LineDelimited>(&batch).unwrap(), plain.into_inner());
        }
    }
}
