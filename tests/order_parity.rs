//! The order of actions is that of `isFirstOlder` in the official package, for the vectors of `spec/vectors/order.json` and for
//! thousands of random pairs.

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
    assert!(vectors.len() >= 10, "the vectors are found");
    vectors
}

fn stamp(vector: &Value) -> Stamp {
    let time = WallTime::from_millis(vector["time"].as_i64().unwrap());
    Stamp::new(time, vector["id"].as_str().unwrap().parse().unwrap())
}

/// Pairs that the vectors order, older first.
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

/// What the official package says about the first of each pair.
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

/// Stamps that share keys with each other: from few values, among them node ids of any characters.
fn any_stamp() -> impl Strategy<Value = Stamp> {
    let node = prop_oneof![
        strategies::node_id(),
        proptest::collection::vec(any::<char>().prop_filter("no space", |char| *char != ' '), 1..4)
            .prop_map(|chars| NodeId::new(chars.into_iter().collect::<String>()).unwrap()),
    ];
    let few = || prop_oneof![4 => (-2..12_i64).prop_map(WallTime::from_millis), 1 => strategies::wall_time()];
    let sequence = prop_oneof![4 => 0..12_u32, 1 => any::<u32>()];
    (few(), few(), node, sequence).prop_map(|(time, made, node, sequence)| {
        Stamp::new(time, ActionId::new(made, node, sequence))
    })
}

/// Two stamps of which the second has some keys of the first.
fn pair() -> impl Strategy<Value = (Stamp, Stamp)> {
    (any_stamp(), any_stamp(), any::<[bool; 4]>()).prop_map(
        |(a, b, [time, made, node, sequence])| {
            let id = ActionId::new(
                if made { a.id().time() } else { b.id().time() },
                if node { a.id().node().clone() } else { b.id().node().clone() },
                if sequence { a.id().sequence() } else { b.id().sequence() },
            );
            let b = Stamp::new(if time { a.time() } else { b.time() }, id);
            (a, b)
        },
    )
}

#[test]
fn orders_as_the_vectors_say() {
    for (older, newer) in ordered_pairs() {
        assert_eq!(
            (older.cmp(&newer), newer.cmp(&older)),
            (Ordering::Less, Ordering::Greater),
            "{older:?}, {newer:?}"
        );
    }
}

#[test]
fn the_reference_orders_as_the_vectors_say() {
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
    let mut seen = [0; 3];
    for ((a, b), order) in pairs.iter().zip(reference(&pairs)) {
        assert_eq!(a.cmp(b), order, "{a:?} against {b:?}, seed {seed:?}");
        assert_eq!(a == b, order == Ordering::Equal, "{a:?} against {b:?}, seed {seed:?}");
        seen[match order {
            Ordering::Less => 0,
            Ordering::Equal => 1,
            Ordering::Greater => 2,
        }] += 1;
    }
    assert!(seen.iter().all(|times| *times > PAIRS / 100), "one-sided pairs: {seen:?}");
}

/// New pairs each time; a failure prints the seed.
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
