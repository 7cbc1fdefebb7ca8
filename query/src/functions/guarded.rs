//! DataFusion's functions with a guard, and operators as functions.
//!
//! What a function makes is no part of what DataFusion counts as a query's memory: `repeat('x', 1000000000)` took what
//! it liked. So functions whose texts can be much larger than what they are given say beforehand how large that would
//! be, and are refused past a part of `query.memory`. Whole numbers are added, subtracted, multiplied and negated
//! within their type, or there is an error.
//!
//! None of them has a "preimage", by which the optimizer turns a condition on their value into one on their argument:
//! it is wrong for years without a timestamp (`EXTRACT(YEAR FROM time) < 9999` had no rows).

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::compute::kernels::{concat_elements::concat_elements_dyn, length::length, numeric};
use arrow::compute::{cast, kernels::length::bit_length};
use arrow::datatypes::{DataType, FieldRef, Int64Type};
use datafusion::common::{ScalarValue, exec_datafusion_err, resources_datafusion_err};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// How large what a function makes can be, in bytes, from its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Growth {
    /// No larger than by a factor.
    Bounded,
    /// `repeat(text, count)`
    Repeat,
    /// `lpad(text, length, fill)`
    Pad,
    /// `replace(text, from, to)`
    Replace,
    /// `regexp_replace(text, pattern, replacement, flags)`
    RegexReplace,
    /// All arguments, one behind the other; each once, or the first once between all others.
    Joined,
    /// `to_char(time, format)`
    Formatted,
}

/// The functions that are guarded, by their names.
const GUARDED: [(&str, Growth); 12] = [
    ("repeat", Growth::Repeat),
    ("lpad", Growth::Pad),
    ("rpad", Growth::Pad),
    ("replace", Growth::Replace),
    ("regexp_replace", Growth::RegexReplace),
    ("concat", Growth::Joined),
    ("concat_ws", Growth::Joined),
    ("to_char", Growth::Formatted),
    ("overlay", Growth::Joined),
    ("translate", Growth::Joined),
    ("date_part", Growth::Bounded),
    ("floor", Growth::Bounded),
];

/// Puts guards before the functions of a session; what they make may have so many bytes at a time.
pub(super) fn register(state: &mut SessionState, bytes_max: usize) -> Result<()> {
    for (name, growth) in GUARDED {
        let Some(inner) = state.scalar_functions().get(name).cloned() else { continue };
        state.register_udf(Arc::new(ScalarUDF::from(Guarded { inner, growth, bytes_max })))?;
    }
    Ok(())
}

/// An operator as a function; what it makes may have so many bytes at a time.
pub(crate) fn operator(checked: Checked, bytes_max: usize) -> Arc<ScalarUDF> {
    let signature = Signature::any(if checked == Checked::Negate { 1 } else { 2 }, Volatility::Immutable);
    Arc::new(ScalarUDF::from(OperatorFunction { checked, bytes_max, signature }))
}

/// Plans `EXTRACT(part FROM time)` as the guarded `date_part`.
#[derive(Debug)]
pub(crate) struct PlanExtract;

impl ExprPlanner for PlanExtract {
    fn plan_extract(&self, args: Vec<Expr>) -> Result<PlannerResult<Vec<Expr>>> {
        let inner = datafusion::functions::datetime::date_part();
        let guarded = Guarded { inner, growth: Growth::Bounded, bytes_max: usize::MAX };
        Ok(PlannerResult::Planned(Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(guarded.into()), args))))
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Guarded {
    inner: Arc<ScalarUDF>,
    growth: Growth,
    bytes_max: usize,
}

/// How long the texts of an argument are, or what its numbers are: of each row, or of all.
enum Each {
    One(u64),
    Rows(Vec<u64>),
}

impl Each {
    fn at(&self, row: usize) -> u64 {
        match self {
            Each::One(value) => *value,
            Each::Rows(values) => values[row],
        }
    }

    fn of(value: Option<&ColumnarValue>, read: impl Fn(&ArrayRef) -> Result<ArrayRef>) -> Result<Each> {
        let whole = |array: &ArrayRef| -> Result<Vec<u64>> {
            let numbers = cast(&read(array)?, &DataType::Int64)?;
            Ok(numbers.as_primitive::<Int64Type>().iter().map(|number| number.unwrap_or(0).max(0) as u64).collect())
        };
        Ok(match value {
            None => Each::One(0),
            Some(ColumnarValue::Scalar(scalar)) => Each::One(whole(&scalar.to_array()?)?[0]),
            Some(ColumnarValue::Array(array)) => Each::Rows(whole(array)?),
        })
    }

    /// Lengths in bytes; of what is no text, of its usual width.
    fn lengths(value: Option<&ColumnarValue>) -> Result<Each> {
        match value.map(ColumnarValue::data_type) {
            Some(
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Binary | DataType::LargeBinary,
            ) => Each::of(value, |array| {
                let bits = cast(&bit_length(array)?, &DataType::Int64)?;
                Ok(numeric::div(&bits, &arrow::array::Int64Array::new_scalar(8))?)
            }),
            Some(DataType::Dictionary(_, kind)) if *kind == DataType::Utf8 => {
                Each::of(value, |array| Ok(length(&cast(array, &DataType::Utf8)?)?)).map(Each::of_characters)
            }
            _ => Ok(Each::One(32)),
        }
    }

