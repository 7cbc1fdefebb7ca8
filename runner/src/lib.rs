//! What questions of every language run under: leave to run, a deadline, memory, and a place in the list of what runs.
//!
//! | file | what it holds |
//! | --- | --- |
//! | `runner.rs` | [`Runner`]: threads for queries, and leave to run on them |
//! | `flow.rs` | [`Flow`] and [`Outlet`]: items on their way from the task that makes them to whoever asked |
//! | `memory.rs` | [`Memory`]: what all queries together may hold |
//! | `queries.rs` | [`Queries`]: the list behind `system.queries` |
//! | `refused.rs` | [`Refused`]: why a question was stopped |
//!
//! Nothing of a language is known here: `query` brings SQL, others bring theirs, and one limit holds for all of them
//! together.
//!
//! ```
//! use runner::{Limits, Runner};
//!
//! let timeout = std::time::Duration::from_secs(10);
//! let limits = Limits { threads: 1, memory_bytes_max: 1 << 20, timeout, concurrency: 1, rows_max: 100 };
//! let runner = Runner::new(limits)?;
//! let answered = std::thread::scope(|scope| {
//!     let asking = async {
//!         let count = |outlet: runner::Outlet<&'static str, u32>| async move {
//!             if let Some(outlet) = outlet.begin("three numbers") {
//!                 outlet.send_all(futures::stream::iter([1, 2, 3])).await;
//!             }
//!         };
//!         let (begun, mut flow) = runner.flow(runner.deadline(), count).await.unwrap();
//!         let mut sum = 0;
//!         while let Some(number) = flow.next().await {
//!             sum += number.unwrap();
//!         }
//!         (begun, sum)
//!     };
//!     scope.spawn(|| tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(asking)).join()
//! });
//! assert_eq!(answered.unwrap(), ("three numbers", 6));
//! # Ok::<(), std::io::Error>(())
//! ```

mod flow;
mod memory;
mod queries;
mod refused;
mod runner;

pub use flow::{BegunOutlet, Flow, Outlet};
pub use memory::{Full, Holder, Memory};
pub use queries::{Language, Queries, Query, Running, State};
pub use refused::Refused;
pub use runner::{Limits, Permit, Runner};
