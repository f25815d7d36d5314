//! The real hub, its clients and an application, with a network, disks, power and handlers that fail: every action is done once, and every author is told.
//!
//! `LOGUX_CASES` is how many seeds each test tries.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, ActionId, Entry,
    log::Draft,
    replay::{UntypedReducer, untyped_reducer},
    server::{Config, Queues, Recipients, Retention, RetentionPolicy},
    testing::server_simulation::{self as simulation, Application, World, assert_survives},
};
use std::collections::BTreeSet;

/// Notes that are added. One in eight is refused.
#[derive(Clone, Debug, Default)]
struct Notes {
    /// Whether they are kept in the server's log, and given to subscribers from there.
    are_kept: bool,
    /// In how many queues they wait, and how many in all.
    queues: Option<(u64, usize)>,
}

type Names = BTreeSet<String>;

fn note(name: &str) -> Action {
    Action::new(format!(r#"{{"type":"note","name":"{name}"}}"#)).unwrap()
}

fn name_of(action: &Action) -> Option<String> {
    (action.kind() == "note").then(|| action.str_field("name").unwrap().into_owned())
}

impl Application for Notes {
    /// Names, once for each time that they were added.
    type Data = Vec<String>;
    type Reducer = UntypedReducer<Names, fn(&mut Names, &Action)>;

    fn reducer(&self) -> Self::Reducer {
        untyped_reducer(Names::new(), |names, action| names.extend(name_of(action)))
    }

    fn channels(&self) -> Vec<String> {
        vec!["notes".into(), "empty".into()]
    }

    fn act(&self, _: &Names, id: &ActionId, number: u64) -> Option<Action> {
        let is_bad = number.is_multiple_of(8);
        Some(note(&if is_bad { format!("bad {id}") } else { id.to_string() }))
    }

    fn resend(&self, _: &Entry) -> Recipients {
        Recipients::channel("notes")
    }

    fn process(&self, data: &mut Vec<String>, entry: &Entry) -> Result<(), String> {
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
        let is_here = channel == "notes" && !self.are_kept;
        data.iter().filter(|_| is_here).map(|name| (note(name), Draft::default())).collect()
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
    }

    fn stored(&self, data: &Vec<String>) -> String {
        format!("{:?}", data.iter().collect::<BTreeSet<_>>())
    }

    fn seen(&self, names: &Names) -> String {
        format!("{names:?}")
    }
}

fn seeds(default: u64) -> core::ops::Range<u64> {
    0..std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

#[test]
fn the_clock_of_the_server_may_step() {
    let config =
        simulation::Config { server_clock_error_ms: 60_000, ..simulation::Config::default() };
    for are_kept in [false, true] {
        assert_survives(&Notes { are_kept, ..Notes::default() }, &config, seeds(150), 40);
    }
}

#[test]
fn with_an_inbox_every_action_is_done_once() {
    assert_survives(&Notes::default(), &simulation::Config::default(), seeds(800), 40);
}

#[test]
fn without_one_it_is_done_again_only_after_a_crash() {
    let config = simulation::Config { inbox: false, ..simulation::Config::default() };
    assert_survives(&Notes::default(), &config, seeds(300), 40);
    let mut again = 0;
    for seed in 0..50 {
        let mut world = World::new(simulation::Config { seed, ..config.clone() }, Notes::default());
        world.live(40);
        world.settle().unwrap();
        again += world.data().len() - world.data().iter().collect::<BTreeSet<_>>().len();
    }
    assert!(again > 0, "there is something for an inbox to do");
}

#[test]
fn what_is_kept_reaches_every_subscriber() {
    assert_survives(
        &Notes { are_kept: true, queues: None },
        &simulation::Config::default(),
        seeds(300),
        40,
    );
}

/// Where a queue is full, what comes is not confirmed yet.
#[test]
fn queues_of_one_client_go_their_own_ways() {
    assert_survives(
        &Notes { are_kept: false, queues: Some((3, 2)) },
        &simulation::Config::default(),
        seeds(300),
        40,
    );
}

/// What is slow meets what is fast: rounds of the server that take longer than the network, devices that come back before it knows that they were gone.
#[test]
fn nobody_is_in_a_hurry() {
    let config = simulation::Config {
        round_ms: (0, 300),
        latency_ms: (1, 20),
        unaware_ms: (0, 5_000),
        ..simulation::Config::default()
    };
    assert_survives(&Notes::default(), &config, seeds(200), 40);
}

#[test]
fn the_same_seed_is_the_same_world() {
    let trace = |seed| {
        let mut world = World::new(
            simulation::Config { seed, trace: true, ..simulation::Config::default() },
            Notes::default(),
        );
        world.live(100);
        world.settle().unwrap();
        (world.trace().to_vec(), world.counts())
    };
    let counts = trace(7).1;
    assert_eq!(trace(7), trace(7));
    assert_ne!(trace(7), trace(8));
    assert!(
        counts.actions > 30 && counts.lost > 5 && counts.server_crashes > 3 && counts.hangs > 0,
        "{counts:?}"
    );
}
