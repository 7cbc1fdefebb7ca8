//! Jobs that several threads do, whose outcomes are taken by one, in the order of the jobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};

use crate::engine::Failure;

/// So many threads at the most: others want to ask, too.
const THREADS_MAX: usize = 8;

/// Does jobs 0 to `count`, and lets `take` have the outcome of each. The first that fails is the last that is taken.
pub(crate) fn side_by_side<T: Send>(
    count: usize,
    job: &(dyn Fn(usize) -> Result<T, Failure> + Sync),
    take: &mut dyn FnMut(T) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX).min(count);
    if threads <= 1 {
        return (0..count).try_for_each(|at| take(job(at)?));
    }
    let next = AtomicUsize::new(0);
    let work = |sender: SyncSender<(usize, Result<T, Failure>)>| loop {
        let at = next.fetch_add(1, Ordering::Relaxed);
        // Whoever takes them may have had enough.
        if at >= count || sender.send((at, job(at))).is_err() {
            return;
        }
    };
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(threads);
        let mut started = 0;
        for _ in 0..threads {
            let (sender, work) = (sender.clone(), &work);
            let thread = std::thread::Builder::new().name("promql".into());
            started += usize::from(thread.spawn_scoped(scope, move || work(sender)).is_ok());
        }
        drop(sender);
        if started == 0 {
            // The system gives no threads now.
            return (0..count).try_for_each(|at| take(job(at)?));
        }
        let (mut waiting, mut due) = (BTreeMap::new(), 0);
        for (at, outcome) in receiver {
            waiting.insert(at, outcome);
            while let Some(outcome) = waiting.remove(&due) {
                take(outcome?)?;
                due += 1;
            }
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_in_order_and_end_with_the_first_that_fails() {
        for count in [0, 1, 2, 7, 300] {
            let mut taken = Vec::new();
            let job = |at: usize| {
                if at.is_multiple_of(3) {
                    std::thread::yield_now();
                }
                Ok(at)
            };
            side_by_side(count, &job, &mut |at| {
                taken.push(at);
                Ok(())
            })
            .unwrap();
            assert_eq!(taken, (0..count).collect::<Vec<_>>());
        }
        let mut taken = Vec::new();
        let job = |at: usize| if at == 40 { Err(Failure::from("forty".to_owned())) } else { Ok(at) };
        let failure = side_by_side(300, &job, &mut |at| {
            taken.push(at);
            Ok(())
        });
        assert_eq!((failure.unwrap_err().message.as_str(), taken.len()), ("forty", 40));
        let enough = |at: usize| if at == 5 { Err(Failure::from("enough".to_owned())) } else { Ok(()) };
        assert_eq!(side_by_side(300, &Ok, &mut { enough }).unwrap_err().message, "enough");
    }
}
