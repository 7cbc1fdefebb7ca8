//! The functions that statistics of operations need and DataFusion does not have. `docs/sql.md` says what each does; a test
//! runs its statements.

mod counter;
mod first_last;
mod gather;
mod histogram;
mod percentile;
mod sketch;
pub(crate) mod time_bucket;
mod trend;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;

/// Adds them to a session; those of DataFusion with the same names go.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    let aggregates = [
        sketch::aggregates(),
        counter::aggregates(),
        first_last::aggregates(),
        histogram::aggregates(),
        percentile::aggregates(),
        trend::aggregates(),
    ];
    for function in aggregates.into_iter().flatten() {
        state.register_udaf(function.into())?;
    }
    let scalars =
        [crate::asof::scalars(), sketch::scalars(), histogram::scalars(), time_bucket::scalars(), trend::scalars()];
    for function in scalars.into_iter().flatten() {
        state.register_udf(function.into())?;
    }
    Ok(())
}
