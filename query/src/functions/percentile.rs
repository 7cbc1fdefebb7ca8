//! `percentile_cont`: exact percentiles. DataFusion's own rounds where between two values it looks to six digits, which
//! shows in the answer.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::ScalarValue;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature, Volatility};

use super::sketch::part_of_call;

const NAME: &str = "percentile_cont";

/// The aggregates of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    let types = vec![DataType::Float64, DataType::Float64];
    let signature = Signature::exact(types, Volatility::Immutable);
    vec![PercentileCont { signature, aliases: vec!["quantile_cont".to_owned()] }.into()]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct PercentileCont {
    signature: Signature,
    aliases: Vec<String>,
}

impl AggregateUDFImpl for PercentileCont {
    fn name(&self) -> &str {
        NAME
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        let item = Field::new_list_field(DataType::Float64, true);
        Ok(vec![Arc::new(Field::new_list(format_state_name(args.name, "values"), item, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Values { part: part_of_call(NAME, &args)?, distinct: args.is_distinct, values: Vec::new() }))
    }

    fn supports_within_group_clause(&self) -> bool {
        true
    }
}

/// All values of a group.
#[derive(Debug)]
struct Values {
    part: f64,
    distinct: bool,
    values: Vec<f64>,
}

impl Values {
    fn take(&mut self, values: &ArrayRef) {
        let values: &Float64Array = values.as_primitive::<Float64Type>();
        match values.null_count() {
            0 => self.values.extend_from_slice(values.values()),
            _ => self.values.extend(values.iter().flatten()),
        }
    }

    /// What the part of the values lies at, between the two that are next to it.
    fn percentile(&mut self) -> Option<f64> {
        if self.distinct {
            self.values.sort_unstable_by(f64::total_cmp);
            self.values.dedup();
        }
        let last = self.values.len().checked_sub(1)?;
        let place = self.part * last as f64;
        let at = (place.floor() as usize).min(last);
        let (_, &mut low, above) = self.values.select_nth_unstable_by(at, f64::total_cmp);
        let between = place - at as f64;
        let high = above.iter().copied().min_by(f64::total_cmp).filter(|_| between > 0.0);
        Some(high.filter(|high| *high != low).map_or(low, |high| low + (high - low) * between))
    }
}

impl Accumulator for Values {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.take(&values[0]);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.percentile()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = Float64Array::from(std::mem::take(&mut self.values));
        Ok(vec![SingleRowListArrayBuilder::new(Arc::new(values)).build_list_scalar()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        states[0].as_list::<i32>().iter().flatten().for_each(|values| self.take(&values));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_lies_between_the_values_next_to_it() {
        let percentile =
            |part: f64, distinct: bool, values: &[f64]| Values { part, distinct, values: values.to_vec() }.percentile();
        assert_eq!(percentile(0.5, false, &[]), None);
        assert_eq!(percentile(0.5, false, &[7.0]), Some(7.0));
        // place = 0.95 * 3 = 2.85: between 3 and 4.5
        assert_eq!(percentile(0.95, false, &[4.5, 1.0, 3.0, 2.0]), Some(3.0 + 1.5 * (0.95 * 3.0 - 2.0)));
        assert_eq!(percentile(1.0, false, &[4.5, 1.0, 3.0]), Some(4.5));
        assert_eq!(percentile(0.0, false, &[4.5, 1.0, 3.0]), Some(1.0));
        assert_eq!(percentile(0.5, false, &[1.0, 1.0, 1.0, 9.0]), Some(1.0));
        assert_eq!(percentile(0.5, true, &[1.0, 1.0, 1.0, 9.0]), Some(5.0));
        assert_eq!(percentile(0.9, false, &[1.0, f64::INFINITY, f64::INFINITY]), Some(f64::INFINITY));
    }
}
