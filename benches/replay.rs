//! Time travel: appending actions, a late action, a past state.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logux::{
    Action, ActionId, Entry, Log, MemoryStore, Meta, NodeId, Stamp, WallTime,
    crdt::SyncMaps,
    log::Draft,
    replay::{Timeline, TimelineConfig, typed_reducer},
};
use serde::Deserialize;

#[derive(Deserialize)]
struct Add {
    n: u64,
}

/// A small reducer that does not commute: its result depends on the order of the actions.
fn reducer() -> impl logux::replay::Reducer<State = u64, Action = Add> {
    typed_reducer(&["add"], 0, |sum: &mut u64, action: &Add| *sum = sum.rotate_left(1) ^ action.n)
}

fn entry(node: &NodeId, ms: i64) -> Entry {
    let id = ActionId::new(WallTime::from_millis(ms), node.clone(), 0);
    Entry::new(
        Action::new(format!(r#"{{"type":"add","n":{ms}}}"#)).expect("an action"),
        Meta::new(id),
    )
}

fn history(
    node: &NodeId,
    count: i64,
) -> Timeline<impl logux::replay::Reducer<State = u64, Action = Add>> {
    let mut timeline = Timeline::with_config(reducer(), TimelineConfig::default());
    for n in 0..count {
        // Odd times are free for late actions.
        timeline.add_read(stamp(node, 2 * n), Add { n: n.unsigned_abs() });
    }
    timeline
}

fn stamp(node: &NodeId, ms: i64) -> Stamp {
    Stamp::new(WallTime::from_millis(ms), ActionId::new(WallTime::from_millis(ms), node.clone(), 0))
}

fn append(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let mut group = criterion.benchmark_group("append to a timeline");
    group.sample_size(10);
    for count in [10_000, 1_000_000_i64] {
        let entries: Vec<Entry> = (0..count).map(|ms| entry(&node, ms)).collect();
        group.throughput(Throughput::Elements(count.unsigned_abs()));
        group.bench_function(BenchmarkId::new("actions as JSON", count), |bencher| {
            bencher.iter_batched(
                || Timeline::new(reducer()),
                |mut timeline| {
                    entries.iter().for_each(|entry| timeline.add(entry));
                    timeline
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

fn late(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let count = 1_000_000;
    let mut timeline = history(&node, count);
    let mut group = criterion.benchmark_group("a late action in 1,000,000");
    for distance in [1, 10, 100, 1_000, 10_000] {
        let mut sequence = 0;
        group.bench_function(BenchmarkId::new("back", distance), |bencher| {
            bencher.iter(|| {
                // Each iteration has its own position at that distance.
                sequence += 1;
                let ms = 2 * (count - distance) + 1;
                let id = ActionId::new(WallTime::from_millis(ms), node.clone(), sequence);
                timeline.add_read(Stamp::new(WallTime::from_millis(ms), id), Add { n: 1 });
            });
        });
        timeline = history(&node, count);
    }
    group.finish();
    println!("{:?}", timeline.stats());
}

fn past(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let timeline = history(&node, 1_000_000);
    let mut group = criterion.benchmark_group("state_at in 1,000,000");
    group.sample_size(20);
    // The worst position is right before a saved state.
    for position in [0, 4_095, 500_000, 2_047_999, 999_990] {
        let stamp = stamp(&node, position);
        group.bench_function(BenchmarkId::from_parameter(position), |bencher| {
            bencher.iter(|| black_box(timeline.state_at(&stamp)))
        });
    }
    group.finish();
}

/// A whole log with reasons and a timeline, as in `@logux/redux` and `syncMapTemplate`.
fn live(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let mut group = criterion.benchmark_group("log over a timeline");
    let log = |count: i64| {
        let timeline = Timeline::with_config(
            reducer(),
            TimelineConfig { history: Some(1_000_000), ..TimelineConfig::default() },
        );
        let mut log = Log::with_observer(node.clone(), MemoryStore::new(), timeline)
            .expect("memory does not fail");
        for ms in 0..count {
            log.add(WallTime::from_millis(2 * ms), entry(&node, ms).action, Draft::reason("kept"))
                .expect("memory does not fail");
        }
        log
    };
    for count in [1_000, 4_000_i64] {
        group.throughput(Throughput::Elements(count.unsigned_abs()));
        group.bench_function(BenchmarkId::new("append", count), |bencher| {
            bencher.iter(|| log(count))
        });
    }
    group.throughput(Throughput::Elements(1));
    for (count, back) in [(1_000, 100), (4_000, 1_000)] {
        let mut log = log(count);
        let mut sequence = 0;
        group.bench_function(BenchmarkId::new(format!("late, {back} back in"), count), |bencher| {
            bencher.iter(|| {
                sequence += 1;
                let time = WallTime::from_millis(2 * (count - back) + 1);
                let id = ActionId::new(time, node.clone(), sequence);
                log.add(time, entry(&node, 7).action, Draft::of(id, time).and_reason("kept"))
                    .expect("memory does not fail")
            });
        });
    }
    group.bench_function("change of a sync map's field", |bencher| {
        let timeline = Timeline::new(SyncMaps::new("tasks"));
        let mut log = Log::with_observer(node.clone(), MemoryStore::new(), timeline)
            .expect("memory does not fail");
        let mut ms = 0;
        bencher.iter(|| {
            ms += 1;
            let json = format!(
                r#"{{"type":"tasks/changed","id":"1","fields":{{"field{}":{ms}}}}}"#,
                ms % 10
            );
            log.add(
                WallTime::from_millis(ms),
                Action::new(json).expect("an action"),
                Draft::default(),
            )
            .expect("memory does not fail")
        });
    });
    group.finish();
}

criterion_group!(benches, append, late, past, live);
criterion_main!(benches);
