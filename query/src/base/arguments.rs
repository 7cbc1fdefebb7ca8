//! Arguments of table functions: by place, then by name.

use std::collections::BTreeMap;

use arrow::compute::kernels::cast_utils::string_to_timestamp_nanos;
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::{ScalarValue, plan_datafusion_err};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;

use crate::base::calendar::Width;

/// What a function was called with.
#[derive(Debug)]
pub(crate) struct Arguments {
    function: &'static str,
    values: BTreeMap<&'static str, ScalarValue>,
}

impl Arguments {
    /// Reads them; those by place have the first names.
    ///
    /// # Errors
    ///
    /// There are too many, one is unknown, one is no literal or given twice.
    pub(crate) fn read(function: &'static str, names: &[&'static str], exprs: &[Expr]) -> Result<Arguments> {
        let wrong = |what: String| plan_datafusion_err!("{function}({}): {what}", names.join(", "));
        let mut values = BTreeMap::new();
        let mut named = false;
        for (at, expr) in exprs.iter().enumerate() {
            let Expr::Literal(value, _) = expr else {
                return Err(wrong(format!("expected literals as arguments, found {expr}")));
            };
            let (name, value) = match value {
                ScalarValue::Struct(named_value) if named_value.num_columns() == 1 => {
                    named = true;
                    let given = named_value.column_names()[0];
                    let name = names.iter().find(|name| **name == given);
                    let name = name.ok_or_else(|| wrong(format!("there is no argument '{given}'")))?;
                    (*name, ScalarValue::try_from_array(named_value.column(0), 0)?)
                }
                _ if named => return Err(wrong("an argument without a name stands after one with a name".into())),
                value => (*names.get(at).ok_or_else(|| wrong("there are too many arguments".into()))?, value.clone()),
            };
            if values.insert(name, value).is_some() {
                return Err(wrong(format!("'{name}' is given twice")));
            }
        }
        Ok(Arguments { function, values })
    }

    fn wrong(&self, name: &str, expected: &str) -> datafusion::error::DataFusionError {
        let found = self.values.get(name).map_or_else(|| "nothing".to_owned(), ScalarValue::to_string);
        plan_datafusion_err!("{}: {name}: expected {expected}, found {found}", self.function)
    }

    fn get(&self, name: &str) -> Option<&ScalarValue> {
        self.values.get(name).filter(|value| !value.is_null())
    }

    /// A text; nothing if it is not given or NULL.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        Ok(Some(value.try_as_str().flatten().ok_or_else(|| self.wrong(name, "a text"))?))
    }

    /// A text that has to be there.
    pub(crate) fn name(&self, name: &str) -> Result<&str> {
        self.text(name)?.ok_or_else(|| self.wrong(name, "a text"))
    }

    /// Texts with commas between them.
    pub(crate) fn list(&self, name: &str) -> Result<Option<Vec<String>>> {
        let split =
            |text: &str| text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(Into::into).collect();
        Ok(self.text(name)?.map(split))
    }

    /// A time, in ns since the epoch.
    pub(crate) fn time(&self, name: &str) -> Result<Option<i64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let expected = || self.wrong(name, "a timestamp like '2026-03-01T00:00:00Z'");
        if let Some(text) = value.try_as_str().flatten() {
            return string_to_timestamp_nanos(text).map(Some).map_err(|_| expected());
        }
        let is_time = matches!(value.data_type(), DataType::Timestamp(..) | DataType::Date32 | DataType::Date64);
        let cast = value.cast_to(&DataType::Timestamp(TimeUnit::Nanosecond, None));
        match cast.ok().filter(|_| is_time) {
            Some(ScalarValue::TimestampNanosecond(Some(ns), _)) => Ok(Some(ns)),
            _ => Err(expected()),
        }
    }

    /// A number.
    pub(crate) fn number(&self, name: &str) -> Result<Option<f64>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        match value.cast_to(&DataType::Float64) {
            Ok(ScalarValue::Float64(Some(number))) if value.try_as_str().is_none() => Ok(Some(number)),
            _ => Err(self.wrong(name, "a number")),
        }
    }

    /// A span of time, as an interval or a text.
    pub(crate) fn width(&self, name: &str) -> Result<Option<Width>> {
        let Some(value) = self.get(name) else { return Ok(None) };
        let width = match value {
            ScalarValue::IntervalMonthDayNano(Some(span)) => Width::new(span.months, span.days, span.nanoseconds),
            value => Width::parse(value.try_as_str().flatten().ok_or_else(|| self.wrong(name, "a span like '1d'"))?),
        };
        width.map(Some).map_err(|error| plan_datafusion_err!("{}: {name}: {error}", self.function))
    }

    /// A span of time of a fixed length, in ns.
    pub(crate) fn span(&self, name: &str) -> Result<Option<i64>> {
        let Some(width) = self.width(name)? else { return Ok(None) };
        if width.months > 0 {
            return Err(self.wrong(name, "a span of days or shorter units"));
        }
        Ok(Some(width.ns))
    }
}
