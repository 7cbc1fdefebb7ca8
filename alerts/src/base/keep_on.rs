//! Tasks that go on, whatever happens in them.

use std::time::Duration;

use tokio::task::JoinSet;

/// Behind a panic a task begins again so soon.
const PAUSE: Duration = Duration::from_secs(1);

/// Runs what is made, again where it panics. Dropped, it stops.
pub(crate) async fn keep_on<F>(what: &str, mut make: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    loop {
        // Dropped with this future, it stops.
        let mut task = JoinSet::new();
        task.spawn(make());
        match task.join_next().await {
            Some(Err(error)) if error.is_panic() => tracing::error!("{what} panicked; it begins again"),
            _ => return,
        }
        tokio::time::sleep(PAUSE).await;
    }
}
