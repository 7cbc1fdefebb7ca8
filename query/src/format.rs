//! How rows leave: JSON, JSON lines, CSV, Parquet, an Arrow stream, or a table for people.

use std::fmt;

use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::ipc::writer::StreamWriter;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches_with_schema;
use bytes::Bytes;
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
    /// A table's widths are known only when all rows are there.
    Pretty(Vec<RecordBatch>),
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoder").field("schema", &self.schema).finish_non_exhaustive()
    }
}

impl Encoder {
    pub(crate) fn new(format: Format, schema: SchemaRef) -> Result<Encoder, ArrowError> {
        let writer = match format {
            Format::Json => Writer::Json,
            Format::JsonLines => Writer::JsonLines,
            Format::Csv => Writer::Csv,
            Format::Pretty => Writer::Pretty(Vec::new()),
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
                let lines = lines(&batch)?;
                // A newline only ever ends an object: inside of strings it is escaped.
                let objects = lines.strip_suffix(b"\n").unwrap_or(&lines);
                let mut out = Vec::with_capacity(lines.len() + batch.num_rows() + 1);
                out.push(if first { b'[' } else { b',' });
                for (index, object) in objects.split(|byte| *byte == b'\n').enumerate() {
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(object);
                }
                out.into()
            }
            Writer::JsonLines => lines(&batch)?.into(),
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
            Writer::Pretty(kept) => {
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
            Writer::Pretty(kept) => format!("{}\n", pretty_format_batches_with_schema(self.schema, &kept)?).into(),
        })
    }
}

fn lines(batch: &RecordBatch) -> Result<Vec<u8>, ArrowError> {
    let mut writer = JsonBuilder::new().with_explicit_nulls(true).build::<_, LineDelimited>(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner())
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Bytes, ArrowError> {
    let mut writer = CsvBuilder::new().with_header(header).build(Vec::new());
    writer.write(batch)?;
    Ok(writer.into_inner().into())
}
