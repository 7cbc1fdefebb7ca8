//! How much a row, a table and a batch may have: what keeps a mistake of one client from filling the memory of all.

/// The longest name or tag value that files can hold, in bytes.
const TEXT_BYTES_MAX: usize = 64 * 1024 - 1;

/// Limits of what is written. Rows past one are refused with its knob's name; what is stored already stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Tags and fields of a table together (`store.columns_max`).
    pub columns_max: usize,
    /// Tags of a series (`store.tags_max`).
    pub tags_max: usize,
    /// Series of a table (`store.table_series_max`).
    pub table_series_max: u32,
    /// Bytes of the name of a measurement, tag or field (`store.name_max`); at most 64 KiB - 1.
    pub name_bytes_max: usize,
    /// Bytes of a tag's value (`store.tag_value_max`); at most 64 KiB - 1.
    pub tag_value_bytes_max: usize,
    /// Bytes of a string field (`store.string_max`).
    pub string_bytes_max: usize,
    /// Values of a batch (`store.batch_values_max`), absent ones between others included, and strings counted by their
    /// length. Rows that each have other fields take much more room as columns than as text.
    pub batch_values_max: usize,
}

impl Default for Limits {
    /// 1024 columns, 128 tags, 5 million series a table, names and tag values as long as they can be, strings of 64
    /// KiB, batches of 64 Mi values (512 MiB as columns).
    fn default() -> Limits {
        Limits {
            columns_max: 1024,
            tags_max: 128,
            table_series_max: 5_000_000,
            name_bytes_max: TEXT_BYTES_MAX,
            tag_value_bytes_max: TEXT_BYTES_MAX,
            string_bytes_max: 64 * 1024,
            batch_values_max: 64 << 20,
        }
    }
}

impl Limits {
    /// None larger than what files can hold.
    pub(crate) fn clamped(self) -> Limits {
        Limits {
            name_bytes_max: self.name_bytes_max.min(TEXT_BYTES_MAX),
            tag_value_bytes_max: self.tag_value_bytes_max.min(TEXT_BYTES_MAX),
            // A batch is one block of less than 4 GiB, its strings are reached by 31 bits.
            string_bytes_max: self.string_bytes_max.min(16 << 20),
            batch_values_max: self.batch_values_max.min(128 << 20),
            ..self
        }
    }
}
