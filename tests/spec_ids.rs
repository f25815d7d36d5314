//! The vectors of `spec/vectors/ids.json`, with this engine and with the official package.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use logux::{
    ActionId, NodeId, WallTime,
    action::IdGenerator,
    wire::{CompactId, Message, MessageLimits, decode},
};
use serde_json::{Value, json};

fn vectors(group: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../spec/vectors/ids.json")).unwrap();
    let vectors = all[group].as_array().unwrap().clone();
    assert!(vectors.len() >= 3, "expected at least 3 vectors");
    vectors
}

fn text<'v>(vector: &'v Value, key: &str) -> &'v str {
    vector[key].as_str().unwrap()
}

fn time(value: &Value) -> WallTime {
    WallTime::from_millis(value.as_i64().unwrap())
}

/// Decodes a compact id in a `sync` message.
fn received(compact: &Value) -> CompactId {
    let message = format!(r#"["sync",1,{{"type":"a"}},{{"id":{compact},"time":0}}]"#);
    match decode(&message, &MessageLimits::default()) {
        Ok(Message::Sync(sync)) => sync.entries[0].id.clone(),
        other => panic!("{message} is {other:?}"),
    }
}

#[test]
fn ids_have_the_parts_of_the_vectors() {
    for vector in vectors("text") {
        let id: ActionId = text(&vector, "id").parse().unwrap();
        assert_eq!(id.to_string(), text(&vector, "id"));
        let parts = json!({
            "id": id.to_string(), "time": id.time().as_millis(), "node": id.node().as_str(), "sequence": id.sequence(),
            "user": id.node().user_id(), "client": id.node().client_id(),
        });
        assert_eq!(parts, vector);
    }
}

#[test]
fn invalid_ids_are_refused() {
    for vector in vectors("invalid") {
        assert!(text(&vector, "id").parse::<ActionId>().is_err(), "{}", vector["why"]);
    }
}

#[test]
fn ids_are_compacted_and_expanded_as_in_the_vectors() {
    for vector in vectors("compact") {
        let (base, sender) = (time(&vector["base"]), NodeId::new(text(&vector, "sender")).unwrap());
        let id: ActionId = text(&vector, "id").parse().unwrap();
        let compact = received(&vector["compact"]);
        assert_eq!(CompactId::of(&id, base, &sender), compact, "{vector}");
        assert_eq!(compact.expand(base, &sender), Some(id), "{vector}");
    }
}

#[test]
fn ids_outside_of_the_time_range_are_refused() {
    for vector in vectors("outside") {
        let sender = NodeId::new("a").unwrap();
        assert_eq!(
            received(&vector["compact"]).expand(time(&vector["base"]), &sender),
            None,
            "{vector}"
        );
    }
}

#[test]
fn the_generator_gives_the_ids_of_the_vectors() {
    for vector in vectors("generated") {
        let mut ids = IdGenerator::new(NodeId::new(text(&vector, "node")).unwrap());
        let generated: Vec<String> = vector["clock"]
            .as_array()
            .unwrap()
            .iter()
            .map(|now| ids.next(time(now)).to_string())
            .collect();
        assert_eq!(json!(generated), vector["ids"], "{}", vector["why"]);
    }
}

#[test]
fn the_reference_compacts_and_expands_equally() {
    let vectors = vectors("compact");
    let expand = |v: &Value| {
        json!({"expand": v["compact"], "base": v["base"], "sender": v["sender"]}).to_string()
    };
    let compact = |v: &Value| {
        json!({"compact": v["id"], "base": v["base"], "sender": v["sender"]}).to_string()
    };
    let questions: Vec<String> =
        vectors.iter().flat_map(|vector| [expand(vector), compact(vector)]).collect();
    let answers = support::ask_reference("wire-parity.mjs", &questions);
    for (vector, answers) in vectors.iter().zip(answers.chunks(2)) {
        assert_eq!(answers, [text(vector, "id"), &vector["compact"].to_string()], "{vector}");
    }
}
