//! CSV with annotations, as InfluxDB 2 writes the answers of Flux, and as `influx write` reads it.
//!
//! ```text
//! #group,false,false,true,true,false,false,true,true,true
//! #datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,string,string
//! #default,_result,,,,,,,,
//! ,result,table,_start,_stop,_time,_value,_field,_measurement,host
//! ,,0,2026-01-01T00:00:00Z,2026-01-02T00:00:00Z,2026-01-01T08:00:00Z,1.5,usage,cpu,a
//! ```
//!
//! Where there are `_field` and `_value`, a row is one field, and all other texts are tags. Without them (`pivot`) the
//! columns of the group are tags, all others fields. `#datatype measurement,tag,double,dateTime` says it column by
//! column. An annotation begins another table.

use csv::{ReaderBuilder, StringRecord};
use tsdb::{Batch, FieldType, Row, Value};

use crate::csv_rows::{line_at, value};
use crate::report::{Reason, Report};
use crate::row_options::RowOptions;
use crate::rows::Rows;

/// Does it begin with an annotation?
pub(crate) fn is_annotated(body: &[u8]) -> bool {
    [&b"#datatype"[..], b"#group", b"#default", b"#constant"]
        .iter()
        .any(|word| body.trim_ascii_start().starts_with(word))
}

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Time,
    Measurement,
    Tag,
    Field(FieldType),
    /// The name of the field whose value stands in `_value`.
    FieldName,
    Value(FieldType),
    Ignored,
    /// Of a type that no field has.
    Unfit,
}

/// A table of the text: what its annotations say, and what its columns are once their names are known.
#[derive(Debug, Default)]
struct Table {
    types: Vec<String>,
    groups: Vec<String>,
    defaults: Vec<String>,
    names: StringRecord,
    columns: Vec<Column>,
    is_known: bool,
}

/// Takes the rows of all tables into `batch`; rows that are wrong are refused one by one.
pub(crate) fn parse(body: &[u8], options: &RowOptions, now: i64, batch: &mut Batch) -> Report {
    let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(body);
    let (mut report, mut rows, mut table) = (Report::default(), Rows::new(batch), Table::default());
    let mut record = StringRecord::new();
    loop {
        let read = reader.read_record(&mut record);
        let line = line_at(body, record.position());
        let outcome = match read {
            Ok(false) => return report,
            Ok(true) if table.takes_annotation(&record) => continue,
            Ok(true) if !table.is_known => {
                table.name(&record, options);
                continue;
            }
            Ok(true) => table.take(&record, options, now, &mut rows),
            Err(error) => Err(error.to_string().into()),
        };
        match outcome {
            Ok(values) => report.take(values),
            Err(reason) => report.refuse(line, reason, &record.iter().collect::<Vec<_>>().join(",")),
        }
    }
}

impl Table {
    /// Reads an annotation; one behind rows begins another table.
    fn takes_annotation(&mut self, record: &StringRecord) -> bool {
        let Some(first) = record.get(0).filter(|first| first.starts_with('#')) else { return false };
        if self.is_known {
            *self = Table::default();
        }
        // The first cell stands over a column without a name, or has the first column's word behind its own.
        let (word, own) = first.split_once([' ', '\t']).unwrap_or((first, ""));
        let rest = record.iter().skip(1).map(str::trim);
        let cells = std::iter::once(own.trim()).chain(rest).map(str::to_owned).collect();
        match word {
            "#datatype" => self.types = cells,
            "#group" => self.groups = cells,
            "#default" => self.defaults = cells,
            _ => {}
        }
        true
    }

    /// Says what the columns are that have these names.
    fn name(&mut self, names: &StringRecord, options: &RowOptions) {
        self.names = names.clone();
        self.is_known = true;
        // Where the first column has a word of its own, the row of names begins with its name; else it is empty.
        let has_fields = names.iter().any(|name| name == "_field") && names.iter().any(|name| name == "_value");
        let column = |(at, name): (usize, &str)| {
            let kind = self.types.get(at).map_or("", String::as_str);
            let is_group = self.groups.get(at).is_some_and(|word| word == "true");
            let field = field_type(kind);
            match name {
                _ if matches!(kind, "ignored" | "ignore") => Column::Ignored,
                "_time" => Column::Time,
                "_measurement" => Column::Measurement,
                "_field" if has_fields => Column::FieldName,
                "_value" if has_fields => field.map_or(Column::Unfit, Column::Value),
                "" | "result" | "table" | "_start" | "_stop" => Column::Ignored,
                _ if kind == "measurement" => Column::Measurement,
                _ if kind == "tag" || is_group || options.is_tag(name) => Column::Tag,
                _ if kind.starts_with("dateTime") || kind == "time" => Column::Time,
                _ if has_fields => Column::Tag,
                _ => field.map_or(Column::Unfit, Column::Field),
            }
        };
        self.columns = names.iter().enumerate().map(column).collect();
    }

