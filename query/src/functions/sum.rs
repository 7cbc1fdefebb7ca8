//! `sum` of whole numbers that does not wrap: what is beyond the type of the sum is an error. Sums of other types are
//! DataFusion's.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, Decimal128Array, PrimitiveArray};
use arrow::datatypes::{DataType, Decimal128Type, Field, FieldRef, Int64Type, UInt64Type};
use datafusion::common::{ScalarValue, exec_err, internal_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::sum::sum_udaf;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::{AggregateOrderSensitivity, format_state_name};
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
};

/// The aggregate of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    vec![Sum(sum_udaf()).into()]
}

/// How a sum is kept on the way: exact, whatever the order of its parts.
const STATE: DataType = DataType::Decimal128(38, 0);

#[derive(Debug, PartialEq, Eq, Hash)]
struct Sum(Arc<AggregateUDF>);

fn is_whole(field: &FieldRef) -> bool {
    matches!(field.data_type(), DataType::Int64 | DataType::UInt64)
}

impl AggregateUDFImpl for Sum {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn signature(&self) -> &Signature {
        self.0.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.0.return_type(types)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.0.coerce_types(types)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        if !is_whole(&args.return_field) {
            return self.0.state_fields(args);
        }
        let name = |part| format_state_name(args.name, part);
        Ok(vec![match args.is_distinct {
            true => Arc::new(Field::new_list(name("values"), Field::new_list_field(STATE, true), true)),
            false => Arc::new(Field::new(name("sum"), STATE, true)),
        }])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if !is_whole(&args.return_field) {
            return self.0.accumulator(args);
        }
        let kind = args.return_field.data_type().clone();
        Ok(match args.is_distinct {
            true => Box::new(Distinct { kind, values: HashMap::new() }),
            false => Box::new(Running { kind, sum: 0, count: 0 }),
        })
    }

    fn create_sliding_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        if is_whole(&args.return_field) { self.accumulator(args) } else { self.0.create_sliding_accumulator(args) }
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs) -> bool {
        if is_whole(&args.return_field) { !args.is_distinct } else { self.0.groups_accumulator_supported(args) }
    }

    fn create_groups_accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn GroupsAccumulator>> {
        match is_whole(&args.return_field) {
            true => Ok(Box::new(Groups { kind: args.return_field.data_type().clone(), sums: Vec::new() })),
            false => self.0.create_groups_accumulator(args),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn order_sensitivity(&self) -> AggregateOrderSensitivity {
        AggregateOrderSensitivity::Insensitive
    }
}

/// Whole numbers of a column.
fn each(array: &ArrayRef, mut take: impl FnMut(usize, i128)) -> Result<()> {
    fn all<P: ArrowPrimitiveType<Native: Into<i128>>>(array: &ArrayRef, take: &mut impl FnMut(usize, i128)) {
        let array = array.as_primitive::<P>();
        match array.nulls() {
            None => array.values().iter().enumerate().for_each(|(at, value)| take(at, (*value).into())),
            Some(nulls) => nulls.valid_indices().for_each(|at| take(at, array.value(at).into())),
        }
    }
    match array.data_type() {
        DataType::Int64 => all::<Int64Type>(array, &mut take),
        DataType::UInt64 => all::<UInt64Type>(array, &mut take),
        DataType::Decimal128(..) => all::<Decimal128Type>(array, &mut take),
        other => return internal_err!("sum: expected whole numbers, found {other}"),
    }
    Ok(())
}

/// The sums as the type has them.
fn finish(kind: &DataType, sums: impl Iterator<Item = Option<i128>>) -> Result<ArrayRef> {
    fn all<P: ArrowPrimitiveType<Native: TryFrom<i128>>>(
        kind: &DataType,
        sums: impl Iterator<Item = Option<i128>>,
    ) -> Result<ArrayRef> {
        let each = sums.map(|sum| match sum.map(P::Native::try_from).transpose() {
            Ok(sum) => Ok(sum),
            Err(_) => {
                exec_err!("a sum is beyond {kind}: expected smaller numbers, avg(...), or sum(CAST(... AS DOUBLE))")
            }
        });
        Ok(Arc::new(each.collect::<Result<PrimitiveArray<P>>>()?))
    }
    match kind {
        DataType::UInt64 => all::<UInt64Type>(kind, sums),
        _ => all::<Int64Type>(kind, sums),
    }
}

fn state(sums: impl Iterator<Item = Option<i128>>) -> ArrayRef {
    Arc::new(sums.collect::<Decimal128Array>().with_data_type(STATE))
}

/// One sum.
#[derive(Debug)]
struct Running {
    kind: DataType,
    sum: i128,
    count: u64,
}

impl Running {
    fn value(&self) -> Option<i128> {
        (self.count > 0).then_some(self.sum)
    }

    fn take(&mut self, array: &ArrayRef) -> Result<()> {
        each(array, |_, value| (self.sum, self.count) = (self.sum + value, self.count + 1))
    }
}

impl Accumulator for Running {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take(&values[0])
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| (self.sum, self.count) = (self.sum - value, self.count - 1))
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.take(&states[0])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        ScalarValue::try_from_array(&finish(&self.kind, std::iter::once(self.value()))?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Decimal128(self.value(), 38, 0)])
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }
}

/// A sum of different values; how often each was met, for windows.
#[derive(Debug)]
struct Distinct {
    kind: DataType,
    values: HashMap<i128, u64>,
}

impl Accumulator for Distinct {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| *self.values.entry(value).or_default() += 1)
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        each(&values[0], |_, value| {
            let count = self.values.entry(value).or_default();
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.values.remove(&value);
            }
        })
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for list in states[0].as_list::<i32>().iter().flatten() {
            each(&list, |_, value| *self.values.entry(value).or_default() += 1)?;
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let sum = (!self.values.is_empty()).then(|| self.values.keys().sum());
        ScalarValue::try_from_array(&finish(&self.kind, std::iter::once(sum))?, 0)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = state(self.values.keys().map(|value| Some(*value)));
        let builder = datafusion::common::utils::SingleRowListArrayBuilder::new(values);
        Ok(vec![builder.build_list_scalar()])
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<(i128, u64)>()
    }
}

/// A sum a group.
#[derive(Debug)]
struct Groups {
    kind: DataType,
    sums: Vec<Option<i128>>,
}

impl Groups {
    fn take(&mut self, array: &ArrayRef, groups: &[usize], filter: Option<&BooleanArray>, count: usize) -> Result<()> {
        self.sums.resize(count, None);
        let is_wanted = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        each(array, |row, value| {
            if is_wanted(row) {
                let sum = &mut self.sums[groups[row]];
                *sum = Some(sum.unwrap_or(0) + value);
            }
        })
    }
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        self.take(&values[0], groups, filter, count)
    }

    fn merge_batch(&mut self, states: &[ArrayRef], groups: &[usize], count: usize) -> Result<()> {
        self.take(&states[0], groups, None, count)
    }

    fn evaluate(&mut self, emit_to: EmitTo) -> Result<ArrayRef> {
        finish(&self.kind, emit_to.take_needed(&mut self.sums).into_iter())
    }

    fn state(&mut self, emit_to: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(vec![state(emit_to.take_needed(&mut self.sums).into_iter())])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let mut sums = vec![None; values[0].len()];
        let is_wanted = |row: usize| filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row));
        each(&values[0], |row, value| sums[row] = Some(value).filter(|_| is_wanted(row)))?;
        Ok(vec![state(sums.into_iter())])
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<Option<i128>>()
    }
}
