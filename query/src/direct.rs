//! Answers without a plan: a statement whose shape was planned before, and whose whole plan is one summary, the newest rows or some rows with
//! their columns named, sorted and cut off, is answered by the store at once.
//!
//! The first statement of a shape is planned with values in the place of its literals that nothing else has. Where these are
//! found in the plan, later statements put their own; if one is not found, or something else depends on it, the shape is planned
//! anew every time.

use std::sync::Arc;

use arrow::compute::{SortColumn, SortOptions, lexsort_to_indices, take_record_batch};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::datasource::source_as_provider;
use datafusion::error::Result;
use datafusion::execution::TaskContext;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{Expr, FetchType, LogicalPlan, SkipType, TableScan, Volatility};
use quick_cache::sync::Cache;
use tsdb::{FieldPredicate, Literal, ScanRequest, TagPredicate};

use crate::edge_rows::{Edge, EdgeRows, EdgeTable};
use crate::latest::Latest;
use crate::newest::{Newest, NewestTable};
use crate::once_exec::Once;
use crate::some_rows::SomeRows;
use crate::summary::{Folding, Summary, SummaryTable};
use crate::table::StoreTable;
use crate::template::{Literals, Stand};

/// Shapes of statements that are known.
const SHAPES_MAX: usize = 1000;

/// Statements that are answered without a plan, by what they have in common.
#[derive(Debug)]
pub(crate) struct Shapes(Cache<String, Option<Arc<Shape>>>);

/// What to do for a statement, with room for its literals.
#[derive(Debug)]
pub(crate) struct Shape {
    asked: Asked,
    /// How many columns the table had: columns are only ever added.
    table_columns: usize,
    from: Option<Slot>,
    to: Option<Slot>,
    /// Which of the texts that tags and fields are compared with is which literal.
    texts: Vec<(usize, usize)>,
    /// The columns of the answer, by their numbers in what is asked.
    columns: Vec<usize>,
    schema: SchemaRef,
    /// Numbers of columns of the answer.
    sort: Vec<(usize, SortOptions)>,
    skip: usize,
    fetch: Option<usize>,
}

/// A literal's number, and what is added to its value.
#[derive(Debug, Clone, Copy)]
struct Slot(usize, i64);

/// What the store is asked for.
#[derive(Debug, Clone)]
enum Asked {
    Summary(Summary),
    Newest(Newest),
    Rows(SomeRows),
    Edge(SomeRows, Edge),
}

/// A statement that is ready to be answered.
#[derive(Debug)]
pub(crate) struct Direct {
    shape: Arc<Shape>,
    pub once: Arc<dyn Once>,
    /// How many values are read at the most.
    values_max: usize,
}

impl Asked {
    /// What a scan of a plan asks for.
    fn of(scan: &TableScan) -> Option<Asked> {
        let provider = source_as_provider(&scan.source).ok()?;
        let summary = provider.downcast_ref::<SummaryTable>().map(|table| Asked::Summary(table.0.clone()));
        let newest = provider.downcast_ref::<NewestTable>().map(|table| Asked::Newest(table.0.clone()));
        let rows = || SomeRows::of(scan, provider.downcast_ref::<StoreTable>()?).map(Asked::Rows);
        let edge = || {
            let EdgeTable { table, edge } = provider.downcast_ref()?;
            SomeRows::of(scan, table).map(|rows| Asked::Edge(rows, *edge))
        };
        match summary.or(newest) {
            Some(asked) => Some(asked).filter(|_| scan.filters.is_empty()),
            None => rows().or_else(edge),
        }
    }

    fn rows(&mut self) -> &mut ScanRequest {
        match self {
            Asked::Summary(summary) => &mut summary.request.rows,
            Asked::Newest(newest) => &mut newest.rows,
            Asked::Rows(rows) | Asked::Edge(rows, _) => &mut rows.request,
        }
    }

    /// How many columns the table has now.
    fn table_columns(&self) -> Option<usize> {
        match self {
            Asked::Summary(Summary { store, schema_name, table, .. }) => store.column_count(schema_name, table),
            Asked::Newest(Newest { store, schema_name, table, .. }) => store.column_count(schema_name, table),
            Asked::Rows(rows) | Asked::Edge(rows, _) => rows.store.column_count(&rows.schema_name, &rows.table),
        }
    }

    /// Begins to read: what gives the rows, and how many values are read for them at the most. Nothing if there are too many for this way.
    fn start(self) -> Result<Option<(Arc<dyn Once>, usize)>> {
        Ok(match self {
            Asked::Summary(summary) => {
                let aggregation = Arc::new(summary.start()?);
                let values = aggregation.rows_max() * (summary.request.aggregates.len() + 1);
                Some((Arc::new(Folding { summary, aggregation }), values))
            }
            Asked::Newest(newest) => Some((Arc::new(newest), 0)),
            Asked::Rows(rows) => rows.start()?.map(|(rows, values)| (Arc::new(rows) as _, values)),
            // How much there is to read shows on the way.
            Asked::Edge(rows, edge) => Some((Arc::new(EdgeRows::new(rows, edge)?), usize::MAX)),
        })
    }
}

