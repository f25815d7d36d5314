#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::prelude::*;

use super::{Limit, MAX_NODES, MAX_PRESENCE_BYTES, Presence, cursors::has_cursors};
use crate::{
    action::{NodeId, presence::PresenceChanged},
    json::Json,
    server::SessionId,
    time::MonoTime,
};

/// What a connection has received.
#[derive(Default)]
struct Screen {
    states: BTreeMap<String, String>,
    /// The times and sizes of the actions.
    received: Vec<(u64, usize)>,
    /// Whether it confirms what it receives.
    is_stuck: bool,
}

/// Connections that are subscribed to one channel.
#[derive(Default)]
struct Room {
    presence: Presence,
    now: u64,
    screens: BTreeMap<u64, Screen>,
    /// The number of actions that were made.
    made: usize,
}

fn channel() -> Arc<str> {
    "notes/7".into()
}

fn node(number: u64) -> NodeId {
    NodeId::new(format!("{number}:client{number}:tab")).unwrap()
}

fn state(text: &str) -> Option<Json> {
    Some(Json::new(text).unwrap())
}

impl Room {
    fn of(count: u64) -> Self {
        let mut room = Self::default();
        (0..count).for_each(|number| room.enter(number));
        room
    }

    fn time(&self) -> MonoTime {
        MonoTime::from_millis(self.now)
    }

    fn enter(&mut self, number: u64) {
        self.screens.insert(number, Screen::default());
        self.presence.subscribed(self.time(), &channel());
    }

    fn leave(&mut self, number: u64) {
        self.screens.remove(&number);
        self.presence.left(self.time(), &channel(), SessionId(number));
        self.presence.disconnected(SessionId(number));
    }

    fn set(&mut self, number: u64, text: &str) {
        let (now, json) = (self.time(), (text != "null").then(|| Json::new(text).unwrap()));
        self.presence.set(now, &channel(), SessionId(number), &node(number), json).unwrap();
    }

    /// Lets time pass.
    fn pass(&mut self, ms: u64) {
        let end = self.now + ms;
        loop {
            let due = self.presence.next_deadline().filter(|due| due.as_millis() <= end);
            let Some(due) = due else { break };
            self.now = self.now.max(due.as_millis());
            let sessions = self.screens.keys().map(|number| SessionId(*number)).collect();
            let batches = self.presence.poll(self.time(), |_| sessions).unwrap_or_default();
            for batch in batches {
                self.made += 1;
                let changed = PresenceChanged::from_action(&batch.action).unwrap();
                for SessionId(number) in batch.receivers {
                    let screen = self.screens.get_mut(&number).unwrap();
                    screen.received.push((self.now, batch.action.as_json().len()));
                    for (node, state) in &changed.states {
                        let name = node.as_str().to_owned();
                        match state {
                            Some(state) => screen.states.insert(name, state.as_str().to_owned()),
                            None => screen.states.remove(&name),
                        };
                    }
                    if !screen.is_stuck {
                        self.presence.acknowledged(SessionId(number));
                    }
                }
            }
        }
        self.now = end;
    }

    /// Returns the states as the server shows them.
    fn shown(&self) -> BTreeMap<String, String> {
        let states = self.presence.states("notes/7");
        states.map(|(node, json)| (node.as_str().to_owned(), json.as_str().to_owned())).collect()
    }
}

