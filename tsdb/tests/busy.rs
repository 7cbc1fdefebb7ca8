//! A full ring refuses a batch, which then is not stored, and takes the next one; a store that closes answers
//! everybody.
#![allow(clippy::unwrap_used)]

use tsdb::{Error, Options, Row, ScanRequest, Store, Value};

#[test]
fn a_full_ring_refuses_and_forgets() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options { ring_slots: 1, ..Options::default() }).unwrap();
    let (mut acks, mut refused) = (Vec::new(), 0);
    // Nobody waits for an answer: the writer, with its syncs, falls behind.
    for time in 0..5_000 {
        let mut batch = store.batch("public");
        let fields = [("f", Value::I64(time))];
        batch.push(&Row { measurement: "m", tags: &[], time, fields: &fields }).unwrap();
        match store.submit(batch) {
            Ok(ack) => acks.push(ack),
            Err(error @ Error::Busy { .. }) => {
                assert!(error.to_string().contains("store.ring_slots"), "{error}");
                refused += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert!(refused > 0, "the ring was never full");
    let taken = acks.len();
    acks.into_iter().for_each(|ack| ack.wait().unwrap());
    let scan = store.scan("public", "m", &ScanRequest::default()).unwrap();
    let rows: usize = scan.read_all().map(|batch| batch.unwrap().num_rows()).sum();
    assert_eq!(rows, taken, "{refused} were refused");
}

/// Closing once left writers waiting for ever: what was handed over between the writer's last look at the ring and its
/// end stayed there. A simulated kill met it after some ten thousand crashes.
#[test]
fn whoever_writes_while_the_store_closes_is_answered() {
    for _ in 0..200 {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { durability: tsdb::Durability::Process, ..Options::default() };
        let store = Store::open(dir.path(), options).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for time in 0.. {
                        let mut batch = store.batch("public");
                        batch
                            .push(&Row { measurement: "m", tags: &[], time, fields: &[("f", Value::I64(1))] })
                            .unwrap();
                        match store.write(batch) {
                            Ok(()) | Err(Error::Busy { .. }) => {}
                            Err(Error::Closed) => return,
                            Err(error) => panic!("{error}"),
                        }
                    }
                });
            }
            std::thread::sleep(std::time::Duration::from_micros(500));
            store.close().unwrap();
        });
        assert!(matches!(store.flush(), Err(Error::Closed)));
    }
}

/// A merge of a gigabyte takes minutes. Everything sealed meanwhile waited for its end once: a hundred segments, each of
/// which every question read, and the process took 70 MB more.
#[test]
fn what_is_sealed_while_a_large_merge_goes_on_is_merged_beside_it() {
    const LARGE: usize = 3;
    for rows in [40_000, 160_000, 640_000] {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { durability: tsdb::Durability::Process, head_bytes_max: 1 << 30, ..Options::default() };
        let store = Store::open(dir.path(), options).unwrap();
        let mut written = 0;
        let mut write = |count: i64| {
            let mut batch = store.batch("public");
            for at in written..written + count {
                let value = (at as f64 * 0.7).sin(); // does not pack well: merging takes its time
                let fields = [("f", Value::F64(value)), ("g", Value::F64(value * value))];
                batch.push(&Row { measurement: "m", tags: &[], time: at * 1_000_000, fields: &fields }).unwrap();
            }
            written += count;
            store.write(batch).unwrap();
        };
        let segments = || -> Vec<_> {
            let files = std::fs::read_dir(dir.path().join("segments")).unwrap();
            files
                .map(|file| file.unwrap().path())
                .filter(|path| path.extension().is_some_and(|kind| kind == "seg"))
                .collect()
        };
        for _ in 0..LARGE {
            (0..rows / 10_000).for_each(|_| write(10_000));
            store.flush().unwrap();
        }
        let large = segments();
        assert_eq!(large.len(), LARGE);
        // With one more they are worth a merge.
        let (mut sealed, mut most) = (0, 0);
        while large.iter().all(|path| path.exists()) {
            write(10);
            store.flush().unwrap();
            (sealed, most) = (sealed + 1, most.max(store.stats().segments));
        }
        let scan = store.scan("public", "m", &ScanRequest::default()).unwrap();
        assert_eq!(scan.read_all().map(|batch| batch.unwrap().num_rows()).sum::<usize>(), written as usize);
        if sealed > 60 {
            assert!(most < 30, "{most} segments while {sealed} were sealed");
            return;
        }
    }
    panic!("the merges of this machine are too fast to be looked at");
}