    fn take(
        &self,
        record: &StringRecord,
        options: &RowOptions,
        now: i64,
        rows: &mut Rows<'_>,
    ) -> Result<usize, Reason> {
        if record.len() != self.columns.len() {
            let (found, expected) = (record.len(), self.columns.len());
            return Err(format!("{found} cells, expected {expected} as in the row of names").into());
        }
        let (mut measurement, mut time) = (options.measurement.as_deref(), None);
        let (mut field, mut field_value, mut tags, mut fields) = (None, None, Vec::new(), Vec::new());
        for (at, (column, cell)) in self.columns.iter().zip(record).enumerate() {
            let name = self.names.get(at).unwrap_or_default();
            let cell = if cell.is_empty() { self.defaults.get(at).map_or("", String::as_str) } else { cell };
            let read = |kind: FieldType| {
                value(cell, kind).ok_or_else(|| Reason::from(format!("'{name}': expected {kind}, found '{cell}'")))
            };
            match column {
                _ if cell.is_empty() => {}
                Column::Ignored => {}
                Column::Time => time = Some(options.instant(cell)?),
                Column::Measurement => measurement = Some(cell),
                Column::Tag => tags.push((name, cell)),
                Column::Field(kind) => fields.push((name, read(*kind)?)),
                Column::FieldName => field = Some(cell),
                Column::Value(kind) => field_value = Some(read(*kind)?),
                Column::Unfit => {
                    let kind = self.types.get(at).map_or("", String::as_str);
                    return Err(format!("'{name}' is of the type '{kind}', which no field has").into());
                }
            }
        }
        if self.columns.contains(&Column::FieldName) {
            let named: Option<(&str, Value<'_>)> = field.zip(field_value);
            fields.push(named.ok_or("expected a value in _value, and its name in _field")?);
        }
        let measurement = measurement.ok_or("expected a measurement in _measurement")?;
        let time = options.time(time, now)?;
        rows.push(&Row { measurement, tags: &tags, time, fields: &fields })?;
        Ok(fields.len())
    }
}

/// The type of a field, as InfluxDB calls it.
fn field_type(word: &str) -> Option<FieldType> {
    Some(match word.split(':').next().unwrap_or_default() {
        "double" | "float" => FieldType::F64,
        "long" | "int" | "integer" => FieldType::I64,
        "unsignedLong" | "unsigned" => FieldType::U64,
        "boolean" | "bool" => FieldType::Bool,
        "string" | "field" | "" => FieldType::Str,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tsdb::Limits;

    use super::*;

    fn read(text: &str) -> Report {
        let mut batch = Batch::detached("public", Limits::default());
        parse(text.as_bytes(), &RowOptions::default(), 0, &mut batch)
    }

    #[test]
    fn what_cannot_be_a_row_is_refused_by_line() {
        let head = "#datatype,string,long,dateTime:RFC3339,double,string,string\n#group,false,false,false,false,true,true\n\
                    #default,_result,,,,,\n,result,table,_time,_value,_field,_measurement\n";
        let good = ",,0,2026-01-01T00:00:00Z,1.5,usage,cpu\n";
        let report = read(&format!(
            "{head}{good},,0,2026-01-01T00:00:00Z,x,usage,cpu\n,,0,,1,usage,cpu\n,,0,2026-01-01T00:00:00Z,,usage,cpu\n,,0\n\r\n{head}{good}"
        ));
        assert_eq!((report.taken, report.refused), (2, 4));
        let said: Vec<_> = report.reasons.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
        assert!(said[0].0 == 6 && said[0].1.ends_with("found 'x'"), "{said:?}");
        assert!(said[1].0 == 7 && said[1].1.contains("no time"), "{said:?}");
        assert!(said[2].1.contains("expected a value in _value"), "{said:?}");
        assert_eq!(said[3], (9, "3 cells, expected 7 as in the row of names"));
    }
}
