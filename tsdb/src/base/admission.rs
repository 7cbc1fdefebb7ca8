//! Admission: which series a batch may have rows of.

use std::fmt::Debug;

/// A rule for the series of a [`Batch`](crate::Batch), given with [`Batch::admit_by`](crate::Batch::admit_by).
///
/// It is asked when a series is named, and once for each spelling: what it says of a series must not change.
///
/// ```
/// use tsdb::{Admission, Batch, Limits, Row, Value};
///
/// #[derive(Debug)]
/// struct OnlyNorth;
///
/// impl Admission for OnlyNorth {
///     fn key(&self) -> &str {
///         "only north"
///     }
///     fn check(&self, _: &str, _: &str, tags: &[(&str, &str)]) -> Result<(), String> {
///         if tags.contains(&("shop", "north")) { Ok(()) } else { Err("only the shop 'north' is taken".into()) }
///     }
/// }
///
/// let mut batch = Batch::detached("public", Limits::default());
/// batch.admit_by(std::sync::Arc::new(OnlyNorth));
/// let row = |shop| batch.push(&Row { measurement: "orders", tags: &[("shop", shop)], time: 0, fields: &[("n", Value::I64(1))] });
/// assert_eq!(["north", "south"].map(row).map(|outcome| outcome.is_ok()), [true, false]);
/// ```
pub trait Admission: Debug + Send + Sync {
    /// Tells rules apart: two with one key must say the same of every series.
    fn key(&self) -> &str;

    /// May rows of this series be taken? The tags stand in the order of the row, and may have empty values, which count
    /// as absent.
    ///
    /// # Errors
    ///
    /// Why not, as a sentence for whoever sent the row.
    fn check(&self, schema: &str, measurement: &str, tags: &[(&str, &str)]) -> Result<(), String>;
}
