//! Conditions on fields: rows are wanted for what was measured, and not only for whose it is and when.

use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, UInt32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, Scalar, StringArray, UInt32Array, UInt64Array,
};
use arrow_buffer::BooleanBuffer;
use arrow_ord::cmp;
use arrow_select::filter::FilterBuilder;
use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::value::{FieldType, Value};
use crate::catalog::registry::{ColumnRef, Table};
use crate::rows::keyed::Rows;

/// A condition on one field. A row without a value meets only [`IsNull`](Self::IsNull).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldPredicate {
    /// The value compares so with this one. Floats are in the total order of IEEE 754, where NaN is greater than every
    /// number, but for one thing: -0.0 and 0.0 are equal.
    Compares(String, Comparison, Literal),
    /// The value is one of these.
    In(String, Vec<Literal>),
    /// The row has no value.
    IsNull(String),
    /// The row has a value.
    IsNotNull(String),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// They are equal.
    Eq,
    /// They are not.
    NotEq,
    /// The first is less.
    Lt,
    /// The first is not greater.
    LtEq,
    /// The first is greater.
    Gt,
    /// The first is not less.
    GtEq,
}

/// A value that fields are compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Literal {
    /// 64-bit float.
    F64(f64),
    /// 64-bit signed integer.
    I64(i64),
    /// 64-bit unsigned integer.
    U64(u64),
    /// Boolean.
    Bool(bool),
    /// UTF-8 string.
    Str(String),
}

impl Literal {
    fn value(&self) -> Value<'_> {
        match self {
            Literal::F64(value) => Value::F64(*value),
            Literal::I64(value) => Value::I64(*value),
            Literal::U64(value) => Value::U64(*value),
            Literal::Bool(value) => Value::Bool(*value),
            Literal::Str(value) => Value::Str(value),
        }
    }

    /// The same value in the type of a field, if it can be one.
    fn typed(&self, kind: FieldType) -> Option<Literal> {
        let whole = match self {
            Literal::I64(value) => Some(i128::from(*value)),
            Literal::U64(value) => Some(i128::from(*value)),
            Literal::F64(value) => (value.fract() == 0.0).then_some(*value as i128),
            _ => None,
        };
        match (kind, self) {
            (FieldType::Bool, Literal::Bool(_)) | (FieldType::Str, Literal::Str(_)) => Some(self.clone()),
            (FieldType::F64, Literal::F64(_)) => Some(self.clone()),
            (FieldType::F64, _) => {
                whole.map(|whole| whole as f64).filter(|float| Some(*float as i128) == whole).map(Literal::F64)
            }
            (FieldType::I64, _) => i64::try_from(whole?).ok().map(Literal::I64),
            (FieldType::U64, _) => u64::try_from(whole?).ok().map(Literal::U64),
            _ => None,
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Literal::F64(value) => Arc::new(Float64Array::from(vec![*value])),
            Literal::I64(value) => Arc::new(Int64Array::from(vec![*value])),
            Literal::U64(value) => Arc::new(UInt64Array::from(vec![*value])),
            Literal::Bool(value) => Arc::new(BooleanArray::from(vec![*value])),
            Literal::Str(value) => Arc::new(StringArray::from(vec![value.as_str()])),
        }
    }
}

impl std::fmt::Display for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Literal::F64(value) => write!(f, "{value}"),
            Literal::I64(value) => write!(f, "{value}"),
            Literal::U64(value) => write!(f, "{value}"),
            Literal::Bool(value) => write!(f, "{value}"),
            Literal::Str(value) => write!(f, "'{}'", value.replace('\'', "''")),
        }
    }
}

impl std::fmt::Display for FieldPredicate {
    /// As SQL has it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FieldPredicate::Compares(field, Comparison::Eq, Literal::Bool(true)) => f.write_str(field),
            FieldPredicate::Compares(field, Comparison::Eq, Literal::Bool(false)) => write!(f, "NOT {field}"),
            FieldPredicate::Compares(field, comparison, literal) => {
                let sign = match comparison {
                    Comparison::Eq => "=",
                    Comparison::NotEq => "!=",
                    Comparison::Lt => "<",
                    Comparison::LtEq => "<=",
                    Comparison::Gt => ">",
                    Comparison::GtEq => ">=",
                };
                write!(f, "{field} {sign} {literal}")
            }
            FieldPredicate::In(field, literals) => {
                let list: Vec<String> = literals.iter().map(ToString::to_string).collect();
                write!(f, "{field} IN ({})", list.join(", "))
            }
            FieldPredicate::IsNull(field) => write!(f, "{field} IS NULL"),
            FieldPredicate::IsNotNull(field) => write!(f, "{field} IS NOT NULL"),
        }
    }
}

impl FieldPredicate {
    /// The field that it is about.
    pub fn field(&self) -> &str {
        match self {
            FieldPredicate::Compares(field, ..) | FieldPredicate::In(field, _) => field,
            FieldPredicate::IsNull(field) | FieldPredicate::IsNotNull(field) => field,
        }
    }

