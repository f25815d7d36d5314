//! Encoding and decoding does not change a message, and encodes it byte for byte as the reference
//! does.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, ActionId, Json, Meta, NodeId, WallTime,
    action::Subprotocol,
    json::JsonObject,
    testing::{fuzz, strategies},
    wire::{CompactId, Message, MessageLimits, Sync, SyncEntry, SyncWriter, decode},
};
use proptest::prelude::*;

/// Strings of tokens of messages in any order, many of which are almost valid.
fn nearly_json() -> impl Strategy<Value = String> {
    let tokens = [
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        " ",
        "\n",
        "\"",
        "\\",
        "0",
        "-1",
        "1.0",
        "1e3",
        "1e999",
        "01",
        "null",
        "true",
        "\"sync\"",
        "\"ping\"",
        "\"connect\"",
        "\"type\"",
        "\"ty\\u0070e\"",
        "\"id\"",
        "\"time\"",
        "\"a\"",
        "\"\\ud83d\"",
        "\"é\"",
        "{\"type\":\"a\"}",
        "{\"id\":0,\"time\":0}",
        "[\"sync\",1",
        "[\"ping\",",
        "\u{0}",
    ];
    proptest::collection::vec(proptest::sample::select(tokens.to_vec()), 0..12)
        .prop_map(|tokens| tokens.concat())
}

/// A message with one range of characters removed, doubled or replaced.
fn damaged_message() -> impl Strategy<Value = String> {
    (strategies::message(), any::<prop::sample::Index>(), 0..6_usize, 0..3_u8).prop_map(
        |(message, at, length, damage)| {
            let chars: Vec<char> = message.encode().chars().collect();
            let start = at.index(chars.len());
            let end = (start + length).min(chars.len());
            let (before, damaged, after) = (&chars[..start], &chars[start..end], &chars[end..]);
            let middle = match damage {
                0 => Vec::new(),
                1 => [damaged, damaged].concat(),
                _ => vec!['"'; damaged.len()],
            };
            before.iter().chain(&middle).chain(after).collect()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn decoding_is_the_inverse_of_encoding(message in strategies::message()) {
        fuzz::assert_round_trip(&message);
    }

    #[test]
    fn parsers_handle_any_string(text in prop_oneof![nearly_json(), damaged_message(), any::<String>()]) {
        fuzz::decoder(&text);
        fuzz::json(&text);
        fuzz::action(&text);
    }

    #[test]
    fn compacting_and_expanding_gives_the_same_id(id in strategies::action_id(), base in strategies::wall_time(), sender in strategies::node_id()) {
        let compact = CompactId::of(&id, base, &sender);
        prop_assert_eq!(matches!(compact, CompactId::Full(..)), id.node() != &sender);
        prop_assert_eq!(matches!(compact, CompactId::Time(_)), id.node() == &sender && id.sequence() == 0);
        prop_assert_eq!(compact.expand(base, &sender), Some(id));
    }

    #[test]
    fn ids_stay_within_the_range_of_times(
        compact in strategies::compact_id(),
        base in strategies::wall_time(),
        sender in strategies::node_id(),
    ) {
        let (CompactId::Time(time) | CompactId::Own(time, _) | CompactId::Full(time, ..)) = compact.clone();
        let sum = i128::from(time) + i128::from(base.as_millis());
        let fits = sum.unsigned_abs() <= 8_640_000_000_000_000;
        prop_assert_eq!(compact.expand(base, &sender).is_some(), fits);
    }

    #[test]
    fn the_sync_writer_writes_the_same_as_a_message(
        entries in proptest::collection::vec(strategies::entry(), 0..4),
        base in strategies::wall_time(),
        sender in strategies::node_id(),
        time_fix in -1_000..1_000_i64,
        subprotocol in strategies::subprotocol(),
    ) {
        let mut writer = SyncWriter::new(7, base, &sender, time_fix, 0);
        let mut message = Sync { added: 7, entries: Vec::new(), refused: Vec::new() };
        for entry in entries {
            writer.entry(&entry.action, &entry.meta, subprotocol.as_ref());
            message.entries.push(SyncEntry {
                id: CompactId::of(&entry.meta.id, base, &sender),
                time: entry.meta.time.since(base) - time_fix,
                subprotocol: subprotocol.clone(),
                action: entry.action,
                extra: JsonObject::default(),
            });
        }
        prop_assert_eq!(writer.finish(), Message::Sync(message).encode());
    }
}

#[test]
fn an_entry_is_written_byte_for_byte() {
    let sender = NodeId::new("10:client:tab").unwrap();
    let base = WallTime::from_millis(1_000);
    let mut writer = SyncWriter::new(3, base, &sender, 5, 64);
    for (id, subprotocol) in [
        ("900 10:client:tab 0", None),
        ("1000 10:client:tab 2", Some(Subprotocol::Number(4))),
        ("1001 server:x 0", Some(Subprotocol::SemVer("1.0.0".into()))),
    ] {
        let id: ActionId = id.parse().unwrap();
        writer.entry(
            &Action::new(r#"{"type":"a", "n":1.0}"#).unwrap(),
            &Meta::new(id),
            subprotocol.as_ref(),
        );
    }
    assert_eq!(
        writer.finish(),
        concat!(
            r#"["sync",3,{"type":"a", "n":1.0},{"id":-100,"time":-105}"#,
            r#",{"type":"a", "n":1.0},{"id":[0,2],"time":-5,"subprotocol":4}"#,
            r#",{"type":"a", "n":1.0},{"id":[1,"server:x",0],"time":-4,"subprotocol":"1.0.0"}]"#
        )
    );
}

#[test]
fn extra_keys_cannot_replace_the_id() {
    let mut extra = JsonObject::default();
    for key in ["id", "time", "subprotocol", "mine"] {
        extra.set(key, Json::new("99").unwrap());
    }
    let action = Action::new(r#"{"type":"a"}"#).unwrap();
    let entry = SyncEntry { action, id: CompactId::Time(1), time: 2, subprotocol: None, extra };
    let text = Message::Sync(Sync { added: 1, entries: vec![entry], refused: Vec::new() }).encode();
    assert_eq!(text, r#"["sync",1,{"type":"a"},{"id":1,"time":2,"mine":99}]"#);
}

#[test]
fn replies_to_long_messages_are_short() {
    let long = "x".repeat(100_000);
    for text in [format!("[\"{long}\"]"), long.clone(), format!("[\"ping\",\"{long}\"]")] {
        let reply =
            Message::Error(decode(&text, &MessageLimits::default()).unwrap_err().reply()).encode();
        assert!(reply.len() < 1_100, "{} bytes", reply.len());
    }
}

#[test]
fn truncated_messages_are_refused() {
    let text = r#"["sync",1,{"type":"a"},{"id":[1,"b",0],"time":1,"subprotocol":1}]"#;
    assert!(decode(text, &MessageLimits::default()).is_ok());
    for end in 0..text.len() {
        assert!(decode(&text[..end], &MessageLimits::default()).is_err(), "cut at {end}");
    }
}
