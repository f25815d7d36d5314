//! The log with the store in memory: adding in different orders, walking, removing a reason.

use std::{hint::black_box, ops::ControlFlow, time::Duration};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logux::{
    Action, ActionId, Log, MemoryStore, NodeId, WallTime,
    log::Draft,
    store::{Criteria, Query},
};

/// Returns actions of four nodes with their ids, in the order of creation.
fn actions(count: usize) -> Vec<(Action, ActionId)> {
    let nodes =
        ["10:a:x", "10:b:x", "20:c:x", "20:d:x"].map(|node| NodeId::new(node).expect("a node id"));
    let action = Action::new(r#"{"type":"tasks/change","id":"abc","fields":{"title":"Tea"}}"#)
        .expect("an action");
    (0..count)
        .map(|n| {
            let time = WallTime::from_millis(
                1_564_508_138_460 + i64::try_from(n).expect("a small number"),
            );
            (action.clone(), ActionId::new(time, nodes[n % 4].clone(), 0))
        })
        .collect()
}

/// Shuffles with the same result in each run: a linear congruential generator (Knuth, MMIX) and
/// Fisher–Yates.
fn shuffled(mut actions: Vec<(Action, ActionId)>) -> Vec<(Action, ActionId)> {
    let mut state = 42_u64;
    for n in (1..actions.len()).rev() {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        actions.swap(n, (state >> 33) as usize % (n + 1));
    }
    actions
}

/// Returns a log whose store keeps both orders. It builds the order by creation on the first walk
/// in that order.
fn empty() -> Log<MemoryStore> {
    let log = Log::new(NodeId::new("server:x").expect("a node id"), MemoryStore::new())
        .expect("memory does not fail");
    log.walk(&Query::created(), |_| ControlFlow::Break(())).expect("memory does not fail");
    log
}

fn add(log: &mut Log<MemoryStore>, (action, id): (Action, ActionId)) {
    let time = id.time();
    let added = log.add(time, action, Draft::of(id, time).and_reason("kept"));
    black_box(added.expect("memory does not fail"));
}

fn filled(count: usize) -> Log<MemoryStore> {
    let mut log = empty();
    actions(count).into_iter().for_each(|action| add(&mut log, action));
    log
}

fn adding(criterion: &mut Criterion) {
    for (name, order) in [
        ("add in order", (|all| all) as fn(Vec<(Action, ActionId)>) -> Vec<(Action, ActionId)>),
        ("add in reverse", |mut all| {
            all.reverse();
            all
        }),
        ("add at random", shuffled),
    ] {
        let mut group = criterion.benchmark_group(name);
        group
            .sample_size(10)
            .warm_up_time(Duration::from_millis(500))
            .measurement_time(Duration::from_secs(3));
        for count in [1_000, 10_000, 100_000, 1_000_000] {
            group.throughput(Throughput::Elements(count as u64));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                let all = order(actions(count));
                // The routine returns the log, so that dropping it is not measured.
                bencher.iter_batched(
                    || (empty(), all.clone()),
                    |(mut log, all)| {
                        all.into_iter().for_each(|action| add(&mut log, action));
                        log
                    },
                    BatchSize::LargeInput,
                );
            });
        }
        group.finish();
    }
}

fn reading(criterion: &mut Criterion) {
    for count in [1_000, 10_000, 100_000] {
        let log = filled(count);
        let mut group = criterion.benchmark_group("walk");
        group.throughput(Throughput::Elements(count as u64));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter(|| {
                let mut length = 0;
                log.walk(&Query::created(), |entry| {
                    length += black_box(entry).action.kind().len();
                    ControlFlow::Continue(())
                })
                .expect("memory does not fail");
                length
            });
        });
        group.finish();
    }
}

fn removing(criterion: &mut Criterion) {
    for count in [1_000, 10_000, 100_000] {
        let mut group = criterion.benchmark_group("remove_reason of half");
        group.sample_size(10).throughput(Throughput::Elements(count as u64 / 2));
        let middle = actions(count)[count / 2].1.clone();
        let criteria = Criteria::older_than(logux::Stamp::new(middle.time(), middle));
        group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
            bencher.iter_batched(
                || filled(count),
                |mut log| {
                    log.remove_reason("kept", &criteria).expect("memory does not fail");
                    log
                },
                BatchSize::LargeInput,
            );
        });
        group.finish();
    }
}

criterion_group!(benches, adding, reading, removing);
criterion_main!(benches);