    /// The values that the field is compared with.
    pub fn literals_mut(&mut self) -> &mut [Literal] {
        match self {
            FieldPredicate::Compares(_, _, literal) => std::slice::from_mut(literal),
            FieldPredicate::In(_, literals) => literals,
            FieldPredicate::IsNull(_) | FieldPredicate::IsNotNull(_) => &mut [],
        }
    }

    /// The same with its values in the type that the field has in a table, and the field's number.
    ///
    /// # Errors
    ///
    /// The table has no such field, or one of another type.
    pub(crate) fn typed(&self, table: &Table) -> Result<(u32, FieldPredicate)> {
        let name = self.field();
        let Some(ColumnRef::Field(field, kind)) = table.columns().find(name) else {
            return Err(Error::UnknownColumn { table: table.name.clone(), column: name.into() });
        };
        let mut typed = self.clone();
        for literal in typed.literals_mut() {
            *literal = literal.typed(kind).ok_or_else(|| Error::NotComparable {
                table: table.name.clone(),
                column: name.into(),
                kind,
                with: literal.value().field_type(),
            })?;
        }
        Ok((field, typed))
    }
}

/// A condition on rows as they are read.
#[derive(Debug)]
struct Condition {
    /// The field's place among the columns.
    place: usize,
    test: Test,
}

#[derive(Debug)]
enum Test {
    /// With an array of one value.
    Compares(Comparison, ArrayRef),
    /// With several of them.
    In(Vec<ArrayRef>),
    IsNull,
    IsNotNull,
}

impl Test {
    /// For each row: does it meet the condition?
    fn holds(&self, column: Option<&ArrayRef>, rows: usize) -> BooleanBuffer {
        let Some(column) = column else {
            return if matches!(self, Test::IsNull) {
                BooleanBuffer::new_set(rows)
            } else {
                BooleanBuffer::new_unset(rows)
            };
        };
        let compare = |comparison: Comparison, value: &ArrayRef| {
            if let Some(holds) = compare_with_zero(column, comparison, value) {
                return holds;
            }
            let value = Scalar::new(value.clone());
            let outcome = match comparison {
                Comparison::Eq => cmp::eq(column, &value),
                Comparison::NotEq => cmp::neq(column, &value),
                Comparison::Lt => cmp::lt(column, &value),
                Comparison::LtEq => cmp::lt_eq(column, &value),
                Comparison::Gt => cmp::gt(column, &value),
                Comparison::GtEq => cmp::gt_eq(column, &value),
            };
            let (holds, nulls) = outcome.expect("the value has the column's type").into_parts();
            nulls.map_or(holds.clone(), |nulls| &holds & nulls.inner())
        };
        let is_valid = || column.nulls().map_or_else(|| BooleanBuffer::new_set(rows), |nulls| nulls.inner().clone());
        match self {
            Test::Compares(comparison, value) => compare(*comparison, value),
            Test::In(values) => {
                let each = values.iter().map(|value| compare(Comparison::Eq, value));
                each.reduce(|a, b| &a | &b).unwrap_or_else(|| BooleanBuffer::new_unset(rows))
            }
            Test::IsNotNull => is_valid(),
            Test::IsNull => !&is_valid(),
        }
    }
}

/// A column of floats compared with zero, of which there are two.
fn compare_with_zero(column: &ArrayRef, comparison: Comparison, value: &ArrayRef) -> Option<BooleanBuffer> {
    let is_zero = value.as_primitive_opt::<Float64Type>()?.value(0) == 0.0;
    let column = column.as_primitive_opt::<Float64Type>().filter(|_| is_zero)?;
    let holds = |value: f64| match comparison {
        Comparison::Eq => value == 0.0,
        Comparison::NotEq => value != 0.0,
        // In the total order NaN stands at the end of its sign.
        Comparison::Lt => value < 0.0 || (value.is_nan() && value.is_sign_negative()),
        Comparison::LtEq => value <= 0.0 || (value.is_nan() && value.is_sign_negative()),
        Comparison::Gt => value > 0.0 || (value.is_nan() && value.is_sign_positive()),
        Comparison::GtEq => value >= 0.0 || (value.is_nan() && value.is_sign_positive()),
    };
    let all = BooleanBuffer::collect_bool(column.len(), |row| holds(column.values()[row]));
    Some(column.nulls().map_or(all.clone(), |nulls| &all & nulls.inner()))
}

/// Conditions that all must hold.
#[derive(Debug, Default)]
pub(crate) struct Conditions(Vec<Condition>);

impl Conditions {
    /// These conditions over rows that have the columns of `fields`, to which what is missing is added.
    pub(crate) fn new(table: &Table, predicates: &[FieldPredicate], fields: &mut Vec<u32>) -> Result<Conditions> {
        let condition = |predicate: &FieldPredicate| {
            let (field, typed) = predicate.typed(table)?;
            let place = fields.iter().position(|known| *known == field).unwrap_or_else(|| {
                fields.push(field);
                fields.len() - 1
            });
            let test = match &typed {
                FieldPredicate::Compares(_, comparison, literal) => Test::Compares(*comparison, literal.array()),
                FieldPredicate::In(_, literals) => Test::In(literals.iter().map(Literal::array).collect()),
                FieldPredicate::IsNull(_) => Test::IsNull,
                FieldPredicate::IsNotNull(_) => Test::IsNotNull,
            };
            Ok(Condition { place, test })
        };
        Ok(Conditions(predicates.iter().map(condition).collect::<Result<_>>()?))
    }

