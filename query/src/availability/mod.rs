//! Availability and what belongs to it, as table functions: rows of the store become timelines of targets
//! ([`reading`]), timelines become figures ([`figures`]), and these rows of an answer ([`answer`]). Definitions are
//! those of the design: excluded time leaves numerator and denominator, what is unknown lowers the coverage only, state
//! is carried over every edge.

mod answer;
pub(crate) mod exclusions;
mod figures;
mod function;
mod reading;
mod timeline;

use std::sync::Arc;

use datafusion::prelude::SessionContext;
use tsdb::Store;

pub(crate) use function::AvailabilityTable;

/// Adds the table functions to a session.
pub(crate) fn register(session: &SessionContext, store: &Arc<Store>) {
    for ask in function::ALL {
        let function = function::AvailabilityFunction { ask, store: store.clone() };
        session.register_udtf(ask.name(), Arc::new(function));
    }
}
