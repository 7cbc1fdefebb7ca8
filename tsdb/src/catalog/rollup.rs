//! Rollups: buckets of a table's rows that are worked out ahead, so that an aggregation over a year reads buckets and
//! not rows.
//!
//! A rollup has a file for each closed day of its table. Such a file says up to which log file it knows the day's rows
//! and deletions: it counts as long as nothing younger is about that day. So late rows and deletions make a day's rows
//! be read again at once, until the keeper has written the file anew, and no answer depends on whether there is a
//! rollup.

use serde::{Deserialize, Serialize};

use crate::base::error::{Error, Result};
use crate::base::value::FieldType;
use crate::catalog::field_predicate::{FieldPredicate, Literal};
use crate::catalog::registry::{ColumnRef, Table};

const DAY_NS: i64 = 86_400_000_000_000;
const SECOND_NS: i64 = 1_000_000_000;

/// What is worked out ahead: of each series and bucket how many rows there are, and of each field the count, the sum,
/// the smallest, the largest, the first and the last value, and a [`Sketch`](crate::Sketch).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollup {
    /// What it is called; no other has the name.
    pub name: String,
    /// The schema of the table.
    pub schema: String,
    /// The table; it need not be there yet.
    pub table: String,
    /// The length of a bucket, ns: whole seconds that divide a day.
    pub width_ns: i64,
    /// Only rows that meet all of these. It answers only what asks for just these rows.
    pub conditions: Vec<FieldPredicate>,
    /// Only these fields; `None` for all that the table has.
    pub fields: Option<Vec<String>>,
    /// Is it declared in the configuration, and goes with it?
    pub configured: bool,
}

/// A rollup, and how far it is.
#[derive(Debug, Clone, PartialEq)]
pub struct RollupState {
    /// The rollup.
    pub rollup: Rollup,
    /// Closed days that are answered from it.
    pub days: usize,
    /// Closed days whose rows are read, as they changed or as the keeper has not come to them.
    pub days_behind: usize,
    /// The bytes of its files.
    pub bytes: u64,
    /// Why it cannot be made, if it cannot.
    pub problem: Option<String>,
}

impl Rollup {
    /// Can it be at all?
    ///
    /// # Errors
    ///
    /// [`Error::Rollup`] says what is wrong.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |reason: String| Err(Error::Rollup { name: self.name.clone(), reason });
        if self.name.is_empty() || self.table.is_empty() {
            return wrong("expected a name and a measurement".into());
        }
        let divides = self.width_ns > 0 && self.width_ns % SECOND_NS == 0 && DAY_NS % self.width_ns == 0;
        if !divides {
            let width = std::time::Duration::from_nanos(self.width_ns.unsigned_abs());
            return wrong(format!(
                "expected an interval of whole seconds that divides a day, like 1m, 1h or 1d, found {width:?}"
            ));
        }
        if self.fields.as_ref().is_some_and(Vec::is_empty) {
            return wrong("expected fields, or none named for all".into());
        }
        let is_finite = |literal: &Literal| !matches!(literal, Literal::F64(value) if !value.is_finite());
        if !self.conditions.clone().iter_mut().all(|condition| condition.literals_mut().iter().all(is_finite)) {
            return wrong("expected conditions with finite numbers".into());
        }
        Ok(())
    }

    /// Its conditions in the types of the table's fields.
    pub(crate) fn typed_conditions(&self, table: &Table) -> Result<Vec<FieldPredicate>> {
        self.conditions.iter().map(|condition| Ok(condition.typed(table)?.1)).collect()
    }

    /// The fields that it has of a table as it is now, by number.
    pub(crate) fn fields_of(&self, table: &Table) -> Result<Vec<(u32, FieldType)>> {
        let columns = table.columns();
        match &self.fields {
            None => Ok(columns.live_fields().map(|(number, _, kind)| (number, kind)).collect()),
            Some(names) => {
                let field = |name: &String| match columns.find(name) {
                    Some(ColumnRef::Field(number, kind)) => Ok((number, kind)),
                    _ => Err(Error::UnknownColumn { table: table.name.clone(), column: name.clone() }),
                };
                names.iter().map(field).collect()
            }
        }
    }

    pub(crate) fn is_of(&self, table: &Table) -> bool {
        (&self.schema, &self.table) == (&table.schema, &table.name)
    }
}
