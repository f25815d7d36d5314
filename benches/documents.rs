//! Documents: undo of all that an author did, with its preview, and snapshots.

use std::{convert::Infallible, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use logux::{
    Log, MemoryStore, NodeId, WallTime,
    crdt::{Map, MapOp, Shared},
    log::Draft,
    replay::{Timeline, UndoManager},
};

type Replica = Log<MemoryStore, Timeline<Shared<Map>>>;

/// A document with 1,000 fields and this number of open actions, each tenth of them by user 20.
fn document(actions: i64) -> Replica {
    let (own, other) = ("10:laptop:tab", "20:phone:tab");
    let node = NodeId::new(own).expect("a node id");
    let shared = Shared::<Map>::new("notes", "7").settled_by(node.clone());
    let timeline = Timeline::new(shared.clone());
    let mut log = Log::with_observer(node, MemoryStore::new(), timeline).expect("memory");
    for n in 0..actions {
        let path = format!("/field{}", n % 1_000).parse().expect("a path");
        let set = MapOp::Set { path, value: serde_json::Value::from(n).into() };
        let action = shared.action(&[set]).expect("an action");
        let author = if n % 10 == 0 { other } else { own };
        let id = format!("{n} {author} 0").parse().expect("an id");
        let time = WallTime::from_millis(n);
        log.add(time, action, Draft::of(id, time)).expect("memory");
    }
    log
}

fn undo_of_an_author(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("10,000 actions of one author in 100,000");
    group.sample_size(10);
    let log = document(100_000);
    let since = WallTime::from_millis(0);
    group.bench_function("preview", |bencher| {
        bencher.iter(|| {
            let ids = log.timeline().actions_by("20", since);
            assert_eq!(ids.len(), 10_000);
            log.timeline().state_without(&ids)
        });
    });
    group.bench_function("undo", |bencher| {
        bencher.iter_batched(
            || document(100_000),
            |mut log| {
                let ids = log.timeline().actions_by("20", since);
                let mut undo = UndoManager::default();
                let now = WallTime::from_millis(200_000);
                assert_eq!(undo.undo_actions(now, &mut log, &ids).expect("memory"), 10_000);
                log
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn fold(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("snapshot");
    group.sample_size(10);
    for actions in [1_000, 10_000] {
        group.bench_function(format!("of {actions} open actions"), |bencher| {
            bencher.iter_batched(
                || document(actions),
                |mut log| {
                    log.fold(WallTime::from_millis(actions), Duration::from_hours(1))
                        .expect("memory");
                    log
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.bench_function("edit after it", |bencher| {
        let mut log = document(10_000);
        log.fold(WallTime::from_millis(10_000), Duration::from_hours(1)).expect("memory");
        let mut n = 10_000;
        bencher.iter(|| {
            n += 1;
            let set = MapOp::Set {
                path: "/title".parse().expect("a path"),
                value: serde_json::Value::from(n).into(),
            };
            log.edit(WallTime::from_millis(n), |_, _| Ok::<_, Infallible>(set)).expect("memory")
        });
    });
    group.finish();
}

criterion_group!(benches, undo_of_an_author, fold);
criterion_main!(benches);
