//! Documents that the real hub settles while devices edit, undo, crash, and are away for longer
//! than everything: at the end, all devices show what was accepted.
//!
//! `LOGUX_CASES` is the number of seeds of each test.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::time::Duration;

use logux::{
    Action, ActionId, Entry, WallTime,
    action::{DocumentKey, logux::UNDO},
    crdt::{Crdt, Document, DocumentOp, List, Path, Shared},
    log::Draft,
    replay::Timeline,
    server::{
        Config, DocumentSnapshot, FateKey, FateKeys, Recipients, SettlementRule, SnapshotBuilder,
        UndoTarget,
    },
    testing::server_simulation::{self as simulation, Application, World, assert_survives},
};
use serde_json::json;

/// An application with one document, which the server settles.
#[derive(Clone, Debug)]
struct Board {
    rule: SettlementRule,
}

fn shared() -> Shared<Document> {
    Shared::new("boards", "1")
}

/// Returns the operation of a user who sees a board, and does something random.
fn operation(board: &Document, id: &ActionId, number: u64) -> Option<DocumentOp> {
    let path = |name: &str| Path::of(&[name]).unwrap();
    let cards = board.list("/cards").map_or(0, List::len);
    let card = (number / 16) as usize % cards.max(1);
    Some(match number % 16 {
        0..=4 => {
            let cards = path("cards");
            board.list_op(&cards, id, |list| list.insert_op(card, json!(number % 100), id)).ok()?
        }
        5..=6 if cards > 0 => {
            board.list_op(&path("cards"), id, |list| list.remove_op(card, id)).ok()?
        }
        7 if cards > 1 => {
            board.list_op(&path("cards"), id, |list| list.move_op(card, 0, id)).ok()?
        }
        8 => DocumentOp::Set { path: path("title"), value: json!(number % 1_000).into() },
        9 => DocumentOp::Increment { path: path("count"), by: 1 },
        10 => DocumentOp::Delete { path: path("title") },
        _ => return None,
    })
}

fn board_of(accepted: &[Entry]) -> Timeline<Shared<Document>> {
    let mut timeline = Timeline::new(shared());
    timeline.extend(accepted);
    timeline
}

impl Application for Board {
    /// The edits and undos that were accepted.
    type Data = Vec<Entry>;
    type Reducer = Shared<Document>;

    fn reducer(&self) -> Shared<Document> {
        shared()
    }

    fn channels(&self) -> Vec<String> {
        vec!["boards/1".into()]
    }

    fn act(&self, board: &Document, id: &ActionId, number: u64) -> Option<Action> {
        if let Some(operation) = operation(board, id, number) {
            return Some(shared().action(&[operation]).unwrap());
        }
        // Undoes the creation of a card.
        let cards = board.list("/cards").filter(|cards| !cards.is_empty())?;
        let (_, item) = cards.iter().nth((number / 16) as usize % cards.len())?;
        let card = item.inserted()?.id();
        Some(Action::new(json!({"type": UNDO, "id": card, "reason": "undo"}).to_string()).unwrap())
    }

    fn access(&self, data: &Vec<Entry>, entry: &Entry) -> bool {
        // One edit in about ten is refused, and what refers to it.
        entry.action.kind() != "boards/edit"
            || (entry.meta.id.time().as_millis() % 10 != 0
                && shared()
                    .admit(board_of(data).state(), &entry.action, &entry.meta.stamp())
                    .is_ok())
    }

    fn may_undo(&self, target: &UndoTarget, undo: &Entry) -> bool {
        target.is_by(undo.meta.id.node())
    }

    fn resend(&self, _: &Entry) -> Recipients {
        Recipients::channel("boards/1")
    }

    fn is_processed_by_log(&self, _: &Action) -> bool {
        true
    }

    fn process(&self, data: &mut Vec<Entry>, entry: &Entry) -> Result<(), String> {
        data.push(entry.clone());
        Ok(())
    }

    fn load(&self, _: &Vec<Entry>, _: &str) -> Vec<(Action, Draft)> {
        Vec::new()
    }

    fn replays(&self, _: &str) -> bool {
        true
    }

    fn configure(&self, config: &mut Config) {
        assert!(config.documents.insert("boards", self.rule));
        config.fate_keys = FateKeys::by(|_| FateKey::none());
    }

    fn snapshot(
        &self,
        key: &DocumentKey,
        entries: &[Entry],
        now: WallTime,
    ) -> Option<DocumentSnapshot> {
        let mut builder = SnapshotBuilder::<Document>::new(key.clone(), self.rule);
        entries.iter().for_each(|entry| builder.add(entry));
        builder.build(now).unwrap()
    }

    fn stored(&self, data: &Vec<Entry>) -> String {
        board_of(data).state().to_json().to_string()
    }

    fn shown(&self, board: &Document) -> String {
        board.to_json().to_string()
    }
}

fn seeds(default: u64) -> core::ops::Range<u64> {
    0..std::env::var("LOGUX_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}

fn board(open_actions: u64, horizon: Duration) -> Board {
    Board { rule: SettlementRule { open_actions, horizon } }
}

#[test]
fn a_settled_document_is_the_same_everywhere() {
    for open_actions in [1, 4] {
        let board = board(open_actions, Duration::from_hours(24));
        assert_survives(&board, &simulation::Config::default(), seeds(80), 60);
    }
}

/// What devices do while they are away is too old, or its document is settled beyond it.
#[test]
fn devices_are_away_for_longer_than_the_horizon() {
    let config = simulation::Config {
        reconnect_delay: Duration::from_millis(1)..=Duration::from_secs(200),
        clock_error: Duration::from_secs(5),
        ..simulation::Config::default()
    };
    assert_survives(&board(2, Duration::from_secs(60)), &config, seeds(80), 60);
}

/// The tests above would prove little if nothing was settled.
#[test]
fn documents_of_the_simulation_are_settled() {
    let mut snapshots = 0;
    for seed in 0..20 {
        let config = simulation::Config { seed, trace: true, ..simulation::Config::default() };
        let mut world = World::new(config, board(2, Duration::from_hours(24)));
        world.run_random(60);
        world.settle().unwrap();
        snapshots +=
            world.trace().iter().filter(|line| line.contains("a snapshot is made")).count();
    }
    assert!(snapshots > 20, "{snapshots}");
}
