//! The whole system with failures of the network, clocks and disks: no action is lost or
//! duplicated, and all nodes get the same state.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, ActionId,
    crdt::{Crdt, List, Shared},
    replay::{TimelineConfig, untyped_reducer},
    testing::simulation::{Config, Simulation, assert_survives},
};
use proptest::prelude::*;
use std::{ops::RangeInclusive, time::Duration};

fn short() -> RangeInclusive<Duration> {
    Duration::from_millis(1)..=Duration::from_millis(50)
}

/// The number of plans of each test.
fn cases() -> u32 {
    std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(10_000)
}

/// A reducer whose state is the order in which actions were applied.
fn history() -> impl logux::replay::Reducer<State = Vec<String>> + Clone {
    untyped_reducer(Vec::new(), |all: &mut Vec<String>, action: &Action| {
        all.push(action.field("n").unwrap_or_default().to_owned())
    })
}

fn numbered(n: u32) -> Option<Action> {
    Action::new(format!(r#"{{"type":"numbered","n":{n}}}"#)).ok()
}

#[test]
fn all_nodes_apply_actions_in_one_order() {
    let config = Config { clients: 3, ..Config::default() };
    assert_survives(
        &config,
        (cases(), 40),
        &history(),
        |all| all.concat(),
        any::<u32>(),
        |_, n, _| numbered(*n),
    );
}

#[test]
fn a_list_survives_failures() {
    list_survives(&Config { clients: 3, ..Config::default() });
}

/// Logs remove settled and obsolete actions at once. A client that was offline receives the others.
#[test]
fn a_list_survives_compaction() {
    let timeline = TimelineConfig { history: Some(0), clean_every: 1, ..TimelineConfig::default() };
    list_survives(&Config { clients: 3, timeline, compact: true, ..Config::default() });
}

fn list_survives(config: &Config) {
    let tasks = Shared::<List>::new("lists", "1");
    let intents = any::<(u8, prop::sample::Index, prop::sample::Index)>();
    let shared = tasks.clone();
    let make = move |list: &List,
                     (kind, at, to): &(u8, prop::sample::Index, prop::sample::Index),
                     id: &ActionId| {
        let op = match kind % 4 {
            0 if !list.is_empty() => list.move_op(at.index(list.len()), to.index(list.len()), id),
            1 if !list.is_empty() => list.remove_op(at.index(list.len()), id),
            _ => list.insert_op(
                at.index(list.len() + 1),
                serde_json::Value::from(id.to_string()),
                id,
            ),
        };
        op.ok().and_then(|op| shared.action(&[op]).ok())
    };
    assert_survives(
        config,
        (cases(), 40),
        &tasks,
        |list| list.to_json().to_string(),
        intents,
        make,
    );
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut sim = Simulation::new(
            Config { seed, trace: true, reconnect_delay: short(), ..Config::default() },
            history(),
        );
        for n in 0..20 {
            sim.act(n % 2, |_, _| numbered(n.try_into().unwrap()));
            sim.run_for(Duration::from_millis(70));
            if n % 5 == 0 {
                sim.cut(n % 2);
            }
        }
        sim.settle().unwrap();
        (sim.trace().to_vec(), sim.counts())
    };
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
    assert!(trace(7).1.cuts == 4 && trace(7).1.frames > 40);
}

#[test]
fn many_actions_and_cuts() {
    let config = Config { clients: 5, seed: 1, reconnect_delay: short(), ..Config::default() };
    let mut sim = Simulation::new(config, history());
    for n in 0..1_000 {
        sim.act(n % 5, |_, _| numbered(n.try_into().unwrap()));
        sim.run_for(Duration::from_millis(7));
        if n % 10 == 0 {
            sim.cut(n / 10 % 5);
        }
    }
    sim.settle().unwrap();
    assert_eq!(sim.state(0).len(), 1_000);
    assert!(sim.counts().cuts >= 60, "{:?}", sim.counts());
}

/// Millions of plans:
/// `LOGUX_CASES=1000000 cargo test --release --features testing --test simulation -- --ignored`.
#[test]
#[ignore = "runs for hours; to be run after changes of the synchronization"]
fn millions_of_plans() {
    let config = Config { clients: 4, ..Config::default() };
    assert_survives(
        &config,
        (cases().max(1_000_000), 150),
        &history(),
        |all| all.concat(),
        any::<u32>(),
        |_, n, _| numbered(*n),
    );
}
