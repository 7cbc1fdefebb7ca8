//! How a table is declared.

use tsdb::FieldType;

/// A table: its tags, and its fields with types and units. Every table has `time` besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Table {
    /// The measurement.
    pub name: &'static str,
    /// The tags, which tell its series apart.
    pub tags: &'static [&'static str],
    /// The fields of every row, in the order in which SQL shows them; one that has nothing to say is NULL.
    pub fields: &'static [Column],
}

/// A field of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// The type of its values.
    pub kind: FieldType,
    /// What they are counted in.
    pub unit: Unit,
}

/// What numbers are counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Texts, truths, numbers that count nothing (a status).
    None,
    /// Milliseconds.
    Ms,
    /// Seconds.
    S,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerS,
    /// Hundredths.
    Percent,
    /// Things.
    Count,
    /// Nanoseconds since the epoch. The name ends in `_ns`; SQL reads it as a timestamp, without that ending.
    Instant,
}

impl Column {
    /// A field with a unit.
    pub const fn new(name: &'static str, kind: FieldType, unit: Unit) -> Column {
        Column { name, kind, unit }
    }

    /// A field of text.
    pub const fn text(name: &'static str) -> Column {
        Column::new(name, FieldType::Str, Unit::None)
    }

    /// A field that is true or false.
    pub const fn truth(name: &'static str) -> Column {
        Column::new(name, FieldType::Bool, Unit::None)
    }

    /// A duration in milliseconds.
    pub const fn ms(name: &'static str) -> Column {
        Column::new(name, FieldType::F64, Unit::Ms)
    }

    /// A number of things.
    pub const fn count(name: &'static str) -> Column {
        Column::new(name, FieldType::I64, Unit::Count)
    }

    /// A time; the name ends in `_ns`.
    pub const fn instant(name: &'static str) -> Column {
        Column::new(name, FieldType::I64, Unit::Instant)
    }

    /// The name in SQL.
    ///
    /// ```
    /// use domain::Column;
    /// assert_eq!(Column::instant("until_ns").sql_name(), "until");
    /// assert_eq!(Column::ms("dns_ms").sql_name(), "dns_ms");
    /// ```
    pub fn sql_name(&self) -> &'static str {
        match self.unit {
            Unit::Instant => self.name.strip_suffix("_ns").unwrap_or(self.name),
            _ => self.name,
        }
    }
}