impl Default for Shapes {
    fn default() -> Shapes {
        Shapes(Cache::new(SHAPES_MAX))
    }
}

impl Shapes {
    /// What is known of a statement's shape: `None` if it has not been looked at.
    pub(crate) fn get(&self, key: &str) -> Option<Option<Arc<Shape>>> {
        let shape = self.0.get(key)?;
        match &shape {
            Some(known) if !known.is_current() => None,
            _ => Some(shape),
        }
    }

    pub(crate) fn put(&self, key: String, shape: Option<Arc<Shape>>) {
        self.0.insert(key, shape);
    }
}

impl Shape {
    /// The shape of an optimized plan whose literals these stand for, if it can be answered at once.
    pub(crate) fn of(plan: &LogicalPlan, stands: &[Stand], state: &SessionState) -> Option<Shape> {
        let mut shape = Shape::read(plan, state)?;
        let rows = shape.asked.rows();
        let mut used = vec![false; stands.len()];
        let mut slot = |bound: i64, none: i64, steps: [i64; 2]| -> Option<Option<Slot>> {
            if bound == none {
                return Some(None);
            }
            let found = stands.iter().enumerate().find_map(|(at, stand)| {
                let Stand::Time(time) = stand else { return None };
                steps.into_iter().find(|step| time + step == bound).map(|step| Slot(at, step))
            })?;
            used[found.0] = true;
            Some(Some(found))
        };
        shape.from = slot(rows.from, i64::MIN, [0, 1])?;
        shape.to = slot(rows.to, i64::MAX, [0, -1])?;
        for (place, value) in texts(&mut rows.tags, &mut rows.fields).enumerate() {
            let is_this = |stand: &Stand| matches!(stand, Stand::Text(text) if text == value);
            if let Some(number) = stands.iter().position(is_this) {
                used[number] = true;
                shape.texts.push((place, number));
            }
        }
        // A literal that was compared with a tag and looks like a time, or one that is used in another way.
        used.into_iter().all(|used| used).then_some(shape)
    }

    fn read(plan: &LogicalPlan, state: &SessionState) -> Option<Shape> {
        match plan {
            LogicalPlan::TableScan(scan) => {
                let asked = Asked::of(scan)?;
                // What only some columns are read of has those, in this order.
                let columns = match &scan.projection {
                    Some(columns) if !matches!(asked, Asked::Rows(_) | Asked::Edge(..)) => columns.clone(),
                    _ => (0..plan.schema().fields().len()).collect(),
                };
                Some(Shape {
                    table_columns: asked.table_columns()?,
                    asked,
                    from: None,
                    to: None,
                    texts: Vec::new(),
                    columns,
                    schema: plan.schema().inner().clone(),
                    sort: Vec::new(),
                    skip: 0,
                    fetch: scan.fetch,
                })
            }
            LogicalPlan::Filter(filter) => {
                let LogicalPlan::TableScan(_) = &*filter.input else { return None };
                let mut below = Shape::read(&filter.input, state).filter(|below| below.fetch.is_none())?;
                let Asked::Rows(rows) = &mut below.asked else { return None };
                rows.filter(state.create_physical_expr(filter.predicate.clone(), filter.input.schema()).ok()?);
                Some(below)
            }
            LogicalPlan::Projection(projection) => {
                let below = Shape::read(&projection.input, state)?;
                let places: Vec<usize> =
                    projection.expr.iter().map(|expr| place(expr, &projection.input)).collect::<Option<_>>()?;
                // What is sorted by must stay in sight.
                let sort =
                    below.sort.iter().map(|(at, options)| Some((places.iter().position(|own| own == at)?, *options)));
                Some(Shape {
                    sort: sort.collect::<Option<_>>()?,
                    columns: places.iter().map(|place| below.columns[*place]).collect(),
                    schema: plan.schema().inner().clone(),
                    ..below
                })
            }
            LogicalPlan::SubqueryAlias(alias) => {
                Some(Shape { schema: plan.schema().inner().clone(), ..Shape::read(&alias.input, state)? })
            }
            LogicalPlan::Sort(sort) => {
                let below = Shape::read(&sort.input, state)?;
                let keys = sort.expr.iter().map(|key| {
                    let options = SortOptions { descending: !key.asc, nulls_first: key.nulls_first };
                    Some((place(&key.expr, &sort.input)?, options))
                });
                let is_plain = below.sort.is_empty() && below.skip == 0 && below.fetch.is_none();
                Some(Shape { sort: keys.collect::<Option<_>>()?, fetch: sort.fetch, ..below }).filter(|_| is_plain)
            }
            LogicalPlan::Limit(limit) => {
                let below = Shape::read(&limit.input, state).filter(|below| below.skip == 0)?;
                let (SkipType::Literal(skip), FetchType::Literal(fetch)) =
                    (limit.get_skip_type().ok()?, limit.get_fetch_type().ok()?)
                else {
                    return None;
                };
                // A sort below was told to give all that is skipped, too.
                let fetch = match (fetch, below.fetch) {
                    (Some(own), Some(before)) => Some(before.min(skip + own)),
                    (own, before) => own.map(|own| skip + own).or(before),
                };
                Some(Shape { skip, fetch, ..below })
            }
            _ => None,
        }
    }

