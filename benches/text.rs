//! Text: typing alone, by others, through a log, saving and loading.
//!
//! The text is the recorded one in `../shared/traces/automerge-paper.json.gz`, whose times are
//! replaced by those of a person: a pause of about 150 ms between keys, with longer ones now and
//! then. Without the recording, a seeded generator takes its place.

use std::{convert::Infallible, hint::black_box, time::Duration};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use logux::{
    ActionId, Log, MemoryStore, NodeId, Stamp, WallTime,
    crdt::{Crdt, Shared, Text, TextOp, Unit},
    replay::{Coverage, Timeline},
};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

/// A replacement: position, number of removed characters, and inserted ones.
type Patch = (usize, usize, String);

/// Reads the recorded patches, one action each.
fn recorded() -> Option<Vec<Patch>> {
    #[derive(serde::Deserialize)]
    struct Trace {
        txns: Vec<Transaction>,
    }
    #[derive(serde::Deserialize)]
    struct Transaction {
        patches: Vec<Patch>,
    }
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/traces");
    let bytes = std::fs::read(format!("{folder}/automerge-paper.json.gz")).ok()?;
    // The header of gzip has 10 bytes, and a name if its flag says so.
    let name =
        if bytes.get(3)? & 8 == 0 { 0 } else { bytes[10..].iter().position(|b| *b == 0)? + 1 };
    let json = miniz_oxide::inflate::decompress_to_vec(&bytes[10 + name..]).ok()?;
    let trace: Trace = serde_json::from_slice(&json).ok()?;
    Some(trace.txns.into_iter().flat_map(|transaction| transaction.patches).collect())
}

/// Generates typing in bursts at random places, with corrections.
fn generated() -> Vec<Patch> {
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut len = 0;
    let mut patches = Vec::new();
    while patches.len() < 260_000 {
        let mut at = random.random_range(0..=len);
        for _ in 0..random.random_range(1..60) {
            if at > 0 && random.random_bool(0.2) {
                at -= 1;
                len -= 1;
                patches.push((at, 1, String::new()));
            } else {
                let letter = char::from(random.random_range(b'a'..=b'z'));
                patches.push((at, 0, letter.to_string()));
                at += 1;
                len += 1;
            }
        }
    }
    patches
}

fn patches() -> Vec<Patch> {
    recorded().unwrap_or_else(|| {
        println!("../shared/traces is missing: the text is generated");
        generated()
    })
}

/// Returns the times of keys, in milliseconds.
fn times(count: usize) -> Vec<i64> {
    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut time = 1_564_508_138_460;
    let pause = |random: &mut ChaCha8Rng| {
        // A sum of uniform numbers is close to a normal one.
        let normal: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let thinking =
            if random.random_bool(0.01) { random.random_range(2_000..60_000) } else { 0 };
        (150.0 * (0.6 * normal).exp()) as i64 + thinking
    };
    (0..count)
        .map(|_| {
            time += pause(&mut random);
            time
        })
        .collect()
}

fn stamp(node: &NodeId, ms: i64) -> Stamp {
    let time = WallTime::from_millis(ms);
    Stamp::new(time, ActionId::new(time, node.clone(), 0))
}

fn ops_of(text: &Text, patch: &Patch, author: &NodeId) -> Vec<TextOp> {
    let (at, removed, inserted) = patch;
    text.replace_ops(*at..at + removed, inserted, Unit::Scalars, author).expect("in the text")
}

fn type_all(patches: &[Patch], times: &[i64], node: &NodeId) -> Text {
    let mut text = Text::default();
    for ((at, removed, inserted), ms) in patches.iter().zip(times) {
        let stamp = stamp(node, *ms);
        text.replace(*at..at + removed, inserted, Unit::Scalars, &stamp).expect("in the text");
    }
    text
}

fn text(criterion: &mut Criterion) {
    let node = NodeId::new("380:R7BNGAP5:px3-J3oc").expect("a node id");
    let patches = patches();
    let times = times(patches.len());
    let mut ops: Vec<(TextOp, Stamp)> = Vec::new();
    let mut written = Text::default();
    for (patch, ms) in patches.iter().zip(&times) {
        for (index, op) in (0..).zip(ops_of(&written, patch, &node)) {
            let stamp = stamp(&node, *ms).of_operation(index);
            written.apply(&op, &stamp);
            ops.push((op, stamp));
        }
    }
    let bytes: usize =
        ops.iter().map(|(op, _)| serde_json::to_string(op).map_or(0, |json| json.len())).sum();
    println!(
        "{} edits, {} operations of {} bytes of JSON on average",
        patches.len(),
        ops.len(),
        bytes / ops.len()
    );
    let mut settled = written.clone();
    settled.settle(&Coverage::default());
    for (name, text) in [("settled", &settled), ("open", &written)] {
        println!("saved, {name}: {}, {} deflated", text.save().len(), text.save_deflated().len());
    }
    let mut group = criterion.benchmark_group("text");
    group.sample_size(10).measurement_time(Duration::from_secs(10));
    group.bench_function("typed alone", |bencher| {
        bencher.iter(|| type_all(&patches, &times, &node));
    });
    group.bench_function("received edit by edit", |bencher| {
        bencher.iter(|| {
            let mut text = Text::default();
            for (op, stamp) in &ops {
                text.apply(op, stamp);
            }
            text
        });
    });
    group.bench_function("through a log, an action a key", |bencher| {
        bencher.iter_batched(
            || {
                let timeline = Timeline::new(Shared::<Text>::new("notes", "7"));
                Log::with_observer(node.clone(), MemoryStore::new(), timeline).expect("memory")
            },
            |mut log| {
                for (patch, ms) in patches.iter().zip(&times) {
                    log.edit_together(WallTime::from_millis(*ms), |edit| {
                        for op in ops_of(edit.state(), patch, &node) {
                            edit.push(op);
                        }
                        Ok::<_, Infallible>(())
                    })
                    .expect("memory");
                }
                log
            },
            BatchSize::PerIteration,
        );
    });
    for (name, text) in [("settled", &settled), ("open", &written)] {
        for (form, saved) in [("plain", text.save()), ("deflated", text.save_deflated())] {
            group.bench_function(format!("loaded, {name}, {form}"), |bencher| {
                bencher.iter(|| Text::load(black_box(&saved)).expect("a saved text"));
            });
            group.bench_function(format!("text of a saved state, {name}, {form}"), |bencher| {
                bencher.iter(|| Text::load_text(black_box(&saved)).expect("a saved text"));
            });
        }
    }
    group.bench_function("saved", |bencher| bencher.iter(|| settled.save()));
    group.bench_function("delta of a key", |bencher| {
        let mut after = settled.clone();
        after.insert(50_000, "x", Unit::Scalars, &stamp(&node, 2_000_000_000_000)).expect("in it");
        bencher.iter(|| settled.delta_to(black_box(&after), Unit::Utf16));
    });
    group.finish();
}

criterion_group!(benches, text);
criterion_main!(benches);
