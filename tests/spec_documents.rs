//! The vectors of `spec/documents.md`: all orders of arrival give the value, and saved states can
//! be loaded.
//!
//! `LOGUX_BLESS=1` rewrites the values and saved states. Check the difference before committing it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use base64::{Engine as _, engine::general_purpose::STANDARD};
use logux::{
    Action, Entry, Meta, WallTime,
    crdt::{AddWinsSet, Counter, Crdt, Document, List, LwwSet, Map, Register, Shared, Text, Tree},
    replay::Timeline,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize, Serialize)]
struct Vector {
    name: String,
    r#type: String,
    /// The id, the corrected time in milliseconds, and the action.
    actions: Vec<(String, i64, Value)>,
    value: Value,
    /// The saved state, in Base64.
    saved: String,
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/vectors/documents.json");

fn check<C: Crdt>(vector: &Vector) -> (Value, String) {
    let mut entries: Vec<Entry> = vector
        .actions
        .iter()
        .map(|(id, time, action)| {
            let meta = Meta::new(id.parse().unwrap()).with_time(WallTime::from_millis(*time));
            Entry::new(Action::new(action.to_string()).unwrap(), meta)
        })
        .collect();
    let mut states = Vec::new();
    for _ in 0..entries.len() {
        entries.rotate_left(1);
        for _ in 0..2 {
            entries.reverse();
            let mut timeline = Timeline::new(Shared::<C>::new("notes", "7"));
            timeline.extend(&entries);
            assert!(!timeline.is_incomplete(), "{}: an unreadable snapshot", vector.name);
            states.push(timeline.state().clone());
        }
    }
    assert!(
        states.windows(2).all(|pair| pair[0] == pair[1]),
        "{}: the state depends on the order of arrival",
        vector.name
    );
    if std::env::var_os("LOGUX_BLESS").is_none() {
        let loaded = C::load(&STANDARD.decode(&vector.saved).unwrap()).unwrap();
        assert_eq!(loaded, states[0], "{}: the saved state differs", vector.name);
    }
    (states[0].to_json(), STANDARD.encode(states[0].save()))
}

#[test]
fn documents() {
    let mut vectors: Vec<Vector> =
        serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let bless = std::env::var_os("LOGUX_BLESS").is_some();
    for vector in &mut vectors {
        let (value, saved) = match &*vector.r#type {
            "register" => check::<Register>(vector),
            "map" => check::<Map>(vector),
            "lww set" => check::<LwwSet>(vector),
            "add-wins set" => check::<AddWinsSet>(vector),
            "counter" => check::<Counter>(vector),
            "tree" => check::<Tree>(vector),
            "list" => check::<List>(vector),
            "text" => check::<Text>(vector),
            "document" => check::<Document>(vector),
            other => panic!("unknown type: {other}"),
        };
        if bless {
            (vector.value, vector.saved) = (value, saved);
        } else {
            assert_eq!(value, vector.value, "{}", vector.name);
            assert_eq!(saved, vector.saved, "{}", vector.name);
        }
    }
    assert!(vectors.len() >= 12, "only {} vectors", vectors.len());
    if bless {
        let lines: Vec<String> =
            vectors.iter().map(|vector| serde_json::to_string(vector).unwrap()).collect();
        std::fs::write(FILE, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
}
