//! How rows leave: JSON, JSON lines, CSV, or a table for people.

use arrow::csv::WriterBuilder as CsvBuilder;
use arrow::datatypes::SchemaRef;
use arrow::error::ArrowError;
use arrow::json::writer::{LineDelimited, WriterBuilder as JsonBuilder};
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches_with_schema;
use bytes::Bytes;

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
    /// A table for people.
    Pretty,
}

impl Format {
    /// The format with this name.
    pub fn parse(name: &str) -> Option<Format> {
        [Format::Json, Format::JsonLines, Format::Csv, Format::Pretty].into_iter().find(|format| format.name() == name)
    }

    /// Its name, as requests have it.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::JsonLines => "jsonl",
            Format::Csv => "csv",
            Format::Pretty => "pretty",
        }
    }

    /// Its media type.
    pub fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::JsonLines => "application/jsonl",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Pretty => "text/plain; charset=utf-8",
        }
    }
}

/// Writes the batches of an answer one after the other.
#[derive(Debug)]
pub(crate) struct Encoder {
    format: Format,
    schema: SchemaRef,
    started: bool,
    /// A table's widths are known only when all rows are there.
    kept: Vec<RecordBatch>,
}

impl Encoder {
    pub(crate) fn new(format: Format, schema: SchemaRef) -> Encoder {
        Encoder { format, schema, started: false, kept: Vec::new() }
    }

    /// The bytes of a batch, behind those of the batches before.
    pub(crate) fn batch(&mut self, batch: RecordBatch) -> Result<Bytes, ArrowError> {
        if batch.num_rows() == 0 {
            return Ok(Bytes::new());
        }
        let first = !std::mem::replace(&mut self.started, true);
        Ok(match self.format {
            Format::Json => {
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
            Format::JsonLines => lines(&batch)?.into(),
            Format::Csv => csv(&batch, first)?,
            Format::Pretty => {
                self.kept.push(batch);
                Bytes::new()
            }
        })
    }

    /// The bytes behind the last batch.
    pub(crate) fn finish(self) -> Result<Bytes, ArrowError> {
        Ok(match self.format {
            Format::Json if self.started => Bytes::from_static(b"]\n"),
            Format::Json => Bytes::from_static(b"[]\n"),
            Format::JsonLines => Bytes::new(),
            Format::Csv if self.started => Bytes::new(),
            Format::Csv => csv(&RecordBatch::new_empty(self.schema), true)?,
            Format::Pretty => format!("{}\n", pretty_format_batches_with_schema(self.schema, &self.kept)?).into(),
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