#[test]
fn everyone_sees_everyone() {
    let mut room = Room::of(2);
    room.set(0, r#"{"name":"Ada"}"#);
    room.set(1, r#"{"name":"Bob"}"#);
    room.pass(0);
    assert_eq!(room.screens[&0].states.len(), 2);
    assert_eq!(room.screens[&0].received.len(), 1, "what is set at once is one action");
    assert_eq!(room.made, 1, "who knows the same receives the same action");
    room.enter(2);
    room.pass(1_000);
    assert_eq!(room.screens[&2].states, room.screens[&0].states, "a newcomer receives all");
    room.leave(1);
    room.pass(200);
    assert_eq!(room.screens[&0].states.len(), 1, "who is disconnected is gone at once");
    room.set(0, "null");
    room.pass(200);
    assert!(room.screens[&0].states.is_empty());
    room.leave(0);
    room.leave(2);
    room.pass(0);
    assert!(room.presence.channels.is_empty() && room.presence.due.is_empty());
}

#[test]
fn states_that_nobody_was_sent_are_counted() {
    let mut room = Room::of(2);
    for number in 0..5 {
        room.set(0, &number.to_string());
    }
    room.pass(0);
    let totals = |room: &Room| (room.presence.totals().batches, room.presence.totals().replaced);
    assert_eq!(totals(&room), (1, 4));
    room.set(0, "5");
    room.set(1, "1");
    room.pass(200);
    assert_eq!(totals(&room), (2, 4), "what was sent is not replaced before");
    room.set(0, "6");
    room.leave(0);
    room.pass(200);
    assert_eq!(totals(&room), (3, 5), "who leaves replaces the last state");
    assert_eq!(room.presence.present("notes/7"), 1);
    assert_eq!(room.presence.channels().collect::<Vec<_>>(), [(&channel(), 1)]);
    room.leave(1);
    assert_eq!(room.presence.channels().count(), 0);
}

#[test]
fn nodes_that_do_not_repeat_their_states_are_gone() {
    let mut room = Room::of(2);
    room.set(0, "1");
    room.set(1, "1");
    for _ in 0..4 {
        room.pass(15_000);
        room.set(0, "1");
    }
    assert_eq!(room.shown().len(), 1);
    assert_eq!(room.screens[&0].states, room.shown());
    assert_eq!(room.screens[&0].received.len(), 2, "repeated states are not sent again");
    room.pass(29_999);
    assert_eq!(room.shown().len(), 1);
    room.pass(1);
    assert!(room.shown().is_empty());
}

#[test]
fn receivers_have_at_most_5_actions_and_16_kb_in_a_second() {
    let mut room = Room::of(60);
    let state = |moves: u64| format!(r#"{{"name":"{}","cursors":[{moves}]}}"#, "n".repeat(100));
    for moves in 0..100 {
        for number in 0..60 {
            room.set(number, &state(moves));
        }
        room.pass(100);
    }
    let received = &room.screens[&3].received;
    for (index, (at, _)) in received.iter().enumerate() {
        let second = received[index..].iter().take_while(|(other, _)| other - at < 1_000);
        let sizes: Vec<usize> = second.map(|(_, size)| *size).collect();
        assert!(sizes.len() <= 5, "{} actions in a second", sizes.len());
    }
    let total: usize = received.iter().map(|(_, size)| size).sum();
    assert!(total <= 11 * 16 * 1024, "{total} bytes in 10 seconds and a burst");
    assert!(received.len() > 40, "{} actions in 10 seconds", received.len());
    room.pass(2_000);
    assert_eq!(room.screens[&3].states, room.shown(), "at rest, everyone knows all");
    assert!(room.shown().values().all(|shown| *shown == state(99)));
}

#[test]
fn a_connection_that_confirms_nothing_is_sent_one_action() {
    let mut room = Room::of(2);
    room.screens.get_mut(&1).unwrap().is_stuck = true;
    for number in 0..50 {
        room.set(0, &number.to_string());
        room.pass(1_000);
    }
    assert_eq!(room.screens[&1].received.len(), 1);
    assert_eq!(room.screens[&0].received.len(), 50);
    room.presence.acknowledged(SessionId(1));
    room.pass(200);
    assert_eq!(room.screens[&1].states, room.shown(), "it receives the latest state only");
    assert_eq!(room.screens[&1].received.len(), 2);
}

#[test]
fn those_who_have_left_are_forgotten_although_a_connection_is_stuck() {
    let mut room = Room::of(1);
    room.set(0, "1");
    room.pass(0);
    room.screens.get_mut(&0).unwrap().is_stuck = true;
    for number in 1..200 {
        room.enter(number);
        room.set(number, "1");
        room.pass(500);
        room.leave(number);
        room.pass(500);
        room.set(0, "1");
    }
    let left = room.presence.channels.values().next().unwrap();
    assert!(left.states().count() == 1 && left.left_count() <= 121, "{}", left.left_count());
}

#[test]
fn of_more_than_100_people_50_cursors_are_shown() {
    let mut room = Room::of(200);
    let moved = |number: u64, at: u64| format!(r#"{{"name":"{number}","cursors":[{at}]}}"#);
    for number in 0..200 {
        room.set(number, &moved(number, 0));
    }
    let count = |room: &Room| {
        let shown = room.shown();
        assert_eq!(shown.len(), 200, "all names are shown");
        shown.values().filter(|shown| has_cursors(&Json::new(shown.as_str()).unwrap())).count()
    };
    assert_eq!(count(&room), 50);
    room.pass(5_000);
    for at in 1..20 {
        for number in 100..180 {
            room.set(number, &moved(number, at));
        }
        room.pass(100);
    }
    assert_eq!(count(&room), 50);
    let is_mover = |name: &String| (100..180).any(|number| *name == *node(number).as_str());
    let has_cursor = |shown: &String| has_cursors(&Json::new(shown.as_str()).unwrap());
    assert!(
        room.shown().iter().all(|(name, shown)| is_mover(name) || !has_cursor(shown)),
        "the cursors are those of people who move"
    );
    room.pass(20_000);
    assert_eq!(room.screens[&3].states, room.shown());
}

#[test]
fn unreasonable_states_are_refused() {
    let mut presence = Presence::default();
    let mut set = |node: &NodeId, text: &str| {
        presence.set(MonoTime::default(), &channel(), SessionId(1), node, state(text))
    };
    let large = format!("\"{}\"", "a".repeat(MAX_PRESENCE_BYTES));
    assert_eq!(set(&node(1), &large), Err(Limit::Bytes));
    assert_eq!(
        set(&node(1), &format!("{}{}", "[".repeat(101), "]".repeat(101))),
        Err(Limit::Nested)
    );
    for number in 0..MAX_NODES as u64 {
        assert_eq!(set(&node(number), "1"), Ok(()));
    }
    assert_eq!(set(&node(99), "1"), Err(Limit::Nodes));
    assert_eq!(set(&node(3), "2"), Ok(()));
}

#[derive(Clone, Debug)]
enum Step {
    Enter(u64),
    Leave(u64),
    Set(u64, u8),
    Unset(u64),
    Stick(u64),
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..150_u64;
    prop_oneof![
        3 => number.clone().prop_map(Step::Enter),
        1 => number.clone().prop_map(Step::Leave),
        6 => (number.clone(), any::<u8>()).prop_map(|(number, at)| Step::Set(number, at)),
        1 => number.clone().prop_map(Step::Unset),
        1 => number.prop_map(Step::Stick),
        3 => (0..400_u64).prop_map(Step::Pass),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_rest_everyone_knows_all(steps in prop::collection::vec(step(), 1..600)) {
        let mut room = Room::default();
        let mut inside = BTreeSet::new();
        for step in steps {
            match step {
                Step::Enter(number) => if inside.insert(number) { room.enter(number) },
                Step::Leave(number) => if inside.remove(&number) { room.leave(number) },
                Step::Set(number, at) => if inside.contains(&number) {
                    room.set(number, &format!(r#"{{"name":"n{number}","cursors":[{at}]}}"#));
                },
                Step::Unset(number) => if inside.contains(&number) { room.set(number, "null") },
                Step::Stick(number) => if let Some(screen) = room.screens.get_mut(&number) {
                    screen.is_stuck = true;
                },
                Step::Pass(ms) => room.pass(ms),
            }
        }
        for (number, screen) in &mut room.screens {
            screen.is_stuck = false;
            room.presence.acknowledged(SessionId(*number));
        }
        room.pass(10_000);
        let shown = room.shown();
        for (number, screen) in &room.screens {
            prop_assert_eq!(&screen.states, &shown, "the screen of {}", number);
        }
        for number in inside {
            room.leave(number);
        }
        // An action may have been sent just now.
        room.pass(200);
        prop_assert!(room.presence.channels.is_empty() && room.presence.due.is_empty());
    }
}
