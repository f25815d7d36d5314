//! The vectors of the JSON of documents in `spec/documents.md`.
//!
//! `LOGUX_BLESS=1` rewrites the results. Check the difference before committing it.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    ActionId, NodeId, Stamp, WallTime,
    crdt::{Crdt, Document, JsonChange, JsonFeed, JsonOp},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

#[derive(Deserialize, Serialize)]
struct Vector {
    name: String,
    /// Makes the document of the empty one.
    before: Vec<JsonOp>,
    changes: Vec<JsonOp>,
    /// What the document shows then.
    value: Value,
    /// The `changes` of `KIND/changed`.
    changed: Vec<JsonChange>,
    /// The number of operations of the edit.
    ops: usize,
}

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/spec/vectors/document-json.json");

fn edit(document: &mut Document, ops: &[JsonOp], ms: i64) -> usize {
    let author: NodeId = "10:a:b".parse().unwrap();
    let time = WallTime::from_millis(ms);
    let stamp = Stamp::new(time, ActionId::new(time, author.clone(), 0));
    let made = document.json_ops(ops, &author).unwrap();
    for (index, op) in (0..).zip(&made.ops) {
        document.apply(op, &stamp.of_operation(index));
    }
    made.ops.len()
}

#[test]
fn changes_of_the_json_of_documents() {
    let mut vectors: Vec<Vector> =
        serde_json::from_str(&std::fs::read_to_string(FILE).unwrap()).unwrap();
    let bless = std::env::var_os("LOGUX_BLESS").is_some();
    for vector in &mut vectors {
        let mut document = Document::default();
        edit(&mut document, &vector.before, 1);
        let mut feed = JsonFeed::new(document.clone());
        let mut follower = feed.join(&document);
        let ops = edit(&mut document, &vector.changes, 2);
        let (value, changed) = (document.to_json(), feed.changes(document));
        changed.iter().for_each(|change| change.apply_to(&mut follower));
        assert_eq!(follower, value, "{}", vector.name);
        if bless {
            (vector.value, vector.changed, vector.ops) = (value, changed, ops);
        } else {
            assert_eq!(value, vector.value, "{}", vector.name);
            assert_eq!(changed, vector.changed, "{}", vector.name);
            assert_eq!(ops, vector.ops, "{}", vector.name);
        }
    }
    assert!(vectors.len() >= 12, "only {} vectors", vectors.len());
    if bless {
        let lines: Vec<String> =
            vectors.iter().map(|vector| serde_json::to_string(vector).unwrap()).collect();
        std::fs::write(FILE, format!("[\n{}\n]\n", lines.join(",\n"))).unwrap();
    }
}
