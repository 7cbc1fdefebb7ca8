//! The functions that statistics of operations need and DataFusion does not have. `docs/sql.md` says what each does; a test
//! runs its statements.

mod sketch;

use datafusion::error::Result;
use datafusion::execution::FunctionRegistry;
use datafusion::execution::context::SessionState;

/// Adds them to a session; those of DataFusion with the same names go.
pub(crate) fn register(state: &mut SessionState) -> Result<()> {
    for function in sketch::aggregates() {
        state.register_udaf(function.into())?;
    }
    for function in sketch::scalars() {
        state.register_udf(function.into())?;
    }
    Ok(())
}
