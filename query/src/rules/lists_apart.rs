//! Tells lists of values apart that are about one thing.
//!
//! DataFusion puts two of them together as if there were no NULL: `i NOT IN (1) OR i NOT IN (2)` becomes true, and `i
//! IN (1) AND i IN (2)` false, where both are NULL for a NULL. It does so where the same expression stands before both.
//! So the second and every further list of a statement is about a function of its own of that, and so is one with a
//! zero among floats, as lists are looked up by their bits: [`Same`], which gives its first argument as it is, but for
//! the sign of a zero.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use arrow::array::{AsArray, Float64Array};
use arrow::datatypes::{DataType, Float64Type};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::error::Result;
use datafusion::logical_expr::expr::{InList, ScalarFunction};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, lit,
};

use super::one_zero::constant;

static SAME: LazyLock<Arc<ScalarUDF>> =
    LazyLock::new(|| Arc::new(ScalarUDF::from(Same(Signature::any(2, Volatility::Immutable)))));

/// How many lists of a statement were about what has a name.
#[derive(Debug, Default)]
pub(crate) struct Lists(HashMap<String, i64>);

impl Lists {
    /// Tells the lists of an expression apart from those before.
    pub(crate) fn tell_apart(&mut self, expr: Expr) -> Result<Transformed<Expr>> {
        expr.transform_up(|part| {
            let Expr::InList(InList { expr, list, negated }) = part else { return Ok(Transformed::no(part)) };
            // Of whatever table: a name may go when a subquery is taken into what is around it.
            let name = match expr.as_ref() {
                Expr::Column(column) => column.name.clone(),
                other => other.to_string(),
            };
            let before = self.0.entry(name).or_default();
            *before += 1;
            if *before == 1 && !list.iter().any(is_zero) {
                return Ok(Transformed::no(Expr::InList(InList { expr, list, negated })));
            }
            let same = ScalarFunction::new_udf(SAME.clone(), vec![*expr, lit(*before)]);
            let expr = Box::new(Expr::ScalarFunction(same));
            Ok(Transformed::yes(Expr::InList(InList { expr, list, negated })))
        })
    }
}

/// Is it a zero among floats?
fn is_zero(item: &Expr) -> bool {
    is_float(item) && constant(item) == Some(0.0)
}

fn is_float(item: &Expr) -> bool {
    match item {
        Expr::Literal(value, _) => value.data_type() == DataType::Float64,
        Expr::Cast(cast) => *cast.field.data_type() == DataType::Float64,
        Expr::Negative(inner) => is_float(inner),
        _ => false,
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Same(Signature);

impl ScalarUDFImpl for Same {
    fn name(&self) -> &str {
        "same_value"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let value = args.args[0].clone();
        // Beside literals a zero with a sign is a zero (`one_zero.rs`), and lists are looked up by their bits: -0.0 +
        // 0.0 is 0.0.
        Ok(match &value {
            ColumnarValue::Array(array) if *array.data_type() == DataType::Float64 => {
                let unsigned: Float64Array = array.as_primitive::<Float64Type>().unary(|value| value + 0.0);
                ColumnarValue::Array(Arc::new(unsigned))
            }
            _ => value,
        })
    }
}
