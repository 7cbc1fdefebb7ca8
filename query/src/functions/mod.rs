//! The functions that statistics of operations need and DataFusion does not have. `docs/sql.md` says what each does; a
//! test runs its statements.

mod asof_match;
pub(crate) mod bucket_calls;
mod counter;
mod first_last;
mod gather;
pub(crate) mod guarded;
mod histogram;
mod percentile;
mod sketch;
mod sum;
pub(crate) mod time_bucket;
mod trend;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;

/// Adds them to a session; those of DataFusion with the same names go. What a function makes may have so many bytes at
/// a time.
pub(crate) fn register(state: &mut SessionState, bytes_max: usize) -> Result<()> {
    let aggregates = [
        sketch::aggregates(),
        sum::aggregates(),
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
        [asof_match::scalars(), sketch::scalars(), histogram::scalars(), time_bucket::scalars(), trend::scalars()];
    for function in scalars.into_iter().flatten() {
        state.register_udf(function.into())?;
    }
    guarded::register(state, bytes_max)
}
