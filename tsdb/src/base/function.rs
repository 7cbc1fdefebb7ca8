//! Functions of an aggregation.

use crate::base::value::FieldType;

/// How values become one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function {
    /// How many rows, or values of a field: `Int64`.
    Count,
    /// Their sum, in the field's type; one of integers that is beyond it is an error.
    Sum,
    /// Their mean: `Float64`.
    Mean,
    /// The smallest, in the field's type; NaN is greater than every number.
    Min,
    /// The largest, in the field's type; NaN is greater than every number.
    Max,
    /// The one of the earliest time, in the field's type; not of strings.
    First,
    /// The one of the latest time, in the field's type; not of strings.
    Last,
    /// What a part of them (0 to 1) does not exceed, as of [`Sketch::quantile`](crate::Sketch::quantile): `Float64`.
    Quantile(f64),
    /// All of them as a [`Sketch`](crate::Sketch): `Binary`.
    Sketch,
}

impl Function {
    /// Can it be made of values of a type?
    pub(crate) fn takes(self, kind: FieldType) -> bool {
        match self {
            Function::Count => true,
            Function::First | Function::Last => kind != FieldType::Str,
            _ => !matches!(kind, FieldType::Bool | FieldType::Str),
        }
    }
}
