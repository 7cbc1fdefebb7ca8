//! Metrics in tables: the field `value` of the table `m` is the metric `m`, another number `f` in it is `m_f`; rows with the
//! columns of a native histogram are histograms of `m`. Texts are nothing.

use arrow_schema::{DataType, SchemaRef};
use tsdb::{Store, TIME_COLUMN, TableInfo};

use crate::base::labels::NAME;
use crate::syntax::{MatchOp, Matcher};

/// The field of a table that is the metric of its name.
const VALUE: &str = "value";
/// The columns of a native histogram, in the order in which they are read.
pub(crate) const HISTOGRAM: [&str; 9] =
    ["count", "sum", "schema", "zero_threshold", "zero_count", "positive", "negative", "reset_hint", "custom_values"];

/// Where the samples of a metric are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The metric.
    pub metric: String,
    /// The table.
    pub table: String,
    /// The names of its tags.
    pub tags: Vec<String>,
    /// The field with floats, if there is one.
    pub field: Option<String>,
    /// The columns of histograms that it has, if it has histograms.
    pub histogram: Vec<&'static str>,
}

/// A table as metrics see it.
struct Metrics {
    info: TableInfo,
    has_histograms: bool,
}

impl Metrics {
    fn of(store: &Store, schema: &str, table: &str) -> Option<Metrics> {
        let info = store.table(schema, table)?;
        let is_text = |name: &str| kind(&info.columns, name).is_some_and(DataType::is_string);
        let has_histograms = is_text("positive") && is_text("negative") && kind(&info.columns, "schema").is_some();
        Some(Metrics { info, has_histograms })
    }

    fn is_number(&self, field: &str) -> bool {
        let is_field = field != TIME_COLUMN && !self.info.tags.iter().any(|tag| tag == field);
        let is_own = self.has_histograms && HISTOGRAM.contains(&field);
        let is_number = |kind: &DataType| kind.is_numeric() || *kind == DataType::Boolean;
        is_field && !is_own && kind(&self.info.columns, field).is_some_and(is_number)
    }

    fn place(&self, metric: String, field: Option<&str>) -> Place {
        let is_own = metric == self.info.name;
        let has = |name: &&&'static str| kind(&self.info.columns, name).is_some();
        let histogram = match is_own && self.has_histograms {
            true => HISTOGRAM.iter().filter(has).copied().collect(),
            false => Vec::new(),
        };
        Place {
            metric,
            table: self.info.name.clone(),
            tags: self.info.tags.clone(),
            field: field.map(str::to_owned),
            histogram,
        }
    }

    /// The metric of the table's own name.
    fn own(&self) -> Option<Place> {
        let value = self.is_number(VALUE).then_some(VALUE);
        (value.is_some() || self.has_histograms).then(|| self.place(self.info.name.clone(), value))
    }

    /// The metric of another field.
    fn field(&self, field: &str) -> Option<Place> {
        let is_metric = field != VALUE && self.is_number(field);
        is_metric.then(|| self.place(format!("{}_{field}", self.info.name), Some(field)))
    }

    fn all(&self) -> impl Iterator<Item = Place> {
        let fields = self.info.columns.fields().iter().filter_map(|field| self.field(field.name()));
        self.own().into_iter().chain(fields)
    }
}

fn kind<'a>(columns: &'a SchemaRef, name: &str) -> Option<&'a DataType> {
    columns.field_with_name(name).ok().map(arrow_schema::Field::data_type)
}

/// The places of all metrics of a schema.
pub(crate) fn all(store: &Store, schema: &str) -> Vec<Place> {
    let tables = store.tables().filter(|(own, _)| *own == schema).map(|(_, table)| table);
    tables
        .filter_map(|table| Metrics::of(store, schema, table))
        .flat_map(|table| table.all().collect::<Vec<_>>())
        .collect()
}

/// The places of a metric: a table of its name first, then fields of tables whose names together make it.
fn of_name(store: &Store, schema: &str, name: &str) -> Vec<Place> {
    let own = Metrics::of(store, schema, name).and_then(|table| table.own());
    let fields = name.match_indices('_').filter(|(at, _)| *at > 0).filter_map(|(at, _)| {
        let (table, field) = (&name[..at], &name[at + 1..]);
        Metrics::of(store, schema, table)?.field(field)
    });
    own.into_iter().chain(fields).collect()
}

/// The places of metrics whose names match.
pub(crate) fn matching(store: &Store, schema: &str, matchers: &[Matcher]) -> Vec<Place> {
    let names: Vec<&Matcher> = matchers.iter().filter(|matcher| matcher.label == NAME).collect();
    let known = names.iter().find_map(|matcher| match &matcher.op {
        MatchOp::Equal(name) => Some(vec![name.as_str()]),
        MatchOp::Matches(pattern) => pattern.choice(),
        _ => None,
    });
    let mut places: Vec<Place> = match known {
        Some(known) => known.into_iter().flat_map(|name| of_name(store, schema, name)).collect(),
        None => all(store, schema),
    };
    places.retain(|place| names.iter().all(|matcher| matcher.matches(&place.metric)));
    places
}
