//! Durable adds to a file, in batches of 1, 100 and 1,000.
//!
//! The entries are like those of a server: an action of about 100 bytes, one reason, and for every
//! second entry a corrected time that differs from the time in its id.

use std::{fs, hint::black_box, path::Path, time::Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use logux::{Action, ActionId, Entry, Meta, NodeId, Store, WallTime, store::Insertion};
use logux_sqlite::{Database, Durability};

fn entries(from: u64, count: u64) -> Vec<Entry> {
    let node = NodeId::new("10:R7BNGAP5:px3-J3oc").expect("a node id");
    let make = |number: u64| {
        let at = 1_564_508_138_460 + number.cast_signed();
        let json = format!(
            r#"{{"type":"users/change","id":"{number}","fields":{{"name":"Ada Lovelace","email":"ada@example.com"}}}}"#
        );
        let id = ActionId::new(WallTime::from_millis(at), node.clone(), 0);
        let meta =
            Meta::new(id).with_time(WallTime::from_millis(at - 40 * (at % 2))).with_reason("users");
        Entry::new(Action::new(json).expect("an action"), meta)
    };
    (from..from + count).map(make).collect()
}

fn durable_adds(criterion: &mut Criterion) {
    for (name, durability) in [("full", Durability::Full), ("normal", Durability::Normal)] {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("adds-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).expect("a directory");
        let mut group = criterion.benchmark_group(format!("durable adds, {name}"));
        for batch in [1, 100, 1_000] {
            let database = Database::open_with(directory.join(format!("{batch}.db")), durability)
                .expect("a database");
            let mut store = database.store();
            let mut from = 0;
            group.throughput(Throughput::Elements(batch));
            group.bench_function(format!("batch of {batch}"), |bencher| {
                bencher.iter_custom(|times| {
                    let batches: Vec<_> =
                        (0..times).map(|at| entries(from + at * batch, batch)).collect();
                    from += times * batch;
                    let start = Instant::now();
                    for mut batch in batches {
                        for entry in &mut batch {
                            assert_eq!(store.add(entry).expect("add"), Insertion::Added);
                        }
                        store.commit().expect("commit");
                        black_box(batch);
                    }
                    start.elapsed()
                });
            });
        }
        group.finish();
        let _ = fs::remove_dir_all(&directory);
    }
}

criterion_group!(benches, durable_adds);
criterion_main!(benches);
