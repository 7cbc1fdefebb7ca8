//! The ring and the publication of the head, as the store has them, in every order of events that loom finds.
//!
//! The files are the store's own; what they meet through is loom's. The bounded channel of crossbeam is stood in for by
//! a queue that takes one step at a time, as crossbeam's promises to behave; boxcar's list is the real one, built for
//! loom.
#![cfg(loom)]
#![allow(dead_code)]

#[path = "../../tsdb/src/base/published.rs"]
mod published;
#[path = "../../tsdb/src/write/ring.rs"]
mod ring;

/// As the store's folder of that name.
mod base {
    pub(crate) use crate::sync;
}

mod sync {
    pub(crate) use loom::sync::Arc;
    use loom::sync::Mutex;
    pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::collections::VecDeque;

    #[derive(Debug)]
    pub(crate) struct Sender<T>(Arc<Mutex<VecDeque<T>>>, usize);
    #[derive(Debug)]
    pub(crate) struct Receiver<T>(Arc<Mutex<VecDeque<T>>>);
    #[derive(Debug)]
    pub(crate) struct Disconnected;

    #[derive(Debug)]
    pub(crate) enum TrySendError<T> {
        Full(T),
        Disconnected(T),
    }

    pub(crate) fn bounded<T>(slots: usize) -> (Sender<T>, Receiver<T>) {
        let queue = Arc::new(Mutex::new(VecDeque::new()));
        (Sender(queue.clone(), slots), Receiver(queue))
    }

    impl<T> Clone for Receiver<T> {
        fn clone(&self) -> Receiver<T> {
            Receiver(self.0.clone())
        }
    }

    impl<T> Sender<T> {
        pub(crate) fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
            let mut queue = self.0.lock().unwrap();
            if queue.len() == self.1 {
                return Err(TrySendError::Full(value));
            }
            queue.push_back(value);
            Ok(())
        }

        pub(crate) fn send(&self, mut value: T) -> Result<(), Disconnected> {
            loop {
                match self.try_send(value) {
                    Ok(()) => return Ok(()),
                    Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => value = back,
                }
                loom::thread::yield_now();
            }
        }

        pub(crate) fn len(&self) -> usize {
            self.0.lock().unwrap().len()
        }
    }

    impl<T> Receiver<T> {
        pub(crate) fn try_recv(&self) -> Option<T> {
            self.0.lock().unwrap().pop_front()
        }

        pub(crate) fn try_iter(&self) -> impl Iterator<Item = T> + '_ {
            std::iter::from_fn(|| self.try_recv())
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::published::Published;
    use crate::ring::{Full, Ring, Taker};
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicUsize, Ordering};
    use loom::thread;

    /// Somebody who waits for an answer: let go when the order is dropped, whether it was served or not.
    struct Waiting(Arc<AtomicUsize>);

    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }

    fn serve(taker: &Taker<Waiting>, times: usize) {
        for _ in 0..times {
            if let Some(order) = taker.receiver.try_recv() {
                taker.taken(1);
                drop(order);
            }
        }
    }

    /// Closing once left writers waiting for ever: what came between the writer's last look and its end stayed in the
    /// ring.
    #[test]
    fn whoever_hands_over_while_the_other_side_ends_is_let_go() {
        // Every order in which threads are interrupted three times at the most: more takes hours.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let (ring, taker) = Ring::new(2, 100);
            let (ring, waiting) = (Arc::new(ring), Arc::new(AtomicUsize::new(0)));
            let submitters: Vec<_> = (0..2)
                .map(|_| {
                    let (ring, waiting) = (ring.clone(), waiting.clone());
                    thread::spawn(move || {
                        waiting.fetch_add(1, Ordering::SeqCst);
                        let _ = ring.try_push(Waiting(waiting.clone()), 1);
                    })
                })
                .collect();
            serve(&taker, 1);
            ring.end();
            submitters.into_iter().for_each(|submitter| submitter.join().unwrap());
            assert_eq!(waiting.load(Ordering::SeqCst), 0, "somebody waits for ever");
        });
    }

    #[test]
    fn bytes_that_wait_are_counted_and_bounded() {
        loom::model(|| {
            let (ring, taker) = Ring::new(4, 2);
            let ring = Arc::new(ring);
            let pushed: Vec<_> = (0..2)
                .map(|_| {
                    let ring = ring.clone();
                    thread::spawn(move || match ring.try_push(2usize, 2) {
                        Ok(()) => 1,
                        Err(Full::Bytes(_)) => 0,
                        Err(other) => panic!("{other:?}"),
                    })
                })
                .collect();
            let mut taken = 0;
            if let Some(bytes) = taker.receiver.try_recv() {
                taker.taken(bytes);
                taken += 1;
            }
            let pushed: usize = pushed.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert!(pushed >= 1, "a ring that was empty refused everybody");
            assert!(pushed - taken <= 1, "more wait than may");
            for bytes in taker.receiver.try_iter() {
                taker.taken(bytes);
                taken += 1;
            }
            assert_eq!((pushed, ring.bytes(), ring.depth()), (taken, 0, 0));
        });
    }

    /// The writer publishes, then acknowledges; who was told sees it, and nobody sees a hole.
    #[test]
    fn what_was_acknowledged_is_seen_whole_and_in_order() {
        loom::model(|| {
            let (list, acknowledged) = (Arc::new(Published::new()), Arc::new(AtomicUsize::new(0)));
            let writer = {
                let (list, acknowledged) = (list.clone(), acknowledged.clone());
                thread::spawn(move || {
                    for number in 1..=2usize {
                        list.push(Box::new(number), number);
                        acknowledged.store(number, Ordering::Release);
                    }
                })
            };
            let told = acknowledged.load(Ordering::Acquire);
            let seen: Vec<usize> = list.iter().map(|item| **item).collect();
            assert!(seen.len() >= told, "told of {told}, seen {seen:?}");
            assert!(seen.iter().copied().eq(1..=seen.len()), "{seen:?}");
            writer.join().unwrap();
            assert_eq!((list.iter().count(), list.bytes()), (2, 3));
        });
    }
}
