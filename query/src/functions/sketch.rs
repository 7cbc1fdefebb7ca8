//! Percentiles by sketches ([`tsdb::Sketch`]): `approx_percentile_cont`, and sketches as values that can be stored and
//! merged: `hdr_sketch`, `hdr_merge`, `hdr_quantile`, `hdr_rank`, `hdr_count`.

use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type};
use datafusion::common::{ScalarValue, plan_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, TypeSignature, Volatility,
};
use datafusion::physical_expr::expressions::Literal;
use tsdb::Sketch;

/// The aggregates of this file.
pub(super) fn aggregates() -> Vec<AggregateUDF> {
    [Made::Percentile, Made::OfValues, Made::OfSketches].into_iter().map(SketchAggregate::new).map(Into::into).collect()
}

/// The scalar functions of this file.
pub(super) fn scalars() -> Vec<ScalarUDF> {
    [Read::Quantile, Read::Rank, Read::Count].into_iter().map(SketchScalar::new).map(Into::into).collect()
}

/// What an aggregate makes of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Made {
    /// A percentile of values.
    Percentile,
    /// A sketch of values.
    OfValues,
    /// A sketch of sketches.
    OfSketches,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchAggregate {
    made: Made,
    signature: Signature,
}

impl SketchAggregate {
    fn new(made: Made) -> SketchAggregate {
        let types = match made {
            Made::Percentile => vec![DataType::Float64, DataType::Float64],
            Made::OfValues => vec![DataType::Float64],
            Made::OfSketches => vec![DataType::Binary],
        };
        SketchAggregate { made, signature: Signature::exact(types, Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for SketchAggregate {
    fn name(&self) -> &str {
        match self.made {
            Made::Percentile => "approx_percentile_cont",
            Made::OfValues => "hdr_sketch",
            Made::OfSketches => "hdr_merge",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.made == Made::Percentile { DataType::Float64 } else { DataType::Binary })
    }

    fn state_fields(&self, args: StateFieldsArgs) -> Result<Vec<FieldRef>> {
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "sketch"), DataType::Binary, true))])
    }

    fn accumulator(&self, args: AccumulatorArgs) -> Result<Box<dyn Accumulator>> {
        let part = match self.made {
            Made::Percentile => Some(part_of_call(self.name(), &args)?),
            _ => None,
        };
        Ok(Box::new(Collected { made: self.made, part, sketch: Sketch::default() }))
    }

    fn supports_within_group_clause(&self) -> bool {
        self.made == Made::Percentile
    }
}

/// The part of all values (0 to 1) that a percentile is of, from the least on.
pub(super) fn part_of_call(name: &str, args: &AccumulatorArgs) -> Result<f64> {
    let descending = args.order_bys.first().is_some_and(|sort| sort.options.descending);
    match args.exprs[1].downcast_ref::<Literal>().map(Literal::value) {
        Some(ScalarValue::Float64(Some(part))) if (0.0..=1.0).contains(part) => {
            Ok(if descending { 1.0 - part } else { *part })
        }
        _ => plan_err!("{name}: expected a literal from 0 to 1 as percentile, found {}", args.exprs[1]),
    }
}

/// A sketch under way.
#[derive(Debug)]
struct Collected {
    made: Made,
    part: Option<f64>,
    sketch: Sketch,
}

impl Collected {
    fn merge(&mut self, sketches: &ArrayRef) -> Result<()> {
        let sketches = sketches.as_binary::<i32>();
        sketches.iter().flatten().try_for_each(|bytes| {
            self.sketch.merge(&sketch(bytes)?);
            Ok(())
        })
    }

    fn bytes(&self) -> ScalarValue {
        ScalarValue::Binary((self.sketch.count() > 0).then(|| self.sketch.to_bytes()))
    }
}

pub(super) fn sketch(bytes: &[u8]) -> Result<Sketch> {
    Sketch::from_bytes(bytes).map_err(|error| DataFusionError::Execution(format!("these bytes are no sketch: {error}")))
}

impl Accumulator for Collected {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        if self.made == Made::OfSketches {
            return self.merge(&values[0]);
        }
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|value| self.sketch.add(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(match self.part {
            Some(part) => ScalarValue::Float64(self.sketch.quantile(part)),
            None => self.bytes(),
        })
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.sketch.memory()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.bytes()])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.merge(&states[0])
    }
}

/// What is read of a sketch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Read {
    Quantile,
    Rank,
    Count,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SketchScalar {
    read: Read,
    signature: Signature,
}

impl SketchScalar {
    fn new(read: Read) -> SketchScalar {
        let types = match read {
            Read::Count => vec![DataType::Binary],
            _ => vec![DataType::Binary, DataType::Float64],
        };
        SketchScalar { read, signature: Signature::new(TypeSignature::Exact(types), Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for SketchScalar {
    fn name(&self) -> &str {
        match self.read {
            Read::Quantile => "hdr_quantile",
            Read::Rank => "hdr_rank",
            Read::Count => "hdr_count",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(if self.read == Read::Count { DataType::Int64 } else { DataType::Float64 })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let columns = ColumnarValue::values_to_arrays(&args.args)?;
        let sketches = columns[0].as_binary::<i32>();
        let read = sketches.iter().map(|bytes| bytes.map(sketch).transpose());
        if self.read == Read::Count {
            let counts = read.map(|read| Ok(read?.map(|sketch| sketch.count() as i64)));
            return Ok(ColumnarValue::Array(Arc::new(counts.collect::<Result<Int64Array>>()?)));
        }
        let numbers = columns[1].as_primitive::<Float64Type>().iter();
        let one = |(read, number): (Result<Option<Sketch>>, Option<f64>)| {
            let (Some(sketch), Some(number)) = (read?, number) else { return Ok(None) };
            match self.read {
                Read::Rank => Ok(sketch.rank(number)),
                _ if (0.0..=1.0).contains(&number) => Ok(sketch.quantile(number)),
                _ => Err(DataFusionError::Execution(format!(
                    "hdr_quantile: expected a part from 0 to 1, found {number}"
                ))),
            }
        };
        Ok(ColumnarValue::Array(Arc::new(read.zip(numbers).map(one).collect::<Result<Float64Array>>()?)))
    }
}
