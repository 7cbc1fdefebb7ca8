//! The statements that need no plan: a strict subset of SQL, whose meaning is known from its words alone.
//!
//! ```text
//! SELECT item, ... FROM [schema.]table [WHERE condition AND ...] [GROUP BY key, ...] [ORDER BY key, ...] [LIMIT n] [OFFSET n]
//! SELECT DISTINCT ON (tag, ...) column, ... FROM table [WHERE ...] ORDER BY tag, ..., time DESC [LIMIT n] [OFFSET n]
//! ```
//!
//! - *table*: one that rows were written to, with all columns that it is known to have.
//! - *item*: a column, or `*`; where groups are made, a tag, one bucket (`date_bin`, `date_trunc`, `time_bucket` of
//!   `time`), or an aggregate of one field: `count`, `sum`, `avg`, `min`, `max`, `approx_percentile_cont`, `first`,
//!   `last`.
//! - *condition*: a column compared with a literal, either side first; `IN`, `BETWEEN`, `IS [NOT] NULL`; a boolean
//!   field or its `NOT`. Each is a condition of the store, and all have to hold: they are put one beside the other, and
//!   none replaces another.
//! - *key*: an item, by its name, its number or as it is written; in `GROUP BY` also a tag that is no item. No key is a
//!   name that an item has and another column, too.
//!
//! What a literal is to a column is what the planner would make of it: a text beside the time is a time in UTC, a whole
//! number beside a float a float. Whatever is not listed here is planned: an operator, a function, a word, a type, a
//! number that a float cannot hold. Nothing is learnt from other statements. `tests/subset.rs` holds random ones
//! against the same statement with a plan.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{
    self, BinaryOperator, Distinct, Expr, FunctionArg, FunctionArgExpr, FunctionArguments, GroupByExpr, Ident,
    LimitClause, ObjectName, ObjectNamePart, OrderBy, OrderByKind, Query, Select, SelectFlavor, SelectItem, SetExpr,
    Statement as SqlStatement, TableFactor, TableWithJoins, UnaryOperator, Value,
};
use tsdb::{
    Aggregate, AggregateRequest, Buckets, Comparison, FieldPredicate, FieldType, Function, Literal, ScanRequest, Store,
    TIME_COLUMN, TagPredicate,
};

use crate::direct::edge_rows::{Edge, ROWS_MAX};
use crate::direct::newest::Newest;
use crate::direct::some_rows::SomeRows;
use crate::direct::summary::Summary;
use crate::direct::wanted::{Asked, Wanted};
use crate::exec::pushdown::{ColumnKind, Pushed, interval};
use crate::functions::bucket_calls::{bin_buckets, store_buckets, trunc_buckets};
use crate::functions::time_bucket::{TIME_BUCKET, buckets_of};
use crate::tables::catalog::stored_table;
use crate::tables::known;
use crate::tables::store_table::StoreTable;

/// The statement as a question to the store, if it is one of the subset. Names without a schema are looked up in
/// `schema`.
pub(crate) fn read(statement: &Statement, schema: &str, store: &Arc<Store>) -> Option<Wanted> {
    let Statement::Statement(sql) = statement else { return None };
    let SqlStatement::Query(query) = &**sql else { return None };
    let Query {
        with: None,
        body,
        order_by,
        limit_clause,
        fetch: None,
        locks,
        for_clause: None,
        settings: None,
        format_clause: None,
        pipe_operators,
    } = &**query
    else {
        return None;
    };
    let SetExpr::Select(select) = &**body else { return None };
    if !locks.is_empty() || !pipe_operators.is_empty() {
        return None;
    }
    let parts = Parts::of(select)?;
    let table = table_of(parts.table, schema, store)?;
    let mut rows = ScanRequest::default();
    parts.selection.map_or(Some(()), |condition| narrow(condition, &table, &mut rows))?;
    let (skip, fetch) = limits(limit_clause.as_ref())?;
    let keys = order_keys(order_by.as_ref())?;
    let question = Question { table, rows, keys, skip, fetch };
    match parts.distinct_on {
        Some(tags) if parts.group_by.is_empty() => question.newest(tags, parts.projection),
        Some(_) => None,
        None if parts.group_by.is_empty() && !parts.projection.iter().any(is_call) => question.rows(parts.projection),
        None => question.summary(parts.projection, parts.group_by),
    }
}

