//! The real hub, its clients and an application, with failures of the network, disks, power and
//! handlers: each action is processed once, and each author receives an answer.
//!
//! `LOGUX_CASES` is the number of seeds of each test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, ActionId, Entry,
    action::logux::UNDO,
    log::Draft,
    replay::{UntypedReducer, untyped_reducer},
    server::{
        Config, FateKey, FateKeys, Queues, Recipients, Retention, RetentionPolicy, UndoTarget,
    },
    testing::server_simulation::{self as simulation, Application, Counts, World, assert_survives},
};
use std::{collections::BTreeSet, time::Duration};

/// An application that adds notes. It refuses one in eight.
#[derive(Clone, Debug, Default)]
struct Notes {
    /// Whether notes are kept in the server's log and replayed to subscribers, instead of loaded.
    are_kept: bool,
    /// The number of queues of a client, and `max_queue`.
    queues: Option<(u64, usize)>,
    /// The number of fate keys, and one more for actions that fail alone.
    fates: Option<u64>,
    /// Whether users undo notes of each other, and undo these undos.
    are_undone: bool,
}

type Names = BTreeSet<String>;

fn note(name: &str) -> Action {
    Action::new(format!(r#"{{"type":"note","name":"{name}"}}"#)).unwrap()
}

fn name_of(action: &Action) -> Option<String> {
    (action.kind() == "note").then(|| action.str_field("name").unwrap().into_owned())
}

/// The prefix of the ids of a device's own actions in its state.
const OWN: &str = "own ";

/// Whether an action is undone by one of these undos, which are pairs of id and target.
fn is_undone(undos: &[(&str, &str)], id: &str) -> bool {
    undos.iter().any(|(undo, target)| *target == id && !is_undone(undos, undo))
}

impl Application for Notes {
    /// The names of the notes, repeated if a note was added twice.
    type Data = Vec<String>;
    type Reducer = UntypedReducer<Names, fn(&mut Names, &Action)>;

    fn reducer(&self) -> Self::Reducer {
        untyped_reducer(Names::new(), |names, action| {
            names.extend(name_of(action));
            if action.kind() == "counted" {
                names.insert(format!("{OWN}{}", action.str_field("id").unwrap()));
            }
        })
    }

    fn channels(&self) -> Vec<String> {
        vec!["notes".into(), "empty".into()]
    }

    fn act(&self, names: &Names, id: &ActionId, number: u64) -> Option<Action> {
        if self.are_undone && number % 4 < 2 {
            // A note is named by its id.
            let ids = names.iter().filter(|name| !name.starts_with("bad"));
            let ids: Vec<_> = ids.map(|name| name.trim_start_matches(OWN)).collect();
            let id = ids.get((number / 4) as usize % ids.len().max(1))?;
            return Some(Action::new(format!(r#"{{"type":"{UNDO}","id":"{id}"}}"#)).unwrap());
        }
        let is_bad = number.is_multiple_of(8);
        Some(note(&if is_bad { format!("bad {id}") } else { id.to_string() }))
    }

    fn resend(&self, _: &Entry) -> Recipients {
        Recipients::channel("notes")
    }

    fn process(&self, data: &mut Vec<String>, entry: &Entry) -> Result<(), String> {
        if entry.action.kind() == UNDO {
            data.push(format!(
                "undo {} of {}",
                entry.meta.id,
                entry.action.str_field("id").unwrap()
            ));
            return Ok(());
        }
        let name = name_of(&entry.action).unwrap();
        if name.starts_with("bad") {
            return Err("bad".into());
        }
        data.push(name);
        Ok(())
    }

    fn send_back(&self, entry: &Entry) -> Vec<Action> {
        vec![Action::new(format!(r#"{{"type":"counted","id":"{}"}}"#, entry.meta.id)).unwrap()]
    }

    fn load(&self, data: &Vec<String>, channel: &str) -> Vec<(Action, Draft)> {
        let is_loaded = channel == "notes" && !self.are_kept;
        data.iter().filter(|_| is_loaded).map(|name| (note(name), Draft::default())).collect()
    }

    fn replays(&self, channel: &str) -> bool {
        channel == "notes" && self.are_kept
    }

    fn configure(&self, config: &mut Config) {
        if self.are_kept {
            config.retention = RetentionPolicy::by(|_, _| Some(Retention::forever("notes")));
        }
        if let Some((queues, max_queue)) = self.queues {
            config.max_queue = max_queue;
            config.queues = Queues::by(move |action| {
                (action.as_json().len() as u64 % queues).to_string().into()
            });
        }
        if self.are_undone {
            // The simulation expects that undos are in the queue of their own type.
            config.fate_keys = FateKeys::by(|_| FateKey::none());
        }
        if let Some(fates) = self.fates {
            config.fate_keys = FateKeys::by(move |action| {
                match action.as_json().bytes().map(u64::from).sum::<u64>() % (fates + 1) {
                    0 => FateKey::none(),
                    fate => fate.to_string().into(),
                }
            });
        }
    }

    fn stored(&self, data: &Vec<String>) -> String {
        let undos = data.iter().filter_map(|line| line.strip_prefix("undo ")?.split_once(" of "));
        let undos: Vec<_> = undos.collect();
        let notes = data.iter().filter(|line| !line.starts_with("undo "));
        format!("{:?}", notes.filter(|note| !is_undone(&undos, note)).collect::<BTreeSet<_>>())
    }

    fn shown(&self, names: &Names) -> String {
        format!("{:?}", names.iter().filter(|name| !name.starts_with(OWN)).collect::<BTreeSet<_>>())
    }

    fn may_undo(&self, target: &UndoTarget, undo: &Entry) -> bool {
        self.are_undone && target.is_by(undo.meta.id.node())
    }
}

fn seeds(default: u64) -> core::ops::Range<u64> {
    0..std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

#[test]
fn the_clock_of_the_server_may_go_backwards() {
    let config = simulation::Config {
        server_clock_error: Duration::from_secs(60),
        ..simulation::Config::default()
    };
    for are_kept in [false, true] {
        assert_survives(&Notes { are_kept, ..Notes::default() }, &config, seeds(150), 40);
    }
}

#[test]
fn with_an_inbox_each_action_is_processed_once() {
    assert_survives(&Notes::default(), &simulation::Config::default(), seeds(800), 40);
}

#[test]
fn without_an_inbox_actions_are_processed_again_only_after_a_crash() {
    let config =
        simulation::Config { inbox: false, store_failures: false, ..simulation::Config::default() };
    assert_survives(&Notes::default(), &config, seeds(300), 40);
    let mut repeated = 0;
    for seed in 0..50 {
        let mut world = World::new(simulation::Config { seed, ..config.clone() }, Notes::default());
        world.run_random(40);
        world.settle().unwrap();
        repeated += world.data().len() - world.data().iter().collect::<BTreeSet<_>>().len();
    }
    assert!(repeated > 0, "some actions are processed twice without an inbox");
}

#[test]
fn kept_actions_reach_all_subscribers() {
    assert_survives(
        &Notes { are_kept: true, ..Notes::default() },
        &simulation::Config::default(),
        seeds(300),
        40,
    );
}

/// Users undo their own notes, and undo their undos, on any of their devices, at any time: without
/// a connection too, and before the notes are sent.
#[test]
fn undos_of_users_take_effect_once() {
    let config = simulation::Config { errors_once_in: 0, ..simulation::Config::default() };
    for queues in [None, Some((3, 100))] {
        let notes = Notes { are_kept: true, are_undone: true, queues, ..Notes::default() };
        assert_survives(&notes, &config, seeds(150), 40);
        let mut dropped = 0;
        for seed in 0..20 {
            let config = simulation::Config { seed, ..config.clone() };
            let mut world = World::new(config, notes.clone());
            world.run_random(40);
            dropped += world.counts().dropped;
        }
        assert!(dropped > 10, "devices undo {dropped} actions and undos before they are sent");
    }
}

/// While a queue is full, received actions are not confirmed.
#[test]
fn queues_of_one_client_are_independent() {
    assert_survives(
        &Notes { queues: Some((3, 2)), ..Notes::default() },
        &simulation::Config::default(),
        seeds(300),
        40,
    );
}

/// Handlers fail often, and are slow enough that actions and subscriptions wait behind them.
#[test]
fn a_failure_undoes_only_what_shares_its_fate() {
    let config = simulation::Config {
        errors_once_in: 4,
        handler_delay: Duration::ZERO..=Duration::from_millis(800),
        ..simulation::Config::default()
    };
    for fates in [None, Some(2)] {
        assert_survives(&Notes { fates, ..Notes::default() }, &config, seeds(100), 40);
    }
}

/// What devices did offline is larger than a message may be, so it is divided by size.
#[test]
fn backlogs_are_larger_than_a_message() {
    let config = simulation::Config {
        message_bytes: Some(600),
        reconnect_delay: Duration::from_millis(1)..=Duration::from_secs(10),
        ..simulation::Config::default()
    };
    assert_survives(&Notes::default(), &config, seeds(100), 40);
}

/// The rounds of the server take longer than the network, and devices reconnect before the server
/// detects that they were disconnected.
#[test]
fn a_server_may_be_slower_than_the_network() {
    let config = simulation::Config {
        round_delay: Duration::ZERO..=Duration::from_millis(300),
        latency: Duration::from_millis(1)..=Duration::from_millis(20),
        detection_delay: Duration::ZERO..=Duration::from_secs(5),
        ..simulation::Config::default()
    };
    assert_survives(&Notes::default(), &config, seeds(200), 40);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let mut world = World::new(
            simulation::Config { seed, trace: true, ..simulation::Config::default() },
            Notes::default(),
        );
        world.run_random(100);
        world.settle().unwrap();
        (world.trace().to_vec(), world.counts())
    };
    assert_eq!(trace(7), trace(7));
    let counts = [7, 8, 9].map(|seed| trace(seed).1);
    assert_ne!(trace(7).0, trace(8).0);
    let total = |count: fn(&Counts) -> usize| counts.iter().map(count).sum::<usize>();
    assert!(
        total(|counts| counts.actions) > 100
            && total(|counts| counts.lost) > 20
            && total(|counts| counts.server_crashes) > 9
            && total(|counts| counts.hangs) > 0
            && total(|counts| counts.refused_tokens) > 0
            && total(|counts| counts.device_store_failures) > 0
            && total(|counts| counts.logins_ended) > 0,
        "{counts:?}"
    );
}
