//! The table functions `availability`, `outages_of`, `timeline`, `state_at` and `budget`: how they are called.

use std::ops::Range;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::{ScalarValue, plan_datafusion_err, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use tsdb::{ScanRequest, Store};

use super::answer::Answering;
use super::reading::Meaning;
use super::timeline::Confirm;
use crate::availability::exclusions::Exclusions;
use crate::base::arguments::Arguments;
use crate::base::calendar::{Buckets, zone};
use crate::exec::once_exec::OnceExec;
use crate::exec::pushdown::{ColumnKind, push};
use crate::tables::catalog::stored_table;
use crate::tables::known;
use crate::tables::store_table::StoreTable;

const MINUTE_NS: i64 = 60_000_000_000;
const DAY_NS: i64 = 86_400_000_000_000;
/// How long before a span rows are read of all series for what reaches into it, and for the outage that it begins in.
const LOOK_BACK_NS: i64 = 60 * MINUTE_NS;
const OBJECTIVE: f64 = 0.9999;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Availability,
    Outages,
    Timeline,
    StateAt,
    Budget,
}

/// All of them.
pub(crate) const ALL: [Ask; 5] = [Ask::Availability, Ask::Outages, Ask::Timeline, Ask::StateAt, Ask::Budget];

impl Ask {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Ask::Availability => "availability",
            Ask::Outages => "outages_of",
            Ask::Timeline => "timeline",
            Ask::StateAt => "state_at",
            Ask::Budget => "budget",
        }
    }

    /// The names of its arguments; those that are given by place come first.
    fn arguments(self) -> Vec<&'static str> {
        let own: &[&str] = match self {
            Ask::Availability => &["table", "from", "to", "bucket", "zone"],
            Ask::Outages | Ask::Timeline => &["table", "from", "to"],
            Ask::StateAt => &["table", "at"],
            Ask::Budget => &["table", "at", "window", "objective"],
        };
        [own, &["by", "state", "good", "unknown", "hold", "confirm"]].concat()
    }

    /// The columns behind those of `by`.
    fn columns(self) -> Vec<(&'static str, DataType)> {
        let time = || DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
        let float = |name| (name, DataType::Float64);
        let span = || vec![("start", time()), ("end", time())];
        match self {
            Ask::Availability => [
                span(),
                ["span_s", "measured_s", "up_s", "down_s", "maintenance_s", "excluded_s", "unknown_s", "coverage"]
                    .map(float)
                    .into(),
                ["availability", "availability_low", "availability_high", "without_maintenance", "raw", "slots"]
                    .map(float)
                    .into(),
                vec![("outages", DataType::Int64)],
                ["outage_s", "longest_outage_s", "mttr_s", "mtbf_s"].map(float).into(),
            ]
            .concat(),
            Ask::Outages => [
                span(),
                vec![("ongoing", DataType::Boolean)],
                ["duration_s", "counted_s", "unknown_s"].map(float).into(),
            ]
            .concat(),
            Ask::Timeline => [span(), vec![("state", DataType::Utf8), float("duration_s")]].concat(),
            Ask::StateAt => vec![("at", time()), ("state", DataType::Utf8), ("since", time())],
            Ask::Budget => [
                span(),
                [
                    "objective",
                    "availability",
                    "coverage",
                    "budget_s",
                    "spent_s",
                    "left_s",
                    "left",
                    "left_low",
                    "left_high",
                ]
                .map(float)
                .into(),
                ["burn_5m", "burn_30m", "burn_1h", "burn_2h", "burn_6h", "burn_1d", "burn_3d"].map(float).into(),
                vec![("alert", DataType::Utf8), ("sure", DataType::Boolean)],
            ]
            .concat(),
        }
    }
}

