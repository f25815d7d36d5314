//! Any history of actions, well-formed or not, gives each type that merges one state in all orders.

use core::fmt::{Debug, Write as _};

use crate::{
    action::{Action, ActionId, Meta, NodeId, logux},
    crdt::{
        AddWinsSet, Counter, Crdt, Document, List, LwwSet, Map, Register, Shared, SyncMaps, Text,
    },
    replay::{Reducer, Timeline, TimelineConfig},
    store::Entry,
    time::WallTime,
};

/// Makes a history from bytes, and applies it to each type in two orders.
///
/// # Panics
/// If two orders give different states, if saving and loading changes a state, or if an invariant
/// is violated.
pub fn history(data: &[u8]) {
    let entries = entries(data);
    shared::<Register>(&entries);
    shared::<Map>(&entries);
    shared::<LwwSet>(&entries);
    shared::<AddWinsSet>(&entries);
    shared::<Counter>(&entries);
    let list = shared::<List>(&entries);
    list.assert_invariants();
    let text = shared::<Text>(&entries);
    text.assert_invariants();
    let document = shared::<Document>(&entries);
    document.assert_invariants();
    agree(&SyncMaps::new("it"), &entries);
}

fn shared<C: Crdt>(entries: &[Entry]) -> C {
    let state = agree(&Shared::<C>::new("it", "1"), entries);
    let loaded = C::load(&state.save()).expect("a saved state can be loaded");
    assert_eq!(loaded, state, "saving and loading changes the state");
    assert_eq!(
        loaded.to_json(),
        state.to_json(),
        "saving and loading changes the JSON of the state"
    );
    state
}

/// Returns the state, after checking that two orders of arrival give it.
fn agree<R: Reducer<State: PartialEq + Debug>>(reducer: &R, entries: &[Entry]) -> R::State {
    let config = TimelineConfig { save_every: 2, save_gap: 4, ..TimelineConfig::default() };
    let mut forwards = Timeline::with_config(reducer, config.clone());
    entries.iter().for_each(|entry| forwards.add(entry));
    let mut backwards = Timeline::with_config(reducer, config);
    entries.iter().rev().for_each(|entry| backwards.add(entry));
    // All entries a second time, as after a lost confirmation.
    backwards.extend(entries);
    forwards.assert_invariants();
    backwards.assert_invariants();
    assert_eq!(
        forwards.state(),
        backwards.state(),
        "two orders give different states of {entries:#?}"
    );
    forwards.state().clone()
}

/// Choices that input bytes make. 0 after the end of the input.
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

const OPS: [&str; 18] = [
    "set",
    "delete",
    "add",
    "remove",
    "discard",
    "insert",
    "move",
    "insertText",
    "removeText",
    "createNode",
    "createNode",
    "moveNode",
    "removeNode",
    "increment",
    "discard",
    "no such op",
    "",
    "set",
];
const PATHS: [&str; 11] = [
    "\"\"",
    "\"/a\"",
    "\"/a\"",
    "\"/a/b\"",
    "\"/a!\"",
    "\"/@a 0/x\"",
    "\"/a/@a 1/a\"",
    "\"a\"",
    "\"/~\"",
    "7",
    "null",
];
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
const ELEMENTS: [&str; 8] =
    ["0", "1", "3", "\"@a 0\"", "\"@b 1\"", "\"@c 2\"", "\"@z 9\"", "4294967295"];

/// The largest number of entries, so that one run is short.
const MAX_ENTRIES: usize = 48;

fn entries(data: &[u8]) -> Vec<Entry> {
    let mut choice = Choice(data);
    let mut entries: Vec<Entry> = Vec::new();
    while !choice.0.is_empty() && entries.len() < MAX_ENTRIES {
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
    let verbs = ["edit", "edit", "edit", "create", "changed", "delete", "other"];
    let mut json = format!(r#"{{"type":"it/{}""#, choice.of(&verbs));
    field(choice, &mut json, "id", &["\"1\"", "\"1\"", "\"1\"", "\"2\"", "3"]);
    field(choice, &mut json, "fields", &["{\"a\":1}", "{\"a\":2,\"b\":null,\"id\":7}", "{}", "[]"]);
    json.push_str(",\"ops\":[");
    for index in 0..1 + choice.byte() % 3 {
        let _ =
            write!(json, "{}{{\"op\":\"{}\"", if index > 0 { "," } else { "" }, choice.of(&OPS));
        for (name, values) in OP_FIELDS {
            field(choice, &mut json, name, values);
        }
        json.push('}');
    }
    json.push_str("]}");
    json
}

const OP_FIELDS: [(&str, &[&str]); 13] = [
    ("path", &PATHS),
    ("value", &VALUES),
    ("element", &["\"a\"", "\"b\"", "\"\"", "1"]),
    ("by", &["1", "-3", "9007199254740992", "9007199254740993", "1.5", "\"1\""]),
    ("first", &["0", "1", "2", "3", "5", "4294967294", "-1"]),
    ("values", &["[1]", "[1,2,3]", "[]", "1"]),
    ("text", &["\"a\"", "\"b\\n\"", "\"\\ud83e\\udd80\"", "\"\\udd80x\"", "\"\"", "1"]),
    ("parent", &ELEMENTS),
    ("after", &ELEMENTS),
    ("before", &ELEMENTS),
    ("item", &ELEMENTS),
    ("elements", &["[[0,1]]", "[[1,4]]", "[[\"@a 0\",2],[\"@b 1\",9]]", "[]", "[[0,0]]", "[1]"]),
    ("adds", &["[]", "[\"1 a 0\"]", "[\"1 a 0\",\"2 b 0 1\"]", "[1]", "\"1 a 0\""]),
];

/// Writes a field. One in 16 is missing, and half of the parents and origins.
fn field(choice: &mut Choice<'_>, json: &mut String, name: &str, values: &[&str]) {
    let missing = if matches!(name, "parent" | "after" | "before") { 2 } else { 16 };
    if !choice.byte().is_multiple_of(missing) {
        let _ = write!(json, ",\"{name}\":{}", choice.of(values));
    }
}
