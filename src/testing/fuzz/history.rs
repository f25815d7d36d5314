//! Any history of actions, well-formed or not, gives every type the same state in any order, and no panic.

use core::fmt::{Debug, Write as _};

use crate::{
    action::{Action, ActionId, Meta, NodeId, logux},
    crdt::{AddWinsSet, Counter, Crdt, Document, List, LwwSet, Map, Register, Shared, SyncMaps},
    replay::{Reducer, Timeline, TimelineConfig},
    store::Entry,
    time::WallTime,
};

/// Makes a history of bytes, and gives it to every type in several orders.
///
/// # Panics
/// When two orders give different states, when a state does not survive being saved, or when a check of a structure fails.
pub fn history(data: &[u8]) {
    let entries = entries(data);
    shared::<Register>(&entries);
    shared::<Map>(&entries);
    shared::<LwwSet>(&entries);
    shared::<AddWinsSet>(&entries);
    shared::<Counter>(&entries);
    let list = shared::<List>(&entries);
    list.assert_invariants();
    let document = shared::<Document>(&entries);
    document.assert_invariants();
    agree(&SyncMaps::new("it"), &entries);
}

fn shared<C: Crdt>(entries: &[Entry]) -> C {
    let state = agree(&Shared::<C>::new("it"), entries);
    let loaded = C::load(&state.save()).expect("what was saved can be loaded");
    assert_eq!(loaded, state, "a saved state is another one");
    assert_eq!(loaded.to_json(), state.to_json(), "a saved state looks different");
    state
}

/// The state that all orders give.
fn agree<R: Reducer<State: PartialEq + Debug>>(reducer: &R, entries: &[Entry]) -> R::State {
    let options = TimelineConfig { save_every: 2, save_gap: 4, ..TimelineConfig::default() };
    let mut forwards = Timeline::with_config(reducer, options.clone());
    entries.iter().for_each(|entry| forwards.add(entry));
    let mut backwards = Timeline::with_config(reducer, options);
    entries.iter().rev().for_each(|entry| backwards.add(entry));
    // All of it once more, as after a lost confirmation.
    backwards.extend(entries);
    forwards.assert_invariants();
    backwards.assert_invariants();
    assert_eq!(forwards.state(), backwards.state(), "two orders give two states, of {entries:#?}");
    forwards.state().clone()
}

/// What bytes choose.
struct Choice<'a>(&'a [u8]);

impl Choice<'_> {
    fn byte(&mut self) -> usize {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        usize::from(*first)
    }

    fn of<'c>(&mut self, choices: &[&'c str]) -> &'c str {
        choices[self.byte() % choices.len()]
    }
}

const OPS: [&str; 12] = [
    "set",
    "delete",
    "add",
    "remove",
    "fold",
    "insert",
    "move",
    "increment",
    "discard",
    "no such op",
    "",
    "set",
];
const PATHS: [&str; 9] =
    ["\"\"", "\"/a\"", "\"/a/b\"", "\"/a!\"", "\"/1 a 0/x\"", "\"a\"", "\"/~\"", "7", "null"];
const VALUES: [&str; 9] = [
    "null",
    "1",
    "\"x\"",
    "{\"b\":{\"c\":1}}",
    "[1,[2]]",
    "1e308",
    "-9007199254740993",
    "{\"b\":1,\"b\":2}",
    "\"\\ud83d\"",
];
const IDS: [&str; 7] = ["\"1 a 0\"", "\"2 b 0\"", "\"3 c 1\"", "\"9 z 9\"", "\"1 a\"", "12", "[]"];
const PLACES: [&str; 9] = [
    "[[0,\"1 a 0\",0]]",
    "[[0,\"1 a 0\",1048576]]",
    "[[1048576,\"2 b 0\",0]]",
    "[[0,\"1 a 0\",0],[-1048576,\"3 c 1\",5]]",
    "[]",
    "[[0,\"1 a 0\",9223372036854775807]]",
    "[[9007199254740992,\"1 a 0\",-9007199254740992]]",
    "[[0,\"\",0]]",
    "{}",
];

/// At most so many entries, so that one run stays short.
const MOST: usize = 48;

fn entries(data: &[u8]) -> Vec<Entry> {
    let mut choice = Choice(data);
    let mut entries: Vec<Entry> = Vec::new();
    while !choice.0.is_empty() && entries.len() < MOST {
        let (node, time, sequence) =
            (choice.of(&["a", "b", "c"]), choice.byte() % 8, choice.byte() % 2);
        let node = NodeId::new(node).expect("a node id");
        let id = ActionId::new(WallTime::from_millis(time as i64), node, sequence as u32);
        let corrected = WallTime::from_millis(id.time().as_millis() + (choice.byte() % 3) as i64);
        let json = action(&mut choice);
        if let Ok(action) = Action::new(json)
            && entries.iter().all(|entry| entry.meta.id != id)
        {
            entries.push(Entry::new(action, Meta::new(id).with_time(corrected)));
        }
    }
    entries
}

fn action(choice: &mut Choice<'_>) -> String {
    if choice.byte().is_multiple_of(8) {
        return format!(r#"{{"type":"{}","id":{}}}"#, logux::UNDO, choice.of(&IDS));
    }
    let verbs = ["it", "it", "it", "it/create", "it/changed", "it/delete", "other"];
    let mut json = format!(r#"{{"type":"{}","op":"{}""#, choice.of(&verbs), choice.of(&OPS));
    let fields: [(&str, &[&str]); 10] = [
        ("path", &PATHS),
        ("value", &VALUES),
        ("element", &["\"a\"", "\"b\"", "\"\"", "1"]),
        ("by", &["1", "-3", "9007199254740992", "9007199254740993", "1.5", "\"1\""]),
        ("total", &["5", "-9007199254740992", "null"]),
        ("at", &PLACES),
        ("item", &IDS),
        ("adds", &["[]", "[\"1 a 0\"]", "[\"1 a 0\",\"2 b 0\"]", "[1]", "\"1 a 0\""]),
        ("id", &["\"1\"", "\"2\"", "3"]),
        ("fields", &["{\"a\":1}", "{\"a\":2,\"b\":null,\"id\":7}", "{}", "[]"]),
    ];
    for (name, values) in fields {
        // Now and then a field is missing.
        if !choice.byte().is_multiple_of(16) {
            let _ = write!(json, ",\"{name}\":{}", choice.of(values));
        }
    }
    json.push('}');
    json
}