/// What a `SELECT` of the subset is made of.
struct Parts<'a> {
    table: &'a ObjectName,
    distinct_on: Option<&'a [Expr]>,
    projection: &'a [SelectItem],
    selection: Option<&'a Expr>,
    group_by: &'a [Expr],
}

impl<'a> Parts<'a> {
    /// Every other part is named here and has to be absent, so that one that a new parser knows is not passed over.
    fn of(select: &'a Select) -> Option<Parts<'a>> {
        let Select {
            select_token: _,
            optimizer_hints,
            distinct,
            select_modifiers: None,
            top: None,
            top_before_distinct: false,
            projection,
            exclude: None,
            into: None,
            from,
            lateral_views,
            prewhere: None,
            selection,
            connect_by,
            group_by: GroupByExpr::Expressions(group_by, modifiers),
            cluster_by,
            distribute_by,
            sort_by,
            having: None,
            named_window,
            qualify: None,
            window_before_qualify: _,
            value_table_mode: None,
            flavor: SelectFlavor::Standard,
        } = select
        else {
            return None;
        };
        let is_plain = optimizer_hints.is_empty()
            && lateral_views.is_empty()
            && connect_by.is_empty()
            && modifiers.is_empty()
            && cluster_by.is_empty()
            && distribute_by.is_empty()
            && sort_by.is_empty()
            && named_window.is_empty();
        let [TableWithJoins { relation, joins }] = &from[..] else { return None };
        let TableFactor::Table {
            name,
            alias: None,
            args: None,
            with_hints,
            version: None,
            with_ordinality: false,
            partitions,
            json_path: None,
            sample: None,
            index_hints,
        } = relation
        else {
            return None;
        };
        let is_bare = joins.is_empty() && with_hints.is_empty() && partitions.is_empty() && index_hints.is_empty();
        let distinct_on = match distinct {
            None => None,
            Some(Distinct::On(tags)) => Some(&tags[..]),
            Some(_) => return None,
        };
        (is_plain && is_bare).then_some(Parts {
            table: name,
            distinct_on,
            projection,
            selection: selection.as_ref(),
            group_by,
        })
    }
}

/// A name as the planner reads it: without quotes in small letters.
fn name_of(ident: &Ident) -> Option<String> {
    match ident.quote_style {
        None => Some(ident.value.to_lowercase()),
        Some('"') => Some(ident.value.clone()),
        Some(_) => None,
    }
}

fn table_of(name: &ObjectName, schema: &str, store: &Arc<Store>) -> Option<StoreTable> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(ident) => name_of(ident),
        ObjectNamePart::Function(_) => None,
    };
    let (schema, name) = match &name.0[..] {
        [name] => (schema.to_owned(), part(name)?),
        [schema, name] => (part(schema)?, part(name)?),
        _ => return None,
    };
    let info = stored_table(store, &schema, &name)?;
    known::is_complete(&info).then(|| StoreTable { store: store.clone(), info })
}

/// How many rows are passed over, and how many are wanted with these.
fn limits(clause: Option<&LimitClause>) -> Option<(usize, Option<usize>)> {
    let Some(clause) = clause else { return Some((0, None)) };
    let LimitClause::LimitOffset { limit, offset, limit_by } = clause else { return None };
    let count = |expr: &Expr| match value_of(expr)? {
        Value::Number(digits, false) => digits.parse::<usize>().ok().filter(|count| *count <= 1 << 32),
        _ => None,
    };
    let skip = match offset {
        None => 0,
        Some(offset) => count(&offset.value)?,
    };
    let fetch = match limit {
        None => None,
        Some(limit) => Some(skip + count(limit)?),
    };
    limit_by.is_empty().then_some((skip, fetch))
}

/// What is sorted by, and how.
struct Key<'a> {
    expr: &'a Expr,
    options: SortOptions,
}

fn order_keys(order: Option<&OrderBy>) -> Option<Vec<Key<'_>>> {
    let Some(order) = order else { return Some(Vec::new()) };
    let OrderBy { kind: OrderByKind::Expressions(keys), interpolate: None } = order else { return None };
    keys.iter().map(Key::of).collect()
}

