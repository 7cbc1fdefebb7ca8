//! The five types a field can have, and a value of one of them.

use arrow_schema::DataType;

/// The type of a field, fixed by its first write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[repr(u8)]
pub enum FieldType {
    /// 64-bit float.
    F64 = 1,
    /// 64-bit signed integer.
    I64 = 2,
    /// 64-bit unsigned integer.
    U64 = 3,
    /// Boolean.
    Bool = 4,
    /// UTF-8 string.
    Str = 5,
}

impl FieldType {
    pub(crate) const ALL: [FieldType; 5] =
        [FieldType::F64, FieldType::I64, FieldType::U64, FieldType::Bool, FieldType::Str];

    /// The type with this number in a file, if there is one.
    pub(crate) fn from_u8(number: u8) -> Option<FieldType> {
        FieldType::ALL.into_iter().find(|kind| *kind as u8 == number)
    }

    /// The type whose columns have this Arrow type.
    pub fn of(kind: &DataType) -> Option<FieldType> {
        FieldType::ALL.into_iter().find(|own| own.arrow() == *kind)
    }

    /// The Arrow type of a column of this type.
    pub fn arrow(self) -> DataType {
        match self {
            FieldType::F64 => DataType::Float64,
            FieldType::I64 => DataType::Int64,
            FieldType::U64 => DataType::UInt64,
            FieldType::Bool => DataType::Boolean,
            FieldType::Str => DataType::Utf8,
        }
    }
}

impl std::fmt::Display for FieldType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FieldType::F64 => "a float",
            FieldType::I64 => "an integer",
            FieldType::U64 => "an unsigned integer",
            FieldType::Bool => "a boolean",
            FieldType::Str => "a string",
        })
    }
}

/// One field of one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// 64-bit float; NaN, infinities and -0.0 are kept to the bit.
    F64(f64),
    /// 64-bit signed integer.
    I64(i64),
    /// 64-bit unsigned integer.
    U64(u64),
    /// Boolean.
    Bool(bool),
    /// UTF-8 string.
    Str(&'a str),
}

impl Value<'_> {
    /// The type of this value.
    pub fn field_type(&self) -> FieldType {
        match self {
            Value::F64(_) => FieldType::F64,
            Value::I64(_) => FieldType::I64,
            Value::U64(_) => FieldType::U64,
            Value::Bool(_) => FieldType::Bool,
            Value::Str(_) => FieldType::Str,
        }
    }
}