/// A question, with everything that it takes to answer it.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub ask: Ask,
    pub table: Option<Arc<StoreTable>>,
    pub meaning: Arc<Meaning>,
    /// The span, in ns since the epoch; the end is not part of it and not after now.
    pub from: i64,
    pub to: i64,
    /// Targets whose newest row is in here are listed, also without a slot in the span.
    pub listed: Range<i64>,
    /// Does the span end now? Only then is it certain which targets a shorter one has to list.
    ends_now: bool,
    pub buckets: Option<Buckets>,
    pub objective: f64,
    pub confirm: Confirm,
    /// The places of the tags that make a target.
    pub by: Vec<usize>,
    pub schema: SchemaRef,
}

/// One of the functions.
#[derive(Debug)]
pub(crate) struct AvailabilityFunction {
    pub ask: Ask,
    pub store: Arc<Store>,
}

impl TableFunctionImpl for AvailabilityFunction {
    fn call_with_args(&self, args: TableFunctionArgs) -> Result<Arc<dyn TableProvider>> {
        let arguments = Arguments::read(self.ask.name(), &self.ask.arguments(), args.exprs())?;
        let schema: &str = &args.session().config_options().catalog.default_schema;
        // What `now()` is in the same statement; the plan of a view has no start of its own.
        let started = args.session().execution_props().query_execution_start_time;
        let now = started
            .and_then(|time| time.timestamp_nanos_opt())
            .unwrap_or_else(|| jiff::Timestamp::now().as_nanosecond() as i64);
        Ok(Arc::new(AvailabilityTable(Question::new(self.ask, &arguments, self.store.clone(), schema, now)?)))
    }
}