impl<'a> Key<'a> {
    fn of(key: &'a ast::OrderByExpr) -> Option<Key<'a>> {
        let ast::OrderByExpr { expr, options, with_fill: None } = key else { return None };
        let descending = options.asc == Some(false);
        // As the planner has it: NULL is greater than everything.
        let nulls_first = options.nulls_first.unwrap_or(descending);
        Some(Key { expr, options: SortOptions { descending, nulls_first } })
    }
}

fn unnested(mut expr: &Expr) -> &Expr {
    while let Expr::Nested(inner) = expr {
        expr = inner;
    }
    expr
}

fn value_of(expr: &Expr) -> Option<&Value> {
    match unnested(expr) {
        Expr::Value(value) => Some(&value.value),
        _ => None,
    }
}

/// A column of the table by its name.
fn column_of(expr: &Expr, table: &StoreTable) -> Option<String> {
    let Expr::Identifier(ident) = unnested(expr) else { return None };
    let name = name_of(ident)?;
    table.info.columns.field_with_name(&name).is_ok().then_some(name)
}

/// A column that is compared, and what it is.
fn compared(expr: &Expr, table: &StoreTable) -> Option<(String, ColumnKind)> {
    let name = column_of(expr, table)?;
    let kind = table.kind(&name);
    Some((name, kind))
}

/// Narrows rows to those that meet a condition.
fn narrow(condition: &Expr, table: &StoreTable, rows: &mut ScanRequest) -> Option<()> {
    let mut left = vec![condition];
    while let Some(part) = left.pop() {
        match unnested(part) {
            Expr::BinaryOp { left: first, op: BinaryOperator::And, right } => left.extend([&**right, &**first]),
            Expr::Between { expr, negated: false, low, high } => {
                for (op, bound) in [(Comparison::GtEq, low), (Comparison::LtEq, high)] {
                    compare(expr, op, bound, table)?.narrow(rows);
                }
            }
            other => condition_of(other, table)?.narrow(rows),
        }
    }
    Some(())
}

fn condition_of(expr: &Expr, table: &StoreTable) -> Option<Pushed> {
    match expr {
        Expr::BinaryOp { left, op, right } => {
            let (op, swapped) = match op {
                BinaryOperator::Eq => (Comparison::Eq, Comparison::Eq),
                BinaryOperator::NotEq => (Comparison::NotEq, Comparison::NotEq),
                BinaryOperator::Lt => (Comparison::Lt, Comparison::Gt),
                BinaryOperator::LtEq => (Comparison::LtEq, Comparison::GtEq),
                BinaryOperator::Gt => (Comparison::Gt, Comparison::Lt),
                BinaryOperator::GtEq => (Comparison::GtEq, Comparison::LtEq),
                _ => return None,
            };
            match column_of(left, table) {
                Some(_) => compare(left, op, right, table),
                None => compare(right, swapped, left, table),
            }
        }
        Expr::InList { expr, list, negated } => match (compared(expr, table)?, negated) {
            ((name, ColumnKind::Tag), _) => {
                let values = list.iter().map(text_of).collect::<Option<_>>()?;
                let predicate = if *negated { TagPredicate::NotIn } else { TagPredicate::In };
                Some(Pushed::Tag(predicate(name, values)))
            }
            ((name, ColumnKind::Field(kind)), false) => {
                let values = list.iter().map(|item| literal_of(item, kind)).collect::<Option<_>>()?;
                Some(Pushed::Field(FieldPredicate::In(name, values)))
            }
            _ => None,
        },
        Expr::IsNull(expr) => match compared(expr, table)? {
            (name, ColumnKind::Tag) => Some(Pushed::Tag(TagPredicate::IsNull(name))),
            (name, ColumnKind::Field(_)) => Some(Pushed::Field(FieldPredicate::IsNull(name))),
            _ => None,
        },
        Expr::IsNotNull(expr) => match compared(expr, table)? {
            (name, ColumnKind::Tag) => Some(Pushed::Tag(TagPredicate::IsNotNull(name))),
            (name, ColumnKind::Field(_)) => Some(Pushed::Field(FieldPredicate::IsNotNull(name))),
            _ => None,
        },
        Expr::UnaryOp { op: UnaryOperator::Not, expr } => flag(expr, false, table),
        other => flag(other, true, table),
    }
}

/// A boolean field as the condition itself.
fn flag(expr: &Expr, value: bool, table: &StoreTable) -> Option<Pushed> {
    let (name, kind) = compared(expr, table)?;
    let is_bool = kind == ColumnKind::Field(FieldType::Bool);
    is_bool.then_some(Pushed::Field(FieldPredicate::Compares(name, Comparison::Eq, Literal::Bool(value))))
}

/// A column compared with a literal.
fn compare(column: &Expr, op: Comparison, value: &Expr, table: &StoreTable) -> Option<Pushed> {
    match compared(column, table)? {
        (name, _) if name == TIME_COLUMN => {
            let (from, to) = interval(op, time_of(value)?)?;
            Some(Pushed::Time(from, to))
        }
        (name, ColumnKind::Tag) => {
            let values = vec![text_of(value)?];
            match op {
                Comparison::Eq => Some(Pushed::Tag(TagPredicate::In(name, values))),
                Comparison::NotEq => Some(Pushed::Tag(TagPredicate::NotIn(name, values))),
                _ => None,
            }
        }
        (name, ColumnKind::Field(kind)) => {
            Some(Pushed::Field(FieldPredicate::Compares(name, op, literal_of(value, kind)?)))
        }
        _ => None,
    }
}

fn text_of(expr: &Expr) -> Option<String> {
    match value_of(expr)? {
        Value::SingleQuotedString(text) => Some(text.clone()),
        _ => None,
    }
}

/// An instant, in ns since the epoch: a text, or `TIMESTAMP 'text'`.
fn time_of(expr: &Expr) -> Option<i64> {
    let text = match unnested(expr) {
        Expr::TypedString(typed) => match typed {
            ast::TypedString {
                data_type: ast::DataType::Timestamp(None, ast::TimezoneInfo::None),
                value,
                uses_odbc_syntax: false,
            } => match &value.value {
                Value::SingleQuotedString(text) => text.clone(),
                _ => return None,
            },
            _ => return None,
        },
        other => text_of(other)?,
    };
    string_to_timestamp_nanos(&text).ok()
}

/// A literal as a value of a field's type, where it is that value exactly.
fn literal_of(expr: &Expr, kind: FieldType) -> Option<Literal> {
    let (expr, is_negative) = match unnested(expr) {
        Expr::UnaryOp { op: UnaryOperator::Minus, expr } => (&**expr, true),
        other => (other, false),
    };
    match (kind, value_of(expr)?) {
        (FieldType::Str, Value::SingleQuotedString(text)) if !is_negative => Some(Literal::Str(text.clone())),
        (FieldType::Bool, Value::Boolean(value)) if !is_negative => Some(Literal::Bool(*value)),
        (FieldType::F64 | FieldType::I64 | FieldType::U64, Value::Number(digits, false)) => {
            number_of(digits, is_negative, kind)
        }
        _ => None,
    }
}

/// Numbers with digits, and for floats a point; without an exponent.
fn number_of(digits: &str, is_negative: bool, kind: FieldType) -> Option<Literal> {
    /// Whole numbers up to here are floats.
    const EXACT_MAX: i64 = 1 << 53;
    let is_whole = digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_whole {
        let whole = digits.parse::<i64>().ok()? * if is_negative { -1 } else { 1 };
        return match kind {
            // A zero with a sign is planned.
            FieldType::F64 if whole.abs() <= EXACT_MAX && !(is_negative && whole == 0) => {
                Some(Literal::F64(whole as f64))
            }
            FieldType::I64 => Some(Literal::I64(whole)),
            FieldType::U64 => u64::try_from(whole).ok().map(Literal::U64),
            _ => None,
        };
    }
    let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let value = digits.parse::<f64>().ok().filter(|value| is_plain && value.is_finite() && *value != 0.0)?;
    (kind == FieldType::F64).then_some(Literal::F64(if is_negative { -value } else { value }))
}

/// A statement of which only the items are left to be read.
struct Question<'a> {
    table: StoreTable,
    rows: ScanRequest,
    keys: Vec<Key<'a>>,
    skip: usize,
    fetch: Option<usize>,
}

