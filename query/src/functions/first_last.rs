//! `first(value, time)` and `last(value, time)`: the value at the earliest and at the latest time, NULLs left out.
//!
//! They are DataFusion's `first_value` and `last_value` with their order, in fewer words.

use arrow::datatypes::{DataType, FieldRef};
use datafusion::common::{internal_err, plan_err};
use datafusion::error::Result;
use datafusion::functions_aggregate::first_last::{first_value_udaf, last_value_udaf};
use datafusion::logical_expr::expr::{AggregateFunction, AggregateFunctionParams, NullTreatment};
use datafusion::logical_expr::function::{AccumulatorArgs, AggregateFunctionSimplification, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Expr, Signature, Volatility};

/// The aggregates of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    [Edge::First, Edge::Last]
        .map(|edge| EdgeValue { edge, signature: Signature::any(2, Volatility::Immutable) }.into())
        .into()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Edge {
    First,
    Last,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct EdgeValue {
    edge: Edge,
    signature: Signature,
}

impl EdgeValue {
    fn no_window(&self) -> String {
        let name = self.name();
        format!("{name}(value, time) has no OVER: expected {name}_value(value) OVER (... ORDER BY time)")
    }
}

impl AggregateUDFImpl for EdgeValue {
    fn name(&self) -> &str {
        match self.edge {
            Edge::First => "first",
            Edge::Last => "last",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn state_fields(&self, _: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        plan_err!("{}", self.no_window())
    }

    /// As an aggregate it is rewritten; what is left is a window.
    fn accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("{}", self.no_window())
    }

    fn create_sliding_accumulator(&self, _: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        plan_err!("{}", self.no_window())
    }

    fn simplify(&self) -> Option<AggregateFunctionSimplification> {
        let edge = self.edge;
        Some(Box::new(move |call: AggregateFunction, _| {
            let AggregateFunctionParams { mut args, distinct, filter, .. } = call.params;
            let time = args.pop().filter(|_| args.len() == 1);
            let Some(time) = time else { return internal_err!("the signature has two arguments") };
            let func = if edge == Edge::First { first_value_udaf() } else { last_value_udaf() };
            let params = AggregateFunctionParams {
                filter: Some(Box::new(match filter {
                    Some(filter) => filter.and(time.clone().is_not_null()),
                    None => time.clone().is_not_null(),
                })),
                args,
                distinct,
                order_by: vec![time.sort(true, true)],
                null_treatment: Some(NullTreatment::IgnoreNulls),
            };
            Ok(Expr::AggregateFunction(AggregateFunction { func, params }))
        }))
    }
}
