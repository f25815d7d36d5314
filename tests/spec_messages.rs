//! The vectors of `spec/vectors/messages.json`: the meaning of valid messages, the replies to
//! invalid ones, and how the official package handles both.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use logux::{
    action::Subprotocol,
    wire::{CompactId, Message, MessageLimits, RefusedEntry, SyncEntry, decode},
};
use serde_json::{Value, json};

fn vectors(group: &str) -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../spec/vectors/messages.json")).unwrap();
    let vectors = all[group].as_array().unwrap().clone();
    assert!(vectors.len() > 25 || group == "refused", "expected more than 25 vectors");
    vectors
}

fn limits(vector: &Value) -> MessageLimits {
    let limit = |name: &str, default: usize| {
        vector["limits"][name].as_u64().map_or(default, |limit| limit.try_into().unwrap())
    };
    let default = MessageLimits::default();
    MessageLimits {
        message_bytes: limit("message_bytes", default.message_bytes),
        depth: limit("depth", default.depth),
        action_bytes: limit("action_bytes", default.action_bytes),
        id_bytes: limit("id_bytes", default.id_bytes),
    }
}

/// Returns the meaning of a message in the form of the vectors.
fn meaning(message: Message) -> Value {
    let mut means = match message {
        Message::Connect(connect) => json!({
            "message": "connect", "protocol": connect.protocol, "node": connect.node.as_str(), "synced": connect.synced,
            "token": connect.token, "subprotocol": version(connect.subprotocol.as_ref()),
        }),
        Message::Connected(connected) => json!({
            "message": "connected", "protocol": connected.protocol, "node": connected.node.as_str(),
            "received": connected.received, "sent": connected.sent,
            "token": connected.token, "subprotocol": version(connected.subprotocol.as_ref()),
        }),
        Message::Ping { added } => json!({"message": "ping", "added": added}),
        Message::Pong { added } => json!({"message": "pong", "added": added}),
        Message::Synced { added } => json!({"message": "synced", "added": added}),
        Message::Sync(sync) => {
            let entries: Vec<_> = sync.entries.iter().map(entry).collect();
            let mut means = json!({"message": "sync", "added": sync.added, "entries": entries});
            if !sync.refused.is_empty() {
                means["refused"] = sync.refused.iter().map(refused).collect();
            }
            means
        }
        Message::Error(error) => {
            json!({"message": "error", "kind": error.kind, "options": error.options.map(|options| options.to_string())})
        }
        Message::Debug { text } => json!({"message": "debug", "text": text}),
        Message::Headers { headers } => json!({"message": "headers", "headers": headers.as_str()}),
        other => panic!("unknown message: {other:?}"),
    };
    means.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    means
}

fn version(version: Option<&Subprotocol>) -> Value {
    match version {
        None => Value::Null,
        Some(Subprotocol::Number(number)) => json!(number),
        Some(Subprotocol::Fraction(number)) => json!(number.value()),
        Some(Subprotocol::SemVer(text)) => json!(&**text),
    }
}

fn compact_id(id: &CompactId) -> Value {
    match id {
        CompactId::Time(time) => json!(time),
        CompactId::Own(time, sequence) => json!([time, sequence]),
        CompactId::Full(time, node, sequence) => json!([time, node.as_str(), sequence]),
    }
}

fn refused(entry: &RefusedEntry) -> Value {
    json!({
        "id": entry.id.as_ref().map(compact_id), "type": entry.kind, "time": entry.time,
        "reason": entry.limit.undo_reason(),
    })
}

fn entry(entry: &SyncEntry) -> Value {
    let id = compact_id(&entry.id);
    let extra = if entry.extra.is_empty() { Value::Null } else { json!(entry.extra.to_json()) };
    let mut meaning = json!({
        "action": entry.action.as_json(), "id": id, "time": entry.time,
        "subprotocol": version(entry.subprotocol.as_ref()), "extra": extra,
    });
    meaning.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    meaning
}

#[test]
fn valid_messages_have_the_meaning_of_the_vectors() {
    for vector in vectors("valid") {
        let text = vector["text"].as_str().unwrap();
        let message = decode(text, &MessageLimits::default())
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(
            message.encode(),
            vector["encoded"].as_str().unwrap_or(text),
            "{}",
            vector["why"]
        );
        assert_eq!(meaning(message), vector["means"], "{text}");
    }
}

#[test]
fn invalid_messages_get_the_replies_of_the_vectors() {
    for vector in vectors("invalid") {
        let text = vector["text"].as_str().unwrap();
        let error = decode(text, &limits(&vector)).expect_err(text);
        let reply = Message::Error(error.reply()).encode();
        assert_eq!(reply, vector["reply"].as_str().unwrap(), "{}: {error}", vector["why"]);
    }
}

#[test]
fn actions_that_exceed_a_limit_do_not_make_a_message_invalid() {
    for vector in vectors("refused") {
        let text = vector["text"].as_str().unwrap();
        let message =
            decode(text, &limits(&vector)).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(meaning(message), vector["means"], "{}", vector["why"]);
        let Ok(Message::Sync(sync)) = decode(text, &MessageLimits::default()) else {
            panic!("{text} is not valid")
        };
        assert!(sync.refused.is_empty(), "{}: refused without the limit", vector["why"]);
    }
}

#[test]
fn messages_at_a_limit_are_accepted() {
    for vector in vectors("invalid").iter().filter(|vector| vector["limits"].is_object()) {
        let text = vector["text"].as_str().unwrap();
        let mut wider = limits(vector);
        let exact = [
            (&mut wider.message_bytes, text.len()),
            (&mut wider.depth, 4),
            (&mut wider.id_bytes, 13),
        ];
        for (limit, required) in exact {
            if *limit < required {
                *limit = required;
            }
        }
        assert!(decode(text, &wider).is_ok(), "{}", vector["why"]);
    }
}

#[test]
fn the_reference_agrees_or_differs_as_in_the_vector() {
    let vectors = [vectors("valid"), vectors("invalid")].concat();
    let questions: Vec<String> =
        vectors.iter().map(|vector| json!({"text": vector["text"]}).to_string()).collect();
    for (vector, answer) in
        vectors.iter().zip(support::ask_reference("wire-parity.mjs", &questions))
    {
        let reply = vector["reply"].as_str().unwrap_or("accepts");
        let is_expected = match vector["reference"].as_str() {
            None => answer == reply,
            Some("refuses") => answer.starts_with("[\"error\",\"wrong-format\","),
            Some("replies otherwise") => answer.starts_with("[\"error\",") && answer != reply,
            Some(word) => answer == word,
        };
        assert!(
            is_expected,
            "{}: {} gets {answer} from the reference, {reply} from this engine",
            vector["why"], vector["text"]
        );
    }
}