impl Question {
    fn new(ask: Ask, arguments: &Arguments, store: Arc<Store>, default_schema: &str, now: i64) -> Result<Question> {
        let named = arguments.name("table")?;
        // A name may have dots of its own: `cpu.load`, `public.cpu.load`.
        let dots = named.match_indices('.').map(|(at, _)| (&named[..at], &named[at + 1..]));
        let found = std::iter::once((default_schema, named))
            .chain(dots)
            .find_map(|(schema, name)| stored_table(&store, schema, name));
        let (_, name) = named.split_once('.').unwrap_or((default_schema, named));
        let table = found.map(|info| Arc::new(StoreTable { store: store.clone(), info }));
        let meaning = match &table {
            Some(table) => Meaning::new(ask, arguments, table)?,
            None if known::names().any(|known| known == name) => Meaning::without_rows(name),
            None => return plan_err!("{}: there is no table '{named}'", ask.name()),
        };
        let by = meaning.by(ask, arguments)?;
        let (from, to) = span(ask, arguments, table.as_deref(), now)?;
        let width = if ask == Ask::Availability { arguments.width("bucket")? } else { None };
        let named_zone = if ask == Ask::Availability { arguments.text("zone")? } else { None };
        let wrong = |error| plan_datafusion_err!("{}: {error}", ask.name());
        let named_zone = named_zone.map(zone).transpose().map_err(wrong)?;
        if named_zone.is_some() && width.is_none() {
            return plan_err!("{}: 'zone' is the buckets' and needs 'bucket'", ask.name());
        }
        let objective = if ask == Ask::Budget { arguments.number("objective")? } else { None }.unwrap_or(OBJECTIVE);
        if !(0.0..1.0).contains(&objective) {
            return plan_err!("{}: objective: expected a part like 0.9999, found {objective}", ask.name());
        }
        let field = |(name, kind): (&'static str, DataType)| Field::new(name, kind, true);
        let tags = by.iter().map(|tag| Field::new(&meaning.tags[*tag], DataType::Utf8, true));
        let fields: Vec<Field> = tags.chain(ask.columns().into_iter().map(field)).collect();
        Ok(Question {
            ask,
            from,
            to,
            listed: from.saturating_sub(to.saturating_sub(from).max(DAY_NS))..to,
            ends_now: to == now,
            buckets: width.map(|width| Buckets::new(width, None, named_zone)),
            objective,
            confirm: confirm(ask, arguments, meaning.interval.is_some())?,
            by,
            schema: Arc::new(Schema::new(fields)),
            table,
            meaning: Arc::new(meaning),
        })
    }

    /// From when on rows are read.
    pub(crate) fn read_from(&self) -> i64 {
        let look_back = if self.ask == Ask::StateAt { DAY_NS } else { LOOK_BACK_NS };
        self.from.saturating_sub(look_back.max(self.meaning.hold.unwrap_or(0)))
    }

    /// Leaves out buckets that a condition on their start does not want.
    fn narrow(&mut self, filter: &Expr) {
        let (Some(buckets), Some((op, time))) = (&self.buckets, start_condition(filter)) else { return };
        if !self.ends_now {
            return;
        }
        if matches!(op, Operator::Gt | Operator::GtEq | Operator::Eq) {
            self.from = self.from.max(buckets.start(time));
        }
        if matches!(op, Operator::Lt | Operator::LtEq | Operator::Eq) {
            self.to = self.to.min(buckets.next(buckets.start(time)));
        }
    }
}

/// A condition of the form `start >= time`.
fn start_condition(filter: &Expr) -> Option<(Operator, i64)> {
    let Expr::BinaryExpr(BinaryExpr { left, op, right }) = filter else { return None };
    let (column, op, value) = match (&**left, &**right) {
        (Expr::Column(column), Expr::Literal(value, _)) => (column, *op, value),
        (Expr::Literal(value, _), Expr::Column(column)) => (column, op.swap()?, value),
        _ => return None,
    };
    let ScalarValue::TimestampNanosecond(Some(time), _) = value else { return None };
    (column.name == "start").then_some((op, *time))
}

/// The span that is asked about, cut at now.
fn span(ask: Ask, arguments: &Arguments, table: Option<&StoreTable>, now: i64) -> Result<(i64, i64)> {
    if let Ask::StateAt | Ask::Budget = ask {
        let at = arguments.time("at")?.unwrap_or(now).min(now);
        let window = if ask == Ask::Budget { arguments.span("window")?.unwrap_or(30 * DAY_NS) } else { 1 };
        // The state at an instant is that of the slot that it lies in.
        return Ok(if ask == Ask::Budget { (at.saturating_sub(window), at) } else { (at, at.saturating_add(1)) });
    }
    let to = arguments.time("to")?.unwrap_or(now).min(now);
    let first = || {
        let table = table?;
        let parts = table.store.parts().into_iter();
        let own = parts.filter(|part| part.schema == table.info.schema && part.table == table.info.name);
        own.map(|part| part.times.0).min()
    };
    let from = arguments.time("from")?.or_else(first).unwrap_or(to);
    Ok((from, to.max(from)))
}

/// `2 of 3`.
fn confirm(ask: Ask, arguments: &Arguments, is_probe: bool) -> Result<Confirm> {
    let Some(text) = arguments.text("confirm")? else {
        return Ok(if is_probe { Confirm { bad: 2, of: 3 } } else { Confirm { bad: 1, of: 1 } });
    };
    let numbers =
        text.split_once(" of ").and_then(|(bad, of)| Some((bad.trim().parse().ok()?, of.trim().parse().ok()?)));
    match numbers {
        Some((bad, of)) if 0 < bad && bad <= of && of <= 100 => Ok(Confirm { bad, of }),
        _ => plan_err!("{}: confirm: expected how many of how many slots, like '2 of 3', found '{text}'", ask.name()),
    }
}

impl Meaning {
    fn new(ask: Ask, arguments: &Arguments, table: &StoreTable) -> Result<Meaning> {
        let wrong = |what: String| plan_datafusion_err!("{}: {what}", ask.name());
        let column = |name: &str| table.info.columns.field_with_name(name).ok();
        let state = arguments.text("state")?.unwrap_or("up");
        let Some(field) = column(state) else {
            let name = &table.info.name;
            return Err(wrong(format!(
                "table '{name}' has no column '{state}'; state => '...' says which one tells whether it is up"
            )));
        };
        let is_text = matches!(field.data_type(), DataType::Utf8 | DataType::Dictionary(..));
        let good = arguments.list("good")?;
        if is_text != good.is_some() {
            let kind = field.data_type();
            return Err(wrong(format!("'good' lists the texts that mean up; '{state}' is of type {kind}")));
        }
        let interval = column("interval_ms").filter(|field| field.data_type().is_numeric()).map(|_| "interval_ms");
        let outcome = column("outcome").filter(|field| *field.data_type() == DataType::Utf8).map(|_| "outcome");
        Ok(Meaning {
            state: state.into(),
            good: good.unwrap_or_default(),
            unknown: arguments.list("unknown")?.unwrap_or_default(),
            hold: arguments.span("hold")?,
            interval,
            outcome,
            tags: table.info.tags.clone(),
        })
    }