    /// Characters have up to four bytes.
    fn of_characters(self) -> Each {
        match self {
            Each::One(count) => Each::One(count * 4),
            Each::Rows(counts) => Each::Rows(counts.into_iter().map(|count| count * 4).collect()),
        }
    }

    fn numbers(value: Option<&ColumnarValue>) -> Result<Each> {
        Each::of(value, |array| Ok(array.clone()))
    }
}

impl Growth {
    /// How many bytes the function may make of these arguments.
    fn bytes(self, args: &ScalarFunctionArgs) -> Result<u128> {
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let value = |at: usize| args.args.get(at);
        let sum = |bytes: &dyn Fn(usize) -> u128| (0..rows).map(bytes).fold(0u128, u128::saturating_add);
        let text = Each::lengths(value(0))?;
        Ok(match self {
            Growth::Bounded => 0,
            Growth::Repeat => {
                let count = Each::numbers(value(1))?;
                sum(&|row| u128::from(text.at(row)) * u128::from(count.at(row)))
            }
            Growth::Pad => {
                let length = Each::numbers(value(1))?;
                let is_ascii = match value(2) {
                    None => true,
                    Some(ColumnarValue::Scalar(fill)) => fill.try_as_str().flatten().is_some_and(str::is_ascii),
                    Some(ColumnarValue::Array(_)) => false,
                };
                let wide = if is_ascii { 1 } else { 4 };
                sum(&|row| u128::from(text.at(row)) + u128::from(length.at(row)) * wide)
            }
            Growth::Replace => {
                let (from, to) = (Each::lengths(value(1))?, Each::lengths(value(2))?);
                sum(&|row| {
                    let places = text.at(row) / from.at(row).max(1) + 1;
                    u128::from(text.at(row)) + u128::from(places) * u128::from(to.at(row))
                })
            }
            Growth::RegexReplace => {
                // Each reference to a group gives at most the whole text again.
                let to = Each::lengths(value(2))?;
                let is_global = args.args.len() > 3;
                sum(&|row| {
                    let (text, to) = (u128::from(text.at(row)), u128::from(to.at(row)));
                    let places = if is_global { text + 1 } else { 1 };
                    text + places * to + text * (to / 2)
                })
            }
            Growth::Joined => {
                let all: Vec<Each> = args.args.iter().map(|arg| Each::lengths(Some(arg))).collect::<Result<_>>()?;
                sum(&|row| {
                    let each: u128 = all.iter().map(|each| u128::from(each.at(row))).sum();
                    each + u128::from(text.at(row)) * all.len() as u128
                })
            }
            Growth::Formatted => {
                let format = Each::lengths(value(1))?;
                sum(&|row| u128::from(format.at(row)) * 16)
            }
        })
    }
}

fn check(name: &str, bytes: u128, bytes_max: usize) -> Result<()> {
    match bytes <= bytes_max as u128 {
        true => Ok(()),
        false => Err(resources_datafusion_err!(
            "{name} would make texts of up to {bytes} bytes at a time, and {bytes_max} are an eighth of it"
        )),
    }
}

impl ScalarUDFImpl for Guarded {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        self.inner.inner().coerce_types(types)
    }

    fn simplify(&self, args: Vec<Expr>, context: &SimplifyContext) -> Result<ExprSimplifyResult> {
        match self.growth {
            Growth::Bounded => self.inner.simplify(args, context),
            // It would become the function without a guard.
            _ => Ok(ExprSimplifyResult::Original(args)),
        }
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.growth != Growth::Bounded {
            check(self.name(), self.growth.bytes(&args)?, self.bytes_max)?;
        }
        self.inner.invoke_with_args(args)
    }
}

/// An operator that is an error beyond its limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Checked {
    Add,
    Subtract,
    Multiply,
    Negate,
    Concat,
}

/// An operator as a function, of arguments of one type.
#[derive(Debug, PartialEq, Eq, Hash)]
struct OperatorFunction {
    checked: Checked,
    bytes_max: usize,
    signature: Signature,
}

impl ScalarUDFImpl for OperatorFunction {
    fn name(&self) -> &str {
        match self.checked {
            Checked::Add => "checked_add",
            Checked::Subtract => "checked_subtract",
            Checked::Multiply => "checked_multiply",
            Checked::Negate => "checked_negate",
            Checked::Concat => "checked_concat",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        if self.checked == Checked::Concat {
            check("||", Growth::Joined.bytes(&args)?, self.bytes_max)?;
        }
        let is_scalar = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let kind = args.return_field.data_type();
        let arrays: Vec<ArrayRef> =
            args.args.iter().map(|arg| Ok(cast(&arg.to_array(rows)?, kind)?)).collect::<Result<_>>()?;
        let made = match (self.checked, &arrays[..]) {
            (Checked::Add, [a, b]) => numeric::add(a, b),
            (Checked::Subtract, [a, b]) => numeric::sub(a, b),
            (Checked::Multiply, [a, b]) => numeric::mul(a, b),
            (Checked::Negate, [a]) => numeric::neg(a),
            (Checked::Concat, [a, b]) => concat_elements_dyn(a, b),
            _ => unreachable!("the signature says how many there are"),
        };
        let made = made.map_err(|error| match self.checked {
            Checked::Concat => exec_datafusion_err!("||: {error}"),
            _ => exec_datafusion_err!(
                "the result is beyond {kind}: {error}; expected smaller numbers, or CAST(... AS DOUBLE)"
            ),
        })?;
        match is_scalar {
            true => Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?)),
            false => Ok(ColumnarValue::Array(made)),
        }
    }
}