/// A column of the answer: what it is of, and how it is called.
struct Item<'a> {
    expr: Option<&'a Expr>,
    name: String,
    /// The column that it is, if it is one.
    column: Option<String>,
    /// Is there another column of this name?
    is_ambiguous: bool,
}

impl Question<'_> {
    /// The items, `*` as all columns.
    fn items<'b>(&self, projection: &'b [SelectItem]) -> Option<Vec<Item<'b>>> {
        let columns = &self.table.info.columns;
        let mut items = Vec::new();
        for item in projection {
            match item {
                SelectItem::Wildcard(options) if *options == ast::WildcardAdditionalOptions::default() => {
                    let all = columns.fields().iter().map(|field| field.name().clone());
                    items.extend(all.map(|name| Item {
                        expr: None,
                        column: Some(name.clone()),
                        name,
                        is_ambiguous: false,
                    }));
                }
                SelectItem::UnnamedExpr(expr) => {
                    let column = column_of(expr, &self.table);
                    let name = column.clone().or_else(|| self.call_name(expr))?;
                    items.push(Item { expr: Some(expr), name, column, is_ambiguous: false });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let (name, column) = (name_of(alias)?, column_of(expr, &self.table));
                    let is_ambiguous = columns.field_with_name(&name).is_ok() && column.as_ref() != Some(&name);
                    items.push(Item { expr: Some(expr), name, column, is_ambiguous });
                }
                _ => return None,
            }
        }
        let is_twice = |at: usize| items[..at].iter().any(|other| other.name == items[at].name);
        (!items.is_empty() && !(0..items.len()).any(is_twice)).then_some(items)
    }

    /// How the planner calls an aggregate without a name: `count(*)`, `max(cpu.usage)`.
    fn call_name(&self, expr: &Expr) -> Option<String> {
        let call = Call::of(expr)?;
        let is_plain = |name: &str| {
            let bytes = name.as_bytes();
            bytes.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'_')
                && bytes.first().is_some_and(|first| !first.is_ascii_digit())
        };
        match (&*call.name, &call.args[..]) {
            ("count", [FunctionArgExpr::Wildcard]) => Some("count(*)".into()),
            ("count" | "sum" | "avg" | "min" | "max", [FunctionArgExpr::Expr(arg)]) => {
                let (name, table) = (column_of(arg, &self.table)?, &self.table.info.name);
                // The planner names the table as the statement does.
                (is_plain(&name) && is_plain(table)).then(|| format!("{}({table}.{name})", call.name))
            }
            _ => None,
        }
    }

    /// The keys as numbers of items. A key is an item's name, its number, or the same words.
    fn sort(&self, items: &[Item<'_>]) -> Option<Vec<(usize, SortOptions)>> {
        self.keys.iter().map(|key| Some((item_of(key.expr, items)?, key.options))).collect()
    }

    fn field(&self, column: &str, name: &str) -> Option<FieldRef> {
        let field = self.table.info.columns.field_with_name(column).ok()?;
        Some(Arc::new(field.clone().with_name(name)))
    }

    fn schema(&self, items: &[Item<'_>]) -> Option<SchemaRef> {
        let fields = items.iter().map(|item| self.field(item.column.as_deref()?, &item.name));
        Some(Arc::new(Schema::new(fields.collect::<Option<Vec<_>>>()?)))
    }

    fn wanted(self, asked: Asked, columns: Vec<usize>, schema: SchemaRef, sort: Vec<(usize, SortOptions)>) -> Wanted {
        Wanted { asked, columns, schema, sort, skip: self.skip, fetch: self.fetch }
    }

    /// Rows as they are.
    fn rows(mut self, projection: &[SelectItem]) -> Option<Wanted> {
        let items = self.items(projection)?;
        let (sort, schema) = (self.sort(&items)?, self.schema(&items)?);
        let mut names: Vec<String> = Vec::new();
        let place = |item: &Item<'_>| {
            let column = item.column.as_ref()?;
            Some(names.iter().position(|known| known == column).unwrap_or_else(|| {
                names.push(column.clone());
                names.len() - 1
            }))
        };
        let columns: Vec<usize> = items.iter().map(place).collect::<Option<_>>()?;
        let is_by_time = |(at, _): &&(usize, SortOptions)| items[*at].column.as_deref() == Some(TIME_COLUMN);
        let edge = match (sort.first().filter(is_by_time), self.fetch) {
            (Some((_, options)), Some(rows)) if rows <= ROWS_MAX => Some(Edge { rows, last: options.descending }),
            _ => None,
        };
        self.rows.columns = Some(names);
        let rows = SomeRows::new(&self.table, std::mem::take(&mut self.rows));
        let asked = match edge {
            Some(edge) => Asked::Edge(rows, edge),
            None => Asked::Rows(rows),
        };
        Some(self.wanted(asked, columns, schema, sort))
    }

    /// The newest row of each group of tags.
    fn newest(mut self, on: &[Expr], projection: &[SelectItem]) -> Option<Wanted> {
        let tags: Vec<String> = on.iter().map(|tag| column_of(tag, &self.table)).collect::<Option<_>>()?;
        let items = self.items(projection)?;
        let (by_time, by_tags) = self.keys.split_last()?;
        let is_newest =
            column_of(by_time.expr, &self.table).as_deref() == Some(TIME_COLUMN) && by_time.options.descending;
        let named: Vec<String> = by_tags.iter().map(|key| column_of(key.expr, &self.table)).collect::<Option<_>>()?;
        let is_whole = self.rows.from == i64::MIN && self.rows.to == i64::MAX && self.rows.fields.is_empty();
        let mut distinct = tags.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let are_tags = tags.iter().all(|tag| self.table.is_tag(tag)) && distinct.len() == tags.len();
        if !(is_newest && is_whole && are_tags && named == tags) {
            return None;
        }
        // The tags are sorted by, whether they are in the answer or not.
        let sort_columns: Vec<SortOptions> = by_tags.iter().map(|key| key.options).collect();
        let columns: Vec<String> = items.iter().map(|item| item.column.clone()).collect::<Option<_>>()?;
        let schema = self.schema(&items)?;
        let sort = tags
            .iter()
            .zip(sort_columns)
            .map(|(tag, options)| Some((columns.iter().position(|column| column == tag)?, options)))
            .collect::<Option<Vec<_>>>()?;
        let places = (0..columns.len()).collect();
        let newest = Newest::new(&self.table, std::mem::take(&mut self.rows), &tags, &columns, schema.clone());
        Some(self.wanted(Asked::Newest(newest), places, schema, sort))
    }

    /// Groups by tags and one bucket, and aggregates of them.
    fn summary(mut self, projection: &[SelectItem], group_by: &[Expr]) -> Option<Wanted> {
        let items = self.items(projection)?;
        let (mut bucket, mut by, mut aggregates) = (None, Vec::new(), Vec::new());
        let (mut groups, mut hidden) = (Vec::new(), Vec::new());
        for key in group_by {
            match item_of(key, &items) {
                Some(item) => groups.push(item),
                None => {
                    let tag = column_of(key, &self.table).filter(|tag| self.table.is_tag(tag))?;
                    let is_elsewhere = items.iter().any(|item| item.name == tag || item.column.as_ref() == Some(&tag));
                    if is_elsewhere || hidden.contains(&tag) {
                        return None;
                    }
                    hidden.push(tag);
                }
            }
        }
        // Of each item, what it is of the three, and its place among them; and its column.
        let mut places: Vec<(usize, usize)> = Vec::new();
        let mut fields: Vec<FieldRef> = Vec::new();
        for (at, item) in items.iter().enumerate() {
            if !groups.contains(&at) {
                let (aggregate, kind, is_nullable) = self.aggregate(item.expr?)?;
                fields.push(Arc::new(Field::new(&item.name, kind, is_nullable)));
                places.push((2, aggregates.len()));
                aggregates.push(aggregate);
            } else if let Some(tag) = item.column.as_ref().filter(|column| self.table.is_tag(column)) {
                if by.contains(tag) {
                    return None;
                }
                fields.push(self.field(tag, &item.name)?);
                places.push((1, by.len()));
                by.push(tag.clone());
            } else {
                let (buckets, is_nullable) = self.bucket(item.expr?)?;
                if bucket.replace(buckets).is_some() {
                    return None;
                }
                let field = self.field(TIME_COLUMN, &item.name)?.as_ref().clone();
                fields.push(Arc::new(field.with_nullable(is_nullable)));
                places.push((0, 0));
            }
        }
        let mut distinct = groups.clone();
        distinct.sort_unstable();
        distinct.dedup();
        if aggregates.is_empty() || distinct.len() != groups.len() {
            return None;
        }
        let sort = self.sort(&items)?;
        by.extend(hidden);
        let starts = [0, usize::from(bucket.is_some()), usize::from(bucket.is_some()) + by.len()];
        let places = places.into_iter().map(|(kind, place)| starts[kind] + place).collect();
        let request = AggregateRequest { rows: std::mem::take(&mut self.rows), bucket, by, aggregates };
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let summary = Summary::new(&self.table, request, schema.clone(), places);
        let columns = (0..items.len()).collect();
        Some(self.wanted(Asked::Summary(summary), columns, schema, sort))
    }

    /// An aggregate, the type of its values, and whether they may be NULL.
    fn aggregate(&self, expr: &Expr) -> Option<(Aggregate, DataType, bool)> {
        let call = Call::of(expr)?;
        let column = |arg: &FunctionArgExpr| match arg {
            FunctionArgExpr::Expr(expr) => column_of(expr, &self.table),
            _ => None,
        };
        let typed = |name: String| match self.table.kind(&name) {
            ColumnKind::Field(kind) => Some((name, kind)),
            _ => None,
        };
        let is_number = |kind: FieldType| matches!(kind, FieldType::F64 | FieldType::I64 | FieldType::U64);
        let of = |function, field: String, kind: DataType| {
            Some((Aggregate { function, field: Some(field) }, kind, function != Function::Count))
        };
        if let Some(order) = call.within_group {
            let ("approx_percentile_cont", [FunctionArgExpr::Expr(part)]) = (&*call.name, &call.args[..]) else {
                return None;
            };
            let [ast::OrderByExpr { expr, options, with_fill: None }] = order else { return None };
            let Some(Literal::F64(part)) = literal_of(part, FieldType::F64) else { return None };
            let (field, kind) = typed(column_of(expr, &self.table)?)?;
            let is_plain = options.asc != Some(false) && options.nulls_first.is_none() && is_number(kind);
            return of(Function::Quantile(part), field, DataType::Float64)
                .filter(|_| is_plain && (0.0..=1.0).contains(&part));
        }
        match (&*call.name, &call.args[..]) {
            ("count", [FunctionArgExpr::Wildcard]) => {
                Some((Aggregate { function: Function::Count, field: None }, DataType::Int64, false))
            }
            ("count", [arg]) => of(Function::Count, typed(column(arg)?)?.0, DataType::Int64),
            ("sum" | "avg" | "min" | "max", [arg]) => {
                let (field, kind) = typed(column(arg)?).filter(|(_, kind)| is_number(*kind))?;
                let own = self.table.info.columns.field_with_name(&field).ok()?.data_type().clone();
                match &*call.name {
                    "sum" => of(Function::Sum, field, own),
                    "avg" => of(Function::Mean, field, DataType::Float64),
                    "min" => of(Function::Min, field, own),
                    _ => of(Function::Max, field, own),
                }
                .filter(|_| is_number(kind))
            }
            ("first" | "last", [arg, time]) if column(time).as_deref() == Some(TIME_COLUMN) => {
                let (field, _) = typed(column(arg)?).filter(|(_, kind)| *kind != FieldType::Str)?;
                let own = self.table.info.columns.field_with_name(&field).ok()?.data_type().clone();
                of(if call.name == "first" { Function::First } else { Function::Last }, field, own)
            }
            _ => None,
        }
    }

    /// A bucket of the time, and whether its column is one that may be NULL.
    fn bucket(&self, expr: &Expr) -> Option<(Buckets, bool)> {
        let call = Call::of(expr).filter(|call| call.within_group.is_none())?;
        let args: Vec<&Expr> = call
            .args
            .iter()
            .map(|arg| match arg {
                FunctionArgExpr::Expr(expr) => Some(expr),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let is_time = |expr: &Expr| column_of(expr, &self.table).as_deref() == Some(TIME_COLUMN);
        let (width, others) = match &args[..] {
            [width, time, others @ ..] if is_time(time) => (width, others),
            _ => return None,
        };
        match &*call.name {
            "date_bin" => {
                let origin = match others {
                    [] => 0,
                    [origin @ Expr::TypedString(_)] => time_of(origin)?,
                    _ => return None,
                };
                Some((bin_buckets(interval_of(width)?, origin)?, true))
            }
            "date_trunc" if others.is_empty() => Some((trunc_buckets(&text_of(width)?)?, true)),
            TIME_BUCKET => {
                let width = ScalarValue::Utf8(Some(text_of(width)?));
                let others: Vec<ScalarValue> = others
                    .iter()
                    .map(|other| text_of(other).map(|text| ScalarValue::Utf8(Some(text))))
                    .collect::<Option<_>>()?;
                let args: Vec<Option<&ScalarValue>> =
                    [Some(&width), None].into_iter().chain(others.iter().map(Some)).collect();
                Some((store_buckets(buckets_of(&args).ok()??), true))
            }
            _ => None,
        }
    }
}

/// The item that a key of `GROUP BY` or `ORDER BY` is.
fn item_of(key: &Expr, items: &[Item<'_>]) -> Option<usize> {
    match unnested(key) {
        Expr::Identifier(ident) => {
            let name = name_of(ident)?;
            items.iter().position(|item| item.name == name).filter(|at| !items[*at].is_ambiguous)
        }
        Expr::Value(value) => match &value.value {
            Value::Number(digits, false) => digits.parse::<usize>().ok()?.checked_sub(1).filter(|at| *at < items.len()),
            _ => None,
        },
        // The same words are the same bucket; an aggregate is sorted by under its name.
        call @ Expr::Function(_) => items.iter().position(|item| item.expr.is_some_and(|own| unnested(own) == call)),
        _ => None,
    }
}

/// A call of a function, without anything that changes what it means.
struct Call<'a> {
    name: String,
    args: Vec<&'a FunctionArgExpr>,
    within_group: Option<&'a [ast::OrderByExpr]>,
}

impl<'a> Call<'a> {
    fn of(expr: &'a Expr) -> Option<Call<'a>> {
        let Expr::Function(function) = unnested(expr) else { return None };
        let ast::Function {
            name,
            uses_odbc_syntax: false,
            parameters: FunctionArguments::None,
            args: FunctionArguments::List(list),
            filter: None,
            null_treatment: None,
            over: None,
            within_group,
        } = function
        else {
            return None;
        };
        let ast::FunctionArgumentList { duplicate_treatment: None, args, clauses } = list else { return None };
        let [ObjectNamePart::Identifier(name)] = &name.0[..] else { return None };
        let arg = |arg: &'a FunctionArg| match arg {
            FunctionArg::Unnamed(arg) => Some(arg),
            _ => None,
        };
        let args = args.iter().map(arg).collect::<Option<_>>()?;
        let within_group = (!within_group.is_empty()).then_some(&within_group[..]);
        let is_plain = clauses.is_empty() && name.quote_style.is_none();
        is_plain.then(|| Call { name: name.value.to_lowercase(), args, within_group })
    }
}

fn is_call(item: &SelectItem) -> bool {
    match item {
        SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
            matches!(unnested(expr), Expr::Function(_))
        }
        _ => false,
    }
}

/// `INTERVAL '5 minutes'`: a whole number of one unit of fixed length, in ns.
fn interval_of(expr: &Expr) -> Option<i64> {
    let Expr::Interval(interval) = unnested(expr) else { return None };
    let ast::Interval {
        value,
        leading_field: None,
        leading_precision: None,
        last_field: None,
        fractional_seconds_precision: None,
    } = interval
    else {
        return None;
    };
    let text = text_of(value)?;
    let (count, unit) = text.split_once(' ')?;
    let seconds: i64 = match unit.strip_suffix('s').unwrap_or(unit) {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        _ => return None,
    };
    let is_whole = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    let count = count.parse::<i64>().ok().filter(|count| is_whole && *count > 0)?;
    count.checked_mul(seconds)?.checked_mul(1_000_000_000)
}
