//! Tables and columns that are always there, whether rows were written or not, so that statements over them can be
//! planned.
//!
//! What is missing reads NULL. A time that is not the row's is stored as a whole number of ns, in a field whose name
//! ends in `_ns`, and read as a timestamp without that ending.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::catalog::TableProvider;
use datafusion::catalog::view::ViewTable;
use datafusion::common::{ScalarValue, TableReference};
use datafusion::datasource::{empty::EmptyTable, provider_as_source};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, LogicalPlanBuilder, cast};
use datafusion::prelude::lit;
use domain::tables::{KNOWN, known};
use domain::{Column, Unit};
use tsdb::{FieldType, TIME_COLUMN, TableInfo};

use crate::tables::store_table::StoreTable;

/// The type that a tag has in SQL.
fn tag_type() -> DataType {
    DataType::Dictionary(DataType::Int32.into(), DataType::Utf8.into())
}

/// The type that a field has in SQL.
fn field_type(field: &Column) -> DataType {
    match (field.unit, field.kind) {
        (Unit::Instant, _) => time_type(),
        (_, FieldType::Bool) => DataType::Boolean,
        (_, FieldType::F64) => DataType::Float64,
        (_, FieldType::I64) => DataType::Int64,
        (_, FieldType::U64) => DataType::UInt64,
        (_, FieldType::Str) => DataType::Utf8,
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

/// The names of all known tables.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    KNOWN.into_iter().map(|table| table.name)
}

/// The columns of a known table besides `time`, as SQL names them, and their types.
fn columns(table: &str) -> Option<impl Iterator<Item = (&'static str, DataType)>> {
    let table = known(table)?;
    let tags = table.tags.iter().map(|tag| (*tag, tag_type()));
    Some(tags.chain(table.fields.iter().map(|field| (field.sql_name(), field_type(field)))))
}

/// The tags of a known table.
pub(crate) fn tags(table: &str) -> impl Iterator<Item = &'static str> {
    known(table).into_iter().flat_map(|table| table.tags.iter().copied())
}

/// A known table without rows.
pub(crate) fn empty(table: &str) -> Option<Arc<dyn TableProvider>> {
    let time = Field::new(TIME_COLUMN, time_type(), false);
    let columns = columns(table)?.map(|(name, kind)| Field::new(name, kind, true));
    let fields: Vec<Field> = std::iter::once(time).chain(columns).collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    Some(Arc::new(EmptyTable::new(schema)))
}

/// Has a stored table all columns that it is known to have, as they are stored?
pub(crate) fn is_complete(table: &TableInfo) -> bool {
    let Some(known) = known(&table.name) else { return true };
    let has = |name: &str| table.columns.column_with_name(name).is_some();
    known.tags.iter().all(|tag| has(tag))
        && known.fields.iter().all(|field| field.unit != Unit::Instant && has(field.name))
}

/// A stored table with the columns that it is known to have.
pub(crate) fn complete(table: StoreTable) -> Result<Arc<dyn TableProvider>> {
    let known = known(&table.info.name);
    let has = |name: &str| table.info.columns.column_with_name(name).is_some();
    if is_complete(&table.info) {
        return Ok(Arc::new(table));
    }
    let stored = |name: &str| Expr::Column(datafusion::common::Column::from_name(name));
    let instant = |name: &str| {
        let fields = known.into_iter().flat_map(|table| table.fields);
        fields.clone().find(|field| field.unit == Unit::Instant && field.name == name)
    };
    let mut exprs: Vec<Expr> = Vec::new();
    for field in table.info.columns.fields() {
        exprs.push(match instant(field.name()) {
            Some(known) => cast(stored(field.name()), time_type()).alias(known.sql_name()),
            None => stored(field.name()),
        });
    }
    let missing_tags = known.into_iter().flat_map(|table| table.tags).filter(|tag| !has(tag));
    let missing_fields =
        known.into_iter().flat_map(|table| table.fields).filter(|field| !has(field.name) && !has(field.sql_name()));
    let missing = missing_tags.map(|tag| (*tag, tag_type()));
    for (name, kind) in missing.chain(missing_fields.map(|field| (field.sql_name(), field_type(field)))) {
        exprs.push(lit(ScalarValue::try_from(&kind)?).alias(name));
    }
    // With the schema: the tables of two schemas are not to be taken for each other.
    let name = TableReference::partial(table.info.schema.clone(), table.info.name.clone());
    let plan = LogicalPlanBuilder::scan(name, provider_as_source(Arc::new(table)), None)?.project(exprs)?.build()?;
    Ok(Arc::new(ViewTable::new(plan, None)))
}