    /// Has the table still the columns that it had?
    fn is_current(&self) -> bool {
        self.asked.table_columns() == Some(self.table_columns)
    }

    /// The statement with these literals; nothing if one cannot be put in its place, or there is too much to read at once.
    pub(crate) fn fill(self: &Arc<Shape>, literals: &Literals<'_>, partitions: usize) -> Result<Option<Direct>> {
        let mut asked = self.asked.clone();
        if self.put(literals, partitions, asked.rows()).is_none() {
            return Ok(None);
        }
        let started = match self.latest(&asked) {
            // How much there is to read shows on the way.
            Some(latest) => Some((Arc::new(latest) as _, usize::MAX)),
            None => asked.start()?,
        };
        Ok(started.map(|(once, values_max)| Direct { shape: self.clone(), once, values_max }))
    }

    /// Of a summary, the latest buckets, if no more are wanted.
    fn latest(&self, asked: &Asked) -> Option<Latest> {
        let (Asked::Summary(summary), Some(rows), [(column, order), ..]) = (asked, self.fetch, &self.sort[..]) else {
            return None;
        };
        let is_latest_first = order.descending && summary.is_bucket(self.columns[*column]);
        is_latest_first.then(|| Latest::of(summary, rows))?
    }

    /// Puts literals in their places.
    fn put(&self, literals: &Literals<'_>, partitions: usize, rows: &mut ScanRequest) -> Option<()> {
        let ScanRequest { from, to, tags, fields, partitions: wanted, .. } = rows;
        *wanted = partitions;
        for (slot, bound) in [(self.from, from), (self.to, to)] {
            if let Some(Slot(number, step)) = slot {
                *bound = literals.list[number].time?.checked_add(step)?;
            }
        }
        let mut left = self.texts.iter();
        let mut next = left.next();
        for (at, text) in texts(tags, fields).enumerate() {
            if let Some((_, number)) = next.filter(|(place, _)| *place == at) {
                *text = literals.list[*number].text.clone().into_owned();
                next = left.next();
            }
        }
        Some(())
    }
}

/// The texts that tags and fields are compared with, in the order of their conditions.
fn texts<'a>(
    tags: &'a mut [TagPredicate],
    fields: &'a mut [FieldPredicate],
) -> impl Iterator<Item = &'a mut String> + use<'a> {
    let of_tags = tags.iter_mut().flat_map(|predicate| match predicate {
        TagPredicate::In(_, values) | TagPredicate::NotIn(_, values) => &mut values[..],
        _ => &mut [],
    });
    let of_fields = fields.iter_mut().flat_map(FieldPredicate::literals_mut).filter_map(|literal| match literal {
        Literal::Str(text) => Some(text),
        _ => None,
    });
    of_tags.chain(of_fields)
}

/// The number of the column that an expression is.
fn place(expr: &Expr, input: &LogicalPlan) -> Option<usize> {
    match expr {
        Expr::Alias(alias) => place(&alias.expr, input),
        Expr::Column(column) => input.schema().maybe_index_of_column(column),
        _ => None,
    }
}

/// Does a plan say the same whenever it is asked? `now()` does not.
pub(crate) fn is_timeless(plan: &LogicalPlan) -> Result<bool> {
    let mut timeless = true;
    plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            timeless &= !expr.exists(|part| {
                Ok(matches!(part, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable))
            })?;
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(timeless)
}

impl Direct {
    /// The columns of the answer.
    pub(crate) fn schema(&self) -> SchemaRef {
        self.shape.schema.clone()
    }

    /// Is so little to read that another thread is not worth it?
    pub(crate) fn is_small(&self) -> bool {
        const VALUES_MAX: usize = 100_000;
        self.values_max <= VALUES_MAX
    }

    /// The answer.
    pub(crate) async fn run(&self, context: &TaskContext) -> Result<RecordBatch> {
        let Shape { columns, schema, sort, skip, fetch, .. } = &*self.shape;
        let given = self.once.rows(context).await?;
        let columns = columns.iter().map(|at| given.column(*at).clone()).collect();
        let mut batch = RecordBatch::try_new(schema.clone(), columns)?;
        if !sort.is_empty() && batch.num_rows() > 1 {
            let key = |(at, options): &(usize, SortOptions)| SortColumn {
                values: batch.column(*at).clone(),
                options: Some(*options),
            };
            let keys: Vec<SortColumn> = sort.iter().map(key).collect();
            batch = take_record_batch(&batch, &lexsort_to_indices(&keys, *fetch)?)?;
        }
        let first = (*skip).min(batch.num_rows());
        let last = fetch.unwrap_or(usize::MAX).min(batch.num_rows()).max(first);
        Ok(batch.slice(first, last - first))
    }
}
