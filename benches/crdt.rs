//! The types that merge, and the simulation.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logux::{
    Action, ActionId, NodeId, Stamp, WallTime,
    crdt::{Counter, CounterOp, Crdt, Document, DocumentOp, ElementId, List, Map, Path, Tree},
    replay::untyped_reducer,
    testing::simulation::{Config, Simulation},
};
use serde_json::json;

fn stamp(node: &NodeId, ms: i64) -> Stamp {
    Stamp::new(WallTime::from_millis(ms), ActionId::new(WallTime::from_millis(ms), node.clone(), 0))
}

fn map(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let mut group = criterion.benchmark_group("map set");
    for keys in [10, 1_000, 100_000] {
        let paths: Vec<Path> =
            (0..keys).map(|key| Path::new(format!("/field{key}")).expect("a path")).collect();
        let value: logux::Json = json!("Buy milk").into();
        let mut map = Map::default();
        let mut ms = 0;
        group.throughput(Throughput::Elements(1));
        group.bench_function(BenchmarkId::new("keys", keys), |bencher| {
            bencher.iter(|| {
                ms += 1;
                let path = &paths[usize::try_from(ms).expect("a count") * 7_919 % keys];
                black_box(map.set(path, value.clone(), &stamp(&node, i64::from(ms))))
            });
        });
    }
    group.finish();
}

