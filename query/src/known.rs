//! Tables and columns that are always there, whether rows were written or not, so that statements over them can be planned.
//!
//! What is missing reads NULL. A time that is not the row's is stored as a whole number of ns, in a field whose name ends in `_ns`, and read as a
//! timestamp without that ending.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{Column, ScalarValue, TableReference};
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast};
use datafusion::prelude::lit;
use tsdb::{TIME_COLUMN, TableInfo};

use crate::table::StoreTable;

/// What a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tag,
    Bool,
    Float,
    Whole,
    Text,
    /// ns since the epoch.
    Time,
}

/// Known tables, and their columns besides `time`.
const TABLES: [(&str, &[(&str, Kind)]); 4] = {
    use Kind::{Bool, Float, Tag, Text, Time, Whole};
    [
        (
            "probe",
            &[
                ("target", Tag),
                ("kind", Tag),
                ("group", Tag),
                ("location", Tag),
                ("outcome", Text),
                ("maintenance", Text),
                ("up", Bool),
                ("dns_ms", Float),
                ("connect_ms", Float),
                ("tls_ms", Float),
                ("wait_ms", Float),
                ("transfer_ms", Float),
                ("total_ms", Float),
                ("status", Whole),
                ("bytes", Whole),
                ("error", Text),
                ("message", Text),
                ("cert_expires_s", Whole),
                ("address", Text),
                ("lag_ms", Float),
                ("interval_ms", Float),
            ],
        ),
        ("maintenance", EXCLUSION),
        ("exclusions", EXCLUSION),
        (
            "alerts",
            &[
                ("target", Tag),
                ("group", Tag),
                ("severity", Tag),
                ("channel", Tag),
                ("rule", Tag),
                ("alert", Text),
                ("message", Text),
                ("value", Float),
                ("acknowledged_by", Text),
                ("acknowledged", Time),
                ("closed", Time),
            ],
        ),
    ]
};

const EXCLUSION: &[(&str, Kind)] = &[
    ("id", Kind::Tag),
    ("until", Kind::Time),
    ("targets", Kind::Text),
    ("author", Kind::Text),
    ("reason", Kind::Text),
    ("created", Kind::Time),
];

impl Kind {
    fn arrow(self) -> DataType {
        match self {
            Kind::Tag => DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into()),
            Kind::Bool => DataType::Boolean,
            Kind::Float => DataType::Float64,
            Kind::Whole => DataType::Int64,
            Kind::Text => DataType::Utf8,
            Kind::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        }
    }
}

/// The names of all known tables.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TABLES.iter().map(|(name, _)| *name)
}

fn columns(table: &str) -> Option<&'static [(&'static str, Kind)]> {
    TABLES.iter().find(|(name, _)| *name == table).map(|(_, columns)| *columns)
}

/// The tags of a known table.
pub(crate) fn tags(table: &str) -> impl Iterator<Item = &'static str> {
    let columns = columns(table).unwrap_or_default();
    columns.iter().filter(|(_, kind)| *kind == Kind::Tag).map(|(name, _)| *name)
}

/// A known table without rows.
pub(crate) fn empty(table: &str) -> Option<Arc<dyn TableProvider>> {
    let field = |(name, kind): &(&str, Kind)| Field::new(*name, kind.arrow(), true);
    let time = Field::new(TIME_COLUMN, Kind::Time.arrow(), false);
    let fields: Vec<Field> = std::iter::once(time).chain(columns(table)?.iter().map(field)).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Some(Arc::new(EmptyTable::new(schema)))
}

/// Has a stored table all columns that it is known to have, as they are stored?
pub(crate) fn is_complete(table: &TableInfo) -> bool {
    let known = columns(&table.name).unwrap_or_default();
    known.iter().all(|(name, kind)| *kind != Kind::Time && table.columns.column_with_name(name).is_some())
}

/// A stored table with the columns that it is known to have.
pub(crate) fn complete(table: StoreTable) -> Result<Arc<dyn TableProvider>> {
    let known = columns(&table.info.name).unwrap_or_default();
    let has = |name: &str| table.info.columns.column_with_name(name).is_some();
    if is_complete(&table.info) {
        return Ok(Arc::new(table));
    }
    let stored = |name: &str| Expr::Column(Column::from_name(name));
    let time_of =
        |name: &str| known.iter().find(|(known, kind)| *kind == Kind::Time && name.strip_suffix("_ns") == Some(known));
    let mut exprs: Vec<Expr> = Vec::new();
    for field in table.info.columns.fields() {
        exprs.push(match time_of(field.name()) {
            Some((name, kind)) => cast(stored(field.name()), kind.arrow()).alias(*name),
            None => stored(field.name()),
        });
    }
    for (name, kind) in known {
        if !has(name) && !has(&format!("{name}_ns")) {
            exprs.push(lit(ScalarValue::try_from(&kind.arrow())?).alias(*name));
        }
    }
    // With the schema: the tables of two schemas are not to be taken for each other.
    let name = TableReference::partial(table.info.schema.clone(), table.info.name.clone());
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.project(exprs)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
