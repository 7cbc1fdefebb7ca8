//! Aggregates that need all values of a group at once: counters, histograms.
//!
//! What they are called with is kept until the group is complete; a function of this crate then makes one value of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, new_empty_array};
use arrow::compute::concat;
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature};

/// Makes the value of a group from its arguments, one array for each.
pub(super) type Finish = fn(&[ArrayRef]) -> Result<ScalarValue>;

/// An aggregate over all values of a group.
#[derive(Debug)]
pub(super) struct Gather {
    pub name: &'static str,
    pub signature: Signature,
    pub output: DataType,
    pub finish: Finish,
}

impl PartialEq for Gather {
    fn eq(&self, other: &Gather) -> bool {
        self.name == other.name
    }
}

impl Eq for Gather {}

impl Hash for Gather {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl AggregateUDFImpl for Gather {
    fn name(&self) -> &str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.output.clone())
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let field = |(at, field): (usize, &FieldRef)| {
            let name = format_state_name(args.name, &at.to_string());
            Arc::new(Field::new_list(name, Field::new_list_field(field.data_type().clone(), true), true))
        };
        Ok(args.input_fields.iter().enumerate().map(field).collect())
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let columns = args.expr_fields.iter().map(|field| Column::new(field.data_type().clone())).collect();
        Ok(Box::new(Gathered { finish: self.finish, columns }))
    }
}

/// A group under way.
#[derive(Debug)]
struct Gathered {
    finish: Finish,
    columns: Vec<Column>,
}

/// The values of an argument, in the pieces that they came in.
#[derive(Debug)]
struct Column {
    kind: DataType,
    pieces: Vec<ArrayRef>,
    bytes: usize,
}

impl Column {
    fn new(kind: DataType) -> Column {
        Column { kind, pieces: Vec::new(), bytes: 0 }
    }

    fn push(&mut self, piece: ArrayRef) -> Result<()> {
        self.bytes += piece.to_data().get_slice_memory_size()?;
        self.pieces.push(piece);
        Ok(())
    }

    fn whole(&self) -> Result<ArrayRef> {
        if self.pieces.is_empty() {
            return Ok(new_empty_array(&self.kind));
        }
        let pieces: Vec<&dyn Array> = self.pieces.iter().map(AsRef::as_ref).collect();
        Ok(concat(&pieces)?)
    }
}

impl Accumulator for Gathered {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.columns.iter_mut().zip(values).try_for_each(|(column, piece)| column.push(piece.clone()))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        (self.finish)(&self.columns.iter().map(Column::whole).collect::<Result<Vec<_>>>()?)
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.columns.iter().map(|column| size_of::<Column>() + column.bytes).sum::<usize>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let list = |column: &Column| Ok(SingleRowListArrayBuilder::new(column.whole()?).build_list_scalar());
        self.columns.iter().map(list).collect()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.columns.iter_mut().zip(states).try_for_each(|(column, lists)| {
            lists.as_list::<i32>().iter().flatten().try_for_each(|piece| column.push(piece))
        })
    }
}
