//! Metrics in tables: the field `value` of the table `m` is the metric `m`, another number `f` in it is `m_f`; rows with the
//! columns of a native histogram are histograms of `m`. Texts are nothing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_schema::{DataType, SchemaRef};
use domain::metric::{self, HISTOGRAM, START, VALUE, field_beside_tag};
use tsdb::{Store, TIME_COLUMN, TableInfo};

use crate::base::labels::NAME;
use crate::syntax::{MatchOp, Matcher};

/// Where the samples of a metric are.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The metric.
    pub metric: String,
    /// The table.
    pub table: String,
    /// Its labels.
    pub labels: Vec<Label>,
    /// The field with floats, if there is one.
    pub field: Option<String>,
    /// The columns of a histogram that it has, if it has histograms.
    pub histogram: Vec<HistogramColumn>,
    /// The column with the times since when samples count, if there is one.
    pub start: Option<String>,
}

/// A label and the tag that it is.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub name: String,
    pub tag: String,
}

/// Something that a histogram has, and the column that it is in.
#[derive(Debug, Clone)]
pub(crate) struct HistogramColumn {
    pub what: &'static str,
    pub column: String,
}

impl Place {
    /// The tag that a label is.
    pub(crate) fn tag(&self, label: &str) -> Option<&str> {
        self.labels.iter().find(|own| own.name == label).map(|own| own.tag.as_str())
    }
}

/// A table as metrics see it.
struct Table {
    info: TableInfo,
    /// The columns of histograms; empty if there are none.
    histogram: Vec<HistogramColumn>,
    /// The column with the times since when samples count.
    start: Option<String>,
}

impl Table {
    fn of(store: &Store, schema: &str, table: &str) -> Option<Table> {
        let info = store.table(schema, table)?;
        let name = |what: &str| match info.tags.iter().any(|tag| tag == what) {
            true => field_beside_tag(what),
            false => Some(what.to_owned()),
        };
        let field = |what: &'static str| {
            let name = name(what)?;
            kind(&info.columns, &name).map(|kind| (HistogramColumn { what, column: name.clone() }, kind))
        };
        let start = name(START).filter(|name| kind(&info.columns, name) == Some(&DataType::Int64));
        let found: Vec<_> = HISTOGRAM.into_iter().filter_map(field).collect();
        let has = |what: &str, is_kind: fn(&DataType) -> bool| {
            found.iter().any(|(own, kind)| own.what == what && is_kind(kind))
        };
        let has_all =
            has("positive", DataType::is_string) && has("negative", DataType::is_string) && has("schema", |_| true);
        let histogram = if has_all { found.into_iter().map(|(column, _)| column).collect() } else { Vec::new() };
        Some(Table { info, histogram, start })
    }

    fn is_tag(&self, column: &str) -> bool {
        self.info.tags.iter().any(|tag| tag == column)
    }

    fn is_number(&self, field: &str) -> bool {
        let is_field = field != TIME_COLUMN && !self.is_tag(field);
        let is_own = self.histogram.iter().any(|own| own.column == field) || self.start.as_deref() == Some(field);
        let is_number = |kind: &DataType| kind.is_numeric() || *kind == DataType::Boolean;
        is_field && !is_own && kind(&self.info.columns, field).is_some_and(is_number)
    }

    fn place(&self, metric: String, field: Option<&str>) -> Place {
        let has_field = |field: &str| !self.is_tag(field) && kind(&self.info.columns, field).is_some();
        let label = |tag: &String| Label { name: metric::label(tag, has_field).to_owned(), tag: tag.clone() };
        let histogram = if metric == self.info.name { self.histogram.clone() } else { Vec::new() };
        Place {
            metric,
            table: self.info.name.clone(),
            labels: self.info.tags.iter().map(label).collect(),
            field: field.map(str::to_owned),
            histogram,
            start: self.start.clone(),
        }
    }

    /// The metric of the table's own name.
    fn own(&self) -> Option<Place> {
        let value = self.is_number(VALUE).then_some(VALUE);
        (value.is_some() || !self.histogram.is_empty()).then(|| self.place(self.info.name.clone(), value))
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

/// The metrics of a store, known until its tables change.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<HashMap<String, Known>>);

/// The metrics of a schema, and of which version of the catalogue.
#[derive(Debug, Clone)]
struct Known {
    version: u64,
    places: Arc<[Arc<Place>]>,
}

impl Metrics {
    /// The places of all metrics of a schema.
    pub(crate) fn all(&self, store: &Store, schema: &str) -> Arc<[Arc<Place>]> {
        // First: what changes behind it makes it old.
        let version = store.catalog_version();
        let known = self.lock().get(schema).filter(|known| known.version == version).cloned();
        if let Some(known) = known {
            return known.places;
        }
        let tables = store.tables().filter(|(own, _)| *own == schema).map(|(_, table)| table);
        let tables = tables.filter_map(|table| Table::of(store, schema, table));
        let mut places: Vec<Arc<Place>> =
            tables.flat_map(|table| table.all().map(Arc::new).collect::<Vec<_>>()).collect();
        // As series are sorted in the end; of one name the table of that name comes first, as it wins over fields.
        places.sort_by(|one, other| {
            let is_field = |place: &Place| place.table != place.metric;
            one.metric.cmp(&other.metric).then_with(|| is_field(one).cmp(&is_field(other)))
        });
        let places: Arc<[Arc<Place>]> = places.into();
        // Of a schema that is not there nothing is kept.
        if !places.is_empty() {
            self.lock().insert(schema.to_owned(), Known { version, places: places.clone() });
        }
        places
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The places of metrics whose names match.
    pub(crate) fn matching(&self, store: &Store, schema: &str, matchers: &[Matcher]) -> Vec<Arc<Place>> {
        let names: Vec<&Matcher> = matchers.iter().filter(|matcher| matcher.label == NAME).collect();
        let known = names.iter().find_map(|matcher| match &matcher.op {
            MatchOp::Equal(name) => Some(vec![name.as_str()]),
            MatchOp::Matches(pattern) => pattern.choice(),
            _ => None,
        });
        let is_wanted = |place: &Arc<Place>| names.iter().all(|matcher| matcher.matches(&place.metric));
        match known {
            Some(known) => {
                let places = known.into_iter().flat_map(|name| of_name(store, schema, name)).map(Arc::new);
                places.filter(is_wanted).collect()
            }
            None => self.all(store, schema).iter().filter(|place| is_wanted(place)).cloned().collect(),
        }
    }
}

/// The places of a metric: a table of its name first, then fields of tables whose names together make it.
fn of_name(store: &Store, schema: &str, name: &str) -> Vec<Place> {
    let own = Table::of(store, schema, name).and_then(|table| table.own());
    let fields = name.match_indices('_').filter(|(at, _)| *at > 0).filter_map(|(at, _)| {
        let (table, field) = (&name[..at], &name[at + 1..]);
        Table::of(store, schema, table)?.field(field)
    });
    own.into_iter().chain(fields).collect()
}
