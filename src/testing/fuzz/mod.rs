//! Properties of all parsers for any input: the bodies of the fuzz targets.
//!
//! Each target in `fuzz/` calls one function of this module, so that normal tests can check the
//! same properties with the corpus and with random strings. A function returns if its property
//! holds, and panics otherwise.

mod backend;
mod encryption;
mod history;
mod saved_state;
mod server_frames;
mod tree;

pub use backend::backend;
pub use encryption::encryption;
pub use history::history;
pub use saved_state::saved_state;
pub use server_frames::server_frames;
pub use tree::tree;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    action::{
        Action, DocumentAccess,
        presence::{PresenceChanged, PresenceSet},
    },
    json::{Json, JsonProblem, MAX_DEPTH},
    wire::{DecodeError, ExceededLimit, Message, MessageLimits, SyncEntry, decode},
};

/// Returns the bytes as a string, or `None` if they are not UTF-8, which no decoder receives.
pub fn text(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data).ok()
}

/// Checks that the decoder returns a message or an error for any string, and that encoding and
/// decoding does not change a message.
///
/// # Panics
/// If a round trip changes a message, if the reply to a refused message cannot be sent, or if
/// stricter limits change a message that they accept.
pub fn decoder(text: &str) {
    let limits = MessageLimits::default();
    match decode(text, &limits) {
        Ok(message) => {
            assert!(is_json(text), "accepted a string that is not JSON");
            assert_round_trip(&message);
        }
        Err(error) => assert_reply(text, &error),
    }
    let tight = MessageLimits { message_bytes: 200, action_bytes: 20, depth: 4, id_bytes: 8 };
    match decode(text, &tight) {
        // Stricter limits refuse more actions of the same message.
        Ok(Message::Sync(sync)) => match decode(text, &limits) {
            Ok(Message::Sync(all)) => {
                let kept = |entry: &&SyncEntry| sync.entries.contains(entry);
                assert!(all.entries.iter().filter(kept).eq(&sync.entries), "changed an action");
                assert_eq!(
                    all.entries.len() + all.refused.len(),
                    sync.entries.len() + sync.refused.len(),
                    "lost an action"
                );
            }
            other => panic!("stricter limits accepted what others refused: {other:?}"),
        },
        Ok(message) => assert_eq!(
            decode(text, &limits).as_ref(),
            Ok(&message),
            "stricter limits changed a message"
        ),
        Err(error) => assert_reply(text, &error),
    }
}

/// Asserts that an encoded message decodes to the same message and encodes to the same string
/// again.
///
/// # Panics
/// If it does not.
pub fn assert_round_trip(message: &Message) {
    let encoded = message.encode();
    let no_limits = MessageLimits {
        message_bytes: usize::MAX,
        action_bytes: usize::MAX,
        depth: MAX_DEPTH + 8,
        id_bytes: usize::MAX,
    };
    let decoded = decode(&encoded, &no_limits);
    assert_eq!(decoded.as_ref(), Ok(message), "a round trip by {encoded} changed the message");
    assert_eq!(
        decoded.map(|decoded| decoded.encode()).as_deref(),
        Ok(&*encoded),
        "a round trip changed the string"
    );
}

/// A refused message has a reply that can be sent: a bounded one, that this decoder reads as an
/// error.
fn assert_reply(text: &str, error: &DecodeError) {
    let reply = Message::Error(error.reply());
    assert_round_trip(&reply);
    let Message::Error(reply) = reply else { unreachable!("the reply is an error message") };
    let details = reply.options.expect("a reply with details").parse::<String>().expect("a string");
    assert!(details.chars().count() <= 1_001, "a reply of {} characters", details.chars().count());
    match error {
        DecodeError::WrongFormat { received, .. } => {
            if !is_json(text) {
                assert!(
                    text.starts_with(received.trim_end_matches('…')),
                    "the reply does not quote the received string"
                );
            }
        }
        DecodeError::UnknownMessage(_) => {
            assert!(is_json(text), "an unknown message that is not JSON")
        }
        DecodeError::LimitExceeded(ExceededLimit::MessageBytes(limit)) => {
            assert!(text.len() > *limit)
        }
        DecodeError::LimitExceeded(_) => {}
    }
}

/// Checks that [`Json::new`] accepts exactly what `serde_json` accepts, up to the depth
/// [`MAX_DEPTH`].
///
/// `serde_json` is called without building a value; then it accepts half of a surrogate pair and
/// numbers of any size, like JavaScript.
///
/// # Panics
/// If the two disagree.
pub fn json(text: &str) {
    match Json::new(text) {
        Ok(json) => {
            assert!(is_json(text), "accepted JSON that serde_json refuses: {text:?}");
            assert_eq!(json.as_str(), text, "changed the string");
        }
        Err(error) if matches!(error.problem, JsonProblem::TooDeep(_)) => {}
        Err(error) => {
            assert!(!is_json(text), "refused JSON that serde_json accepts: {error}: {text:?}");
            assert!(error.at <= text.len(), "a position outside of the string");
        }
    }
}

/// Checks that an action is an object with a string as its `type`, that its JSON is unchanged, and
/// that its fields are those that `serde_json` finds.
///
/// # Panics
/// If [`Action::new`] and `serde_json` disagree.
pub fn action(text: &str) {
    let read = Action::new(text);
    if let Ok(action) = &read {
        assert_eq!(
            action.as_json(),
            text.trim_matches([' ', '\n', '\r', '\t']),
            "changed the string"
        );
        assert_eq!(Action::new(action.as_json()).ok().as_ref(), Some(action));
        if let Some(set) = PresenceSet::from_action(action) {
            let again = set.to_action().expect("a state of an action");
            assert_eq!(PresenceSet::from_action(&again), Some(set));
        }
        if let Some(access) = DocumentAccess::from_action(action) {
            let again = access.to_action().expect("strings can be written as JSON");
            assert_eq!(DocumentAccess::from_action(&again), Some(access));
        }
        if let Some(changed) = PresenceChanged::from_action(action) {
            let again = changed.to_action().expect("states of an action");
            assert_eq!(PresenceChanged::from_action(&again), Some(changed));
        }
    }
    // `serde_json::Value` is limited in depth and in the size of numbers, and refuses half of a
    // surrogate pair; then there is nothing to compare.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let kind = value.as_object().and_then(|object| object.get("type")).and_then(Value::as_str);
    match (read, kind) {
        (Ok(action), Some(kind)) => {
            assert_eq!(action.kind(), kind);
            let fields: BTreeMap<String, Value> = serde_json::from_str(text).expect("an object");
            for (name, value) in fields {
                let field = action.field(&name).expect("the field");
                assert_eq!(
                    serde_json::from_str::<Value>(field).ok(),
                    Some(value),
                    "field {name:?}"
                );
            }
        }
        (Err(_), None) => {}
        (read, kind) => panic!("read {read:?}, but the type is {kind:?}, in {text:?}"),
    }
}

/// Returns `true` if `serde_json` accepts the string, without building a value and thus without its
/// limits on depth and numbers.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_json_has_no_limit_on_depth() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        assert!(is_json(&deep) && is_json(r#""\ud83d""#) && is_json("1e999"));
        assert!(!is_json("[1,]") && !is_json(r#""\x""#) && !is_json(""));
    }
}