    /// Of a known table that nothing was written to.
    fn without_rows(table: &str) -> Meaning {
        Meaning {
            state: "up".into(),
            good: Vec::new(),
            unknown: Vec::new(),
            hold: None,
            interval: None,
            outcome: None,
            tags: known::tags(table).map(str::to_owned).collect(),
        }
    }

    /// The places of the tags that make a target: those asked for, else `target`, else all.
    fn by(&self, ask: Ask, arguments: &Arguments) -> Result<Vec<usize>> {
        let place = |name: &String| {
            let place = self.tags.iter().position(|tag| tag == name);
            place.ok_or_else(|| {
                plan_datafusion_err!("{}: by: '{name}' is no tag; there are {}", ask.name(), self.tags.join(", "))
            })
        };
        match arguments.list("by")? {
            Some(names) => names.iter().map(place).collect(),
            None => Ok(place(&"target".into()).map_or_else(|_| (0..self.tags.len()).collect(), |place| vec![place])),
        }
    }
}

/// A question as a table.
#[derive(Debug)]
pub(crate) struct AvailabilityTable(Question);

#[async_trait]
impl TableProvider for AvailabilityTable {
    fn schema(&self) -> SchemaRef {
        self.0.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Temporary
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        let support = |filter: &&Expr| match push(filter, &|name| self.0.kind(name)) {
            Some(_) => TableProviderFilterPushDown::Exact,
            None => TableProviderFilterPushDown::Inexact,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let mut question = self.0.clone();
        let partitions = state.config().target_partitions();
        let mut request = ScanRequest { partitions, whole_series: true, ..ScanRequest::default() };
        for filter in filters {
            match push(filter, &|name| question.kind(name)) {
                Some(pushed) => pushed.narrow(&mut request),
                None => question.narrow(filter),
            }
        }
        request.columns = Some(question.meaning.columns());
        (request.from, request.to) = (question.read_from(), question.to.saturating_sub(1));
        let external = |error: tsdb::Error| DataFusionError::External(error.into());
        let (mut scan, mut exclusions) = (None, Exclusions::default());
        if let Some(table) = question.table.as_deref() {
            let StoreTable { store, info } = table;
            scan = Some(Arc::new(store.scan(&info.schema, &info.name, &request).map_err(external)?));
            let Some(state) = state.as_any().downcast_ref::<SessionState>() else {
                return plan_err!("{}: this session plans no conditions", question.ask.name());
            };
            exclusions =
                Exclusions::read(store, state, &info.schema, &question.meaning.tags, question.from, question.to)?;
        }
        Ok(Arc::new(OnceExec::new(Arc::new(Answering { question, request, scan, exclusions }), projection)?))
    }
}

impl Question {
    /// What a column of this name is to the store.
    fn kind(&self, name: &str) -> ColumnKind {
        let is_tag = self.by.iter().any(|tag| self.meaning.tags[*tag] == name);
        if is_tag { ColumnKind::Tag } else { ColumnKind::Other }
    }
}
