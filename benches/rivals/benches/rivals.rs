//! The types of this project and their counterparts in automerge, yrs and loro, in one run: map
//! set, list insert, counter.
//!
//! The others do all steps in one transaction, which is their best case. This project makes and
//! applies one operation with its stamp for each step.

use std::{hint::black_box, sync::Arc};

use automerge::{AutoCommit, ObjType, ROOT, ScalarValue, transaction::Transactable};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use logux::{
    ActionId, NodeId, Stamp, WallTime,
    crdt::{Counter, CounterOp, Crdt, List, Map, Path},
};
use serde_json::{Value, json};
use yrs::{Array, Map as _, Transact};

const SETS: usize = 10_000;
const KEYS: usize = 1_000;
const INSERTS: usize = 10_000;

fn stamp(node: &NodeId, ms: usize) -> Stamp {
    let time = WallTime::from_millis(ms as i64);
    Stamp::new(time, ActionId::new(time, node.clone(), 0))
}

fn map(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").unwrap();
    let keys: Vec<String> = (0..KEYS).map(|key| format!("field{key}")).collect();
    let paths: Vec<Path> = keys.iter().map(|key| Path::of(&[key]).unwrap()).collect();
    let mut group = criterion.benchmark_group("map set");
    group.sample_size(10).throughput(Throughput::Elements(SETS as u64));
    group.bench_function(BenchmarkId::new("logux", SETS), |bencher| {
        let value: logux::Json = json!("Buy milk").into();
        bencher.iter(|| {
            let mut map = Map::default();
            for n in 0..SETS {
                map.set(&paths[n * 7_919 % KEYS], value.clone(), &stamp(&node, n));
            }
            map
        });
    });
    group.bench_function(BenchmarkId::new("automerge", SETS), |bencher| {
        bencher.iter(|| {
            let mut doc = AutoCommit::new();
            for n in 0..SETS {
                doc.put(ROOT, keys[n * 7_919 % KEYS].as_str(), "Buy milk").unwrap();
            }
            doc.commit();
            doc
        });
    });
    group.bench_function(BenchmarkId::new("yrs", SETS), |bencher| {
        bencher.iter(|| {
            let doc = yrs::Doc::new();
            let map = doc.get_or_insert_map("m");
            let mut txn = doc.transact_mut();
            for n in 0..SETS {
                map.insert(&mut txn, keys[n * 7_919 % KEYS].as_str(), "Buy milk");
            }
            drop(txn);
            doc
        });
    });
    group.bench_function(BenchmarkId::new("loro", SETS), |bencher| {
        bencher.iter(|| {
            let doc = loro::LoroDoc::new();
            let map = doc.get_map("m");
            for n in 0..SETS {
                map.insert(&keys[n * 7_919 % KEYS], "Buy milk").unwrap();
            }
            doc.commit();
            doc
        });
    });
    group.finish();
}

fn position(order: &str, n: usize) -> usize {
    match order {
        "end" => n,
        "front" => 0,
        _ => n * 7_919 % (n + 1),
    }
}

fn list(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").unwrap();
    for order in ["end", "front", "random"] {
        let mut group = criterion.benchmark_group(format!("list insert, {order}"));
        group.sample_size(10).throughput(Throughput::Elements(INSERTS as u64));
        group.bench_function(BenchmarkId::new("logux", INSERTS), |bencher| {
            bencher.iter_batched(
                List::default,
                |mut list| {
                    for n in 0..INSERTS {
                        let stamp = stamp(&node, n);
                        let op = list.insert_op(position(order, n), json!(n), stamp.id()).unwrap();
                        list.apply(&op, &stamp);
                    }
                    list
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("automerge", INSERTS), |bencher| {
            bencher.iter(|| {
                let mut doc = AutoCommit::new();
                let list = doc.put_object(ROOT, "l", ObjType::List).unwrap();
                for n in 0..INSERTS {
                    doc.insert(&list, position(order, n), n as i64).unwrap();
                }
                doc.commit();
                doc
            });
        });
        group.bench_function(BenchmarkId::new("yrs", INSERTS), |bencher| {
            bencher.iter(|| {
                let doc = yrs::Doc::new();
                let list = doc.get_or_insert_array("l");
                let mut txn = doc.transact_mut();
                for n in 0..INSERTS {
                    list.insert(&mut txn, position(order, n) as u32, n as i64);
                }
                drop(txn);
                doc
            });
        });
        group.bench_function(BenchmarkId::new("loro", INSERTS), |bencher| {
            bencher.iter(|| {
                let doc = loro::LoroDoc::new();
                let list = doc.get_movable_list("l");
                for n in 0..INSERTS {
                    list.insert(position(order, n), n as i64).unwrap();
                }
                doc.commit();
                doc
            });
        });
        group.finish();
    }
}

fn counter(criterion: &mut Criterion) {
    let node = NodeId::new("10:client:tab").unwrap();
    let mut group = criterion.benchmark_group("counter");
    group.sample_size(10).throughput(Throughput::Elements(SETS as u64));
    group.bench_function(BenchmarkId::new("logux", SETS), |bencher| {
        bencher.iter(|| {
            let mut counter = Counter::default();
            for n in 0..SETS {
                counter.apply(&CounterOp::Add { by: 1 }, &stamp(&node, n));
            }
            counter
        });
    });
    group.bench_function(BenchmarkId::new("automerge", SETS), |bencher| {
        bencher.iter(|| {
            let mut doc = AutoCommit::new();
            doc.put(ROOT, "c", ScalarValue::counter(0)).unwrap();
            for _ in 0..SETS {
                doc.increment(ROOT, "c", 1).unwrap();
            }
            doc.commit();
            doc
        });
    });
    group.bench_function(BenchmarkId::new("loro", SETS), |bencher| {
        bencher.iter(|| {
            let doc = loro::LoroDoc::new();
            let counter = doc.get_counter("c");
            for _ in 0..SETS {
                counter.increment(1.0).unwrap();
            }
            doc.commit();
            black_box(doc)
        });
    });
    group.finish();
}

criterion_group!(benches, map, list, counter);
criterion_main!(benches);
