//! The order of actions equals that of `isFirstOlder` in the official package, for the vectors of
//! `spec/vectors/order.json` and for thousands of random pairs.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use core::cmp::Ordering;

use logux::{ActionId, NodeId, Stamp, WallTime, testing::strategies};
use proptest::{
    prelude::*,
    strategy::ValueTree as _,
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use serde_json::{Value, json};

fn vectors(group: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../spec/vectors/order.json")).unwrap();
    let vectors = all[group].as_array().unwrap().clone();
    assert!(vectors.len() >= 10, "expected at least 10 vectors");
    vectors
}

fn stamp(vector: &Value) -> Stamp {
    let time = WallTime::from_millis(vector["time"].as_i64().unwrap());
    Stamp::new(time, vector["id"].as_str().unwrap().parse().unwrap())
}

/// Returns the ordered pairs of the vectors, the older stamp first.
fn ordered_pairs() -> Vec<(Stamp, Stamp)> {
    let pairs = vectors("pairs");
    let mut pairs: Vec<_> =
        pairs.iter().map(|pair| (stamp(&pair["older"]), stamp(&pair["newer"]))).collect();
    let sorted: Vec<Stamp> = vectors("sorted").iter().map(stamp).collect();
    for (at, older) in sorted.iter().enumerate() {
        pairs.extend(sorted[at + 1..].iter().map(|newer| (older.clone(), newer.clone())));
    }
    pairs
}

/// Returns how the official package orders each pair.
fn reference(pairs: &[(Stamp, Stamp)]) -> Vec<Ordering> {
    let meta =
        |stamp: &Stamp| json!({"id": stamp.id().to_string(), "time": stamp.time().as_millis()});
    let questions: Vec<String> =
        pairs.iter().map(|(a, b)| json!([meta(a), meta(b)]).to_string()).collect();
    let answers = support::ask_reference("order-parity.mjs", &questions);
    let order = |answer: &String| match answer.as_str() {
        "<" => Ordering::Less,
        "=" => Ordering::Equal,
        ">" => Ordering::Greater,
        other => panic!("an answer of {other:?}"),
    };
    answers.iter().map(order).collect()
}

/// Stamps whose parts are often equal, with node ids of any characters.
fn any_stamp() -> impl Strategy<Value = Stamp> {
    let node = prop_oneof![
        strategies::node_id(),
        proptest::collection::vec(any::<char>().prop_filter("no space", |char| *char != ' '), 1..4)
            .prop_map(|chars| NodeId::new(chars.into_iter().collect::<String>()).unwrap()),
    ];
    let time = || prop_oneof![4 => (-2..12_i64).prop_map(WallTime::from_millis), 1 => strategies::wall_time()];
    let sequence = prop_oneof![4 => 0..12_u32, 1 => any::<u32>()];
    (time(), time(), node, sequence).prop_map(|(time, id_time, node, sequence)| {
        Stamp::new(time, ActionId::new(id_time, node, sequence))
    })
}

/// Two stamps, of which the second has some parts of the first.
fn pair() -> impl Strategy<Value = (Stamp, Stamp)> {
    (any_stamp(), any_stamp(), any::<[bool; 4]>()).prop_map(
        |(a, b, [time, id_time, node, sequence])| {
            let id = ActionId::new(
                if id_time { a.id().time() } else { b.id().time() },
                if node { a.id().node().clone() } else { b.id().node().clone() },
                if sequence { a.id().sequence() } else { b.id().sequence() },
            );
            let b = Stamp::new(if time { a.time() } else { b.time() }, id);
            (a, b)
        },
    )
}

#[test]
fn stamps_are_ordered_as_in_the_vectors() {
    for (older, newer) in ordered_pairs() {
        assert_eq!(
            (older.cmp(&newer), newer.cmp(&older)),
            (Ordering::Less, Ordering::Greater),
            "{older:?}, {newer:?}"
        );
    }
}

#[test]
fn the_reference_orders_as_in_the_vectors() {
    let pairs = ordered_pairs();
    for (pair, order) in pairs.iter().zip(reference(&pairs)) {
        assert_eq!(order, Ordering::Less, "{pair:?}");
    }
}

#[test]
fn random_pairs_are_ordered_as_in_the_reference() {
    const PAIRS: usize = 20_000;
    let seed: [u8; 32] = rand_seed();
    let mut runner = TestRunner::new_with_rng(
        Config::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
    );
    let pairs: Vec<_> =
        (0..PAIRS).map(|_| pair().new_tree(&mut runner).unwrap().current()).collect();
    let mut counts = [0; 3];
    for ((a, b), order) in pairs.iter().zip(reference(&pairs)) {
        assert_eq!(a.cmp(b), order, "{a:?} and {b:?}, seed {seed:?}");
        assert_eq!(a == b, order == Ordering::Equal, "{a:?} and {b:?}, seed {seed:?}");
        counts[match order {
            Ordering::Less => 0,
            Ordering::Equal => 1,
            Ordering::Greater => 2,
        }] += 1;
    }
    assert!(counts.iter().all(|count| *count > PAIRS / 100), "unbalanced pairs: {counts:?}");
}

/// Returns a seed from the clock, so that each run has other pairs. A failure prints the seed.
fn rand_seed() -> [u8; 32] {
    let mut seed = [0; 32];
    seed[..16].copy_from_slice(
        &std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_nanos()
            .to_le_bytes(),
    );
    seed
}
