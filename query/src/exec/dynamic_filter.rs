//! Filters that become narrower while a query runs: the worst row that a top-k has so far, the keys of the built side
//! of a join.
//!
//! The scan asks them again for every day, which it may pass over, and for every batch, whose rows they thin out.

use std::sync::Arc;

use arrow::compute::filter_record_batch;
use arrow::record_batch::RecordBatch;
use datafusion::common::cast::as_boolean_array;
use datafusion::error::Result;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, DynamicFilterTracking, Literal};
use datafusion::physical_expr::utils::split_conjunction;
use datafusion::physical_expr_common::physical_expr::snapshot_physical_expr;
use tsdb::TIME_COLUMN;

use crate::exec::pushdown::{Pushed, time};

/// Can it change while the query runs? What cannot was pushed down when the statement was planned.
pub(crate) fn is_dynamic(filter: &Arc<dyn PhysicalExpr>) -> bool {
    DynamicFilterTracking::classify(filter).contains_dynamic_filter()
}

/// The first and the last time, ns, that rows which meet all the filters can have by now.
pub(crate) fn times(filters: &[Arc<dyn PhysicalExpr>]) -> Result<(i64, i64)> {
    let (mut first, mut last) = (i64::MIN, i64::MAX);
    for filter in filters {
        let now = snapshot_physical_expr(filter.clone())?;
        for (from, to) in split_conjunction(&now).into_iter().filter_map(compared_time) {
            (first, last) = (first.max(from), last.min(to));
        }
    }
    Ok((first, last))
}

/// The times that `time < '...'` and its like leave.
fn compared_time(part: &Arc<dyn PhysicalExpr>) -> Option<(i64, i64)> {
    let comparison = part.downcast_ref::<BinaryExpr>()?;
    let column = comparison.left().downcast_ref::<Column>().filter(|column| column.name() == TIME_COLUMN);
    let value = comparison.right().downcast_ref::<Literal>()?;
    match (column, comparison.op()) {
        (Some(_), Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq | Operator::Eq) => {
            let Pushed::Time(from, to) = time(*comparison.op(), value.value())? else { return None };
            Some((from, to))
        }
        _ => None,
    }
}

/// The rows that meet all the filters by now.
pub(crate) fn apply(filters: &[Arc<dyn PhysicalExpr>], batch: RecordBatch) -> Result<RecordBatch> {
    filters.iter().try_fold(batch, |batch, filter| {
        let holds = filter.evaluate(&batch)?.into_array(batch.num_rows())?;
        Ok(filter_record_batch(&batch, as_boolean_array(&holds)?)?)
    })
}