    /// The rows that meet all of them, with their first `columns` columns.
    pub(crate) fn apply(&self, rows: Rows, columns: usize) -> Rows {
        let test = |condition: &Condition| condition.test.holds(rows.columns[condition.place].as_ref(), rows.len());
        let Some(holds) = self.0.iter().map(test).reduce(|a, b| &a & &b) else { return rows };
        let wanted = holds.count_set_bits();
        if wanted == rows.len() {
            return rows;
        }
        let filter = FilterBuilder::new(&BooleanArray::new(holds, None)).optimize().build();
        let pick = |array: &dyn Array| filter.filter(array).expect("columns are as long as their rows");
        let column = |column: &Option<ArrayRef>| column.as_ref().map(|column| pick(column));
        Rows {
            series: pick(&UInt32Array::new(rows.series, None)).as_primitive::<UInt32Type>().values().clone(),
            times: match rows.times.is_empty() {
                true => rows.times,
                false => pick(&Int64Array::new(rows.times, None)).as_primitive::<Int64Type>().values().clone(),
            },
            columns: rows.columns[..columns].iter().map(column).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_take_the_type_of_the_field_or_are_refused() {
        let typed = |literal: Literal, kind| literal.typed(kind);
        assert_eq!(typed(Literal::I64(5), FieldType::F64), Some(Literal::F64(5.0)));
        assert_eq!(typed(Literal::I64((1 << 53) + 1), FieldType::F64), None);
        assert_eq!(typed(Literal::F64(5.0), FieldType::U64), Some(Literal::U64(5)));
        assert_eq!(typed(Literal::F64(5.5), FieldType::I64), None);
        assert_eq!(typed(Literal::F64(f64::INFINITY), FieldType::I64), None);
        assert_eq!(typed(Literal::I64(-1), FieldType::U64), None);
        assert_eq!(typed(Literal::Bool(true), FieldType::I64), None);
        assert_eq!(typed(Literal::Str("a".into()), FieldType::Str), Some(Literal::Str("a".into())));
    }

    #[test]
    fn a_row_without_a_value_meets_only_is_null() {
        let rows = || Rows {
            series: vec![1, 1, 2].into(),
            times: vec![5, 6, 7].into(),
            columns: vec![Some(Arc::new(Float64Array::from(vec![Some(1.0), None, Some(f64::NAN)])) as ArrayRef), None],
        };
        let left =
            |place: usize, test: Test| Conditions(vec![Condition { place, test }]).apply(rows(), 1).times.to_vec();
        let value = |value: f64| Literal::F64(value).array();
        assert_eq!(left(0, Test::Compares(Comparison::Gt, value(0.0))), [5, 7]);
        assert_eq!(left(0, Test::Compares(Comparison::NotEq, value(1.0))), [7]);
        assert_eq!(left(0, Test::In(vec![value(1.0), value(2.0)])), [5]);
        assert_eq!(left(0, Test::IsNull), [6]);
        assert_eq!(left(0, Test::IsNotNull), [5, 7]);
        assert_eq!(left(1, Test::IsNull), [5, 6, 7]);
        // SQL knows one zero: `v = 0` had no row of -0.0, and `v < 0` had it.
        let zeros = || Rows {
            series: vec![1; 5].into(),
            times: vec![1, 2, 3, 4, 5].into(),
            columns: vec![Some(Arc::new(Float64Array::from(vec![-0.0, 0.0, 1.0, f64::NAN, -1.0])) as ArrayRef)],
        };
        let of = |comparison, zero: f64| {
            let test = Test::Compares(comparison, value(zero));
            Conditions(vec![Condition { place: 0, test }]).apply(zeros(), 1).times.to_vec()
        };
        for zero in [0.0, -0.0] {
            assert_eq!(of(Comparison::Eq, zero), [1, 2]);
            assert_eq!(of(Comparison::NotEq, zero), [3, 4, 5]);
            assert_eq!(of(Comparison::Lt, zero), [5]);
            assert_eq!(of(Comparison::LtEq, zero), [1, 2, 5]);
            assert_eq!(of(Comparison::Gt, zero), [3, 4]);
            assert_eq!(of(Comparison::GtEq, zero), [1, 2, 3, 4]);
            let test = Test::In(vec![value(zero), value(1.0)]);
            assert_eq!(Conditions(vec![Condition { place: 0, test }]).apply(zeros(), 1).times.to_vec(), [1, 2, 3]);
        }
        assert_eq!(left(1, Test::Compares(Comparison::Lt, value(9.0))), [0i64; 0]);
    }
}