fn list(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let mut group = criterion.benchmark_group("list insert");
    group.sample_size(10).throughput(Throughput::Elements(100_000));
    let value = json!(1);
    for (name, position) in [("at the end", 0), ("at the front", 1), ("at random", 2)] {
        group.bench_function(BenchmarkId::new(name, 100_000), |bencher| {
            bencher.iter_batched(
                List::default,
                |mut list| {
                    for ms in 0..100_000_i64 {
                        let stamp = stamp(&node, ms);
                        let index = match position {
                            0 => list.len(),
                            1 => 0,
                            _ => usize::try_from(ms * 7_919).expect("an index") % (list.len() + 1),
                        };
                        let op = list.insert_op(index, value.clone(), stamp.id()).expect("a place");
                        list.apply(&op, &stamp);
                    }
                    list
                },
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Moves of leaves to other nodes, in a tree of 100,000 nodes with 10 children each.
fn tree(criterion: &mut Criterion) {
    const NODES: usize = 100_000;
    const PARENTS: usize = NODES / 10;
    let node = NodeId::new("10:client:tab").expect("a node id");
    let other = NodeId::new("20:client:tab").expect("a node id");
    let mut group = criterion.benchmark_group("tree of 100000");
    let mut tree = Tree::default();
    let mut ids: Vec<ElementId> = Vec::new();
    for ms in 0..NODES {
        let parent = ms.checked_sub(1).map(|index| &ids[index / 10]);
        let stamp = stamp(&node, i64::try_from(ms).expect("a time"));
        ids.push(
            tree.create(parent, ms.saturating_sub(1) % 10, json!(ms), &stamp).expect("a place"),
        );
    }
    let place = |ms: i64| {
        let step = usize::try_from(ms).expect("a count");
        let leaf = PARENTS + 1 + step * 7_919 % (NODES - PARENTS - 1);
        (&ids[leaf], Some(&ids[step * 104_729 % PARENTS]))
    };
    let mut ms = i64::try_from(NODES).expect("a time");
    let mut moved = tree.clone();
    for (name, is_made) in [("make a move", true), ("apply a move", false)] {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|iterations| {
                let mut total = Duration::ZERO;
                for _ in 0..iterations {
                    ms += 1;
                    let (leaf, parent) = place(ms);
                    let stamp = stamp(&node, ms);
                    let start = Instant::now();
                    let op = moved.move_op(leaf, parent, 0, &node).expect("a move");
                    let made = start.elapsed();
                    let start = Instant::now();
                    moved.apply(&op, &stamp);
                    total += if is_made { made } else { start.elapsed() };
                }
                total
            });
        });
    }
    let start = 200_000;
    let (leaf, parent) = place(start);
    let late = tree.move_op(leaf, parent, 0, &other).expect("a move");
    for ms in start..start + 1_000 {
        let (leaf, parent) = place(ms);
        tree.move_to(leaf, parent, 0, &stamp(&node, ms)).expect("a move");
    }
    group.bench_function("apply a move 1000 back", |bencher| {
        bencher.iter_batched(
            || tree.clone(),
            |mut tree| {
                tree.apply(&late, &stamp(&other, start - 1));
                tree
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn counter(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").expect("a node id");
    let mut group = criterion.benchmark_group("counter add");
    group.sample_size(10).throughput(Throughput::Elements(10_000));
    group.bench_function("10000", |bencher| {
        bencher.iter_batched(
            Counter::default,
            |mut counter| {
                for ms in 0..10_000 {
                    counter.apply(&CounterOp::Add { by: 1 }, &stamp(&node, ms));
                }
                counter
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

/// A document with this number of fields, which two nodes wrote in turns, a few seconds apart.
fn document(fields: i64) -> Document {
    let nodes = ["380:R7BNGAP5:px3-J3oc", "381:M4KWQZ2T:aa1-9Xyz"];
    let nodes = nodes.map(|node| NodeId::new(node).expect("a node id"));
    let mut document = Document::default();
    let mut time = 1_564_508_138_460;
    for n in 0..fields {
        time += n * 7_919 % 5_000;
        let path = format!("/tasks/task{n}/title").parse().expect("a path");
        let op = DocumentOp::Set { path, value: json!(format!("The title of task {n}")).into() };
        let node = &nodes[usize::from(n % 10 == 0)];
        document.apply(&op, &stamp(node, time));
    }
    document
}

fn saved(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("saved");
    let document = document(10_000);
    let forms = [("plain", document.save()), ("deflated", document.save_deflated())];
    for (name, saved) in &forms {
        println!("saved/{name}: {} bytes", saved.len());
        group.bench_function(format!("load a document of 10,000 fields, {name}"), |bencher| {
            bencher.iter(|| Document::load(saved).expect("a saved state"));
        });
    }
    group.bench_function("save a document of 10,000 fields, plain", |bencher| {
        bencher.iter(|| document.save());
    });
    group.bench_function("save a document of 10,000 fields, deflated", |bencher| {
        bencher.iter(|| document.save_deflated());
    });
    let mut counter = Counter::default();
    let node = NodeId::new("10:client:tab").expect("a node id");
    for n in 0..20_000 {
        counter.apply(&CounterOp::Add { by: 1 }, &stamp(&node, n * n));
    }
    let saved = counter.save();
    println!("saved/20,000 increments: {} bytes", saved.len());
    group.bench_function("load a counter of 20,000 increments, plain", |bencher| {
        bencher.iter(|| Counter::load(&saved).expect("a saved state"));
    });
    group.finish();
}

fn simulation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("simulation");
    group.sample_size(10);
    group.bench_function("5 nodes, 1,000 actions each, 100 cuts", |bencher| {
        bencher.iter(|| {
            let count = untyped_reducer(0, |count: &mut u64, _: &Action| *count += 1);
            let config = Config {
                clients: 4,
                seed: 1,
                reconnect_delay: Duration::from_millis(1)..=Duration::from_millis(50),
                ..Config::default()
            };
            let mut sim = Simulation::new(config, count);
            for n in 0..4_000_usize {
                sim.act(n % 4, |_, _| Action::new(r#"{"type":"a"}"#).ok());
                sim.run_for(Duration::from_millis(5));
                if n % 40 == 0 {
                    sim.cut(n / 40 % 4);
                }
            }
            sim.settle().expect("all nodes have all actions");
            sim.counts()
        });
    });
    group.finish();
}

criterion_group!(benches, map, list, tree, counter, saved, simulation);
criterion_main!(benches);
