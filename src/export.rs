//! `fournines export`: the rows of a measurement as Parquet, CSV or line protocol.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use domain::instant;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use query::line_protocol::Lines;
use tsdb::{DEFAULT_SCHEMA, ScanRequest, Store};

use crate::data_dir::refuse_missing;
use crate::progress;

/// Write the rows of a measurement to a file: Parquet, CSV or line protocol
#[derive(Debug, clap::Args)]
#[command(after_help = "It opens the data directory; while a server uses it, export from a snapshot.

Examples:
  fournines export --data-dir fournines-data probe --output probe.parquet
  fournines export --data-dir fournines-data/snapshots/2026-11-22T01-15-00Z probe --format csv > probe.csv
  fournines export --data-dir fournines-data probe --format csv --types --output probe.csv
  fournines export --data-dir fournines-data cpu --format lp --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z")]
pub struct Args {
    /// The measurement
    table: String,
    /// The data directory or snapshot
    #[arg(long, value_name = "DIR", env = "FOURNINES_DATA_DIR")]
    data_dir: PathBuf,
    /// The schema that the measurement is in
    #[arg(long, value_name = "SCHEMA", default_value = DEFAULT_SCHEMA)]
    db: String,
    /// parquet, csv, or lp for line protocol
    #[arg(long, default_value = "parquet", value_parser = ["parquet", "csv", "lp"])]
    format: String,
    /// CSV with a row of types behind the names, so that `fournines import` gives every field the type that it had
    #[arg(long)]
    types: bool,
    /// The first time wanted, like 2026-11-01T00:00:00Z [default: the first there is]
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    from: Option<i64>,
    /// Up to this time, which is not wanted itself [default: the last there is]
    #[arg(long, value_name = "TIME", value_parser = instant::parse)]
    to: Option<i64>,
    /// The file to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: Args) -> Result<ExitCode> {
    refuse_missing(&args.data_dir)?;
    let store = Arc::new(Store::open_read_only(&args.data_dir, tsdb::Options::default())?);
    let request = ScanRequest {
        from: args.from.unwrap_or(i64::MIN),
        to: args.to.map_or(i64::MAX, |to| to.saturating_sub(1)),
        // No text has them.
        stale_marks: args.format == "parquet",
        ..ScanRequest::default()
    };
    let scan = store.scan(&args.db, &args.table, &request)?;
    let out: Box<dyn Write + Send> = match &args.output {
        Some(path) => Box::new(File::create(path).with_context(|| format!("create {}", path.display()))?),
        None => Box::new(std::io::stdout()),
    };
    let mut sink = Sink::new(&args, BufWriter::new(out), &scan.schema())?;
    let bar = progress::rows("export");
    bar.set_length(scan.rows_max() as u64);
    let mut rows = 0;
    for batch in scan.read_all() {
        let batch = batch?;
        sink.write(&batch).context("write")?;
        rows += batch.num_rows();
        bar.set_position(rows as u64);
    }
    let left_out = sink.finish().context("write")?;
    bar.finish_and_clear();
    scan.warnings().iter().for_each(|warning| errln!("warning: {warning}"));
    if left_out > 0 {
        errln!("warning: {left_out} numbers are NaN or infinite, which line protocol cannot say; they are left out");
    }
    errln!("{rows} rows of {}", args.table);
    Ok(ExitCode::from(u8::from(!scan.warnings().is_empty())))
}

/// The row of names, which is there without rows, too, and that of types if it is wanted.
fn csv_head(schema: &SchemaRef, has_types: bool) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut writer = arrow::csv::WriterBuilder::new().with_header(true).build(&mut head);
    writer.write(&RecordBatch::new_empty(schema.clone()))?;
    drop(writer);
    if has_types {
        let words = schema.fields().iter().map(|field| type_word(field.data_type()));
        head.extend_from_slice(format!("{}\n", words.collect::<Vec<_>>().join(",")).as_bytes());
    }
    Ok(head)
}

/// What `fournines import` calls a column of this type.
fn type_word(kind: &DataType) -> &'static str {
    match kind {
        DataType::Timestamp(..) => "time",
        DataType::Dictionary(..) => "tag",
        DataType::Float64 => "float",
        DataType::Int64 => "integer",
        DataType::UInt64 => "unsigned",
        DataType::Boolean => "boolean",
        _ => "string",
    }
}

/// Where batches go.
enum Sink<W: Write + Send> {
    Parquet(Box<ArrowWriter<W>>),
    Csv(Box<arrow::csv::Writer<W>>),
    Lines(Lines, W),
}

impl<W: Write + Send> Sink<W> {
    fn new(args: &Args, out: W, schema: &SchemaRef) -> Result<Sink<W>> {
        Ok(match args.format.as_str() {
            "parquet" => {
                let zstd = Compression::ZSTD(ZstdLevel::default());
                let properties = WriterProperties::builder().set_compression(zstd).build();
                // So that `fournines import` knows it.
                let named = HashMap::from([("measurement".to_owned(), args.table.clone())]);
                let schema = Arc::new(schema.as_ref().clone().with_metadata(named));
                Sink::Parquet(Box::new(ArrowWriter::try_new(out, schema, Some(properties))?))
            }
            "csv" => {
                let mut out = out;
                out.write_all(&csv_head(schema, args.types)?)?;
                Sink::Csv(Box::new(arrow::csv::WriterBuilder::new().with_header(false).build(out)))
            }
            _ => Sink::Lines(Lines::new(&args.table), out),
        })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Sink::Parquet(writer) => writer.write(batch)?,
            Sink::Csv(writer) => writer.write(batch)?,
            Sink::Lines(lines, out) => {
                let mut text = String::new();
                lines.write(batch, &mut text);
                out.write_all(text.as_bytes())?;
            }
        }
        Ok(())
    }

    /// Writes what is left; says how many numbers could not be written.
    fn finish(self) -> Result<u64> {
        match self {
            Sink::Parquet(writer) => writer.into_inner()?.flush()?,
            Sink::Csv(writer) => (*writer).into_inner().flush()?,
            Sink::Lines(lines, mut out) => {
                out.flush()?;
                return Ok(lines.left_out());
            }
        }
        Ok(0)
    }
}
