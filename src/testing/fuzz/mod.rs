//! What must hold for any text at all: the bodies of the fuzz targets.
//!
//! The targets in `fuzz/` are one call each of a function here, so that a normal test can run the corpus and random texts through the
//! same sentences. A body returns when they hold and panics when they do not.

mod backend;
mod history;

pub use backend::backend;
pub use history::history;

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde_json::Value;

use crate::{
    action::Action,
    json::{Json, JsonProblem, MAX_DEPTH},
    wire::{Beyond, DecodeError, Message, MessageLimits, decode},
};

/// Bytes from outside as text; what is not UTF-8 never gets as far as a decoder.
pub fn text(data: &[u8]) -> Option<&str> {
    core::str::from_utf8(data).ok()
}

/// The decoder answers every text, and what it accepts it writes in a form that means the same.
///
/// # Panics
/// When a message changes on its way through the encoder, when a refused one has no sendable reply, or when a tighter limit lets
/// more through.
pub fn decoder(text: &str) {
    let limits = MessageLimits::default();
    match decode(text, &limits) {
        Ok(message) => {
            assert!(is_json(text), "accepted what is no JSON");
            assert_round_trip(&message);
        }
        Err(error) => assert_reply(text, &error),
    }
    let tight = MessageLimits { message_bytes: 200, depth: 4, actions: 1, id_bytes: 8 };
    match decode(text, &tight) {
        Ok(message) => assert_eq!(
            decode(text, &limits).as_ref(),
            Ok(&message),
            "tight limits changed a message"
        ),
        Err(error) => assert_reply(text, &error),
    }
}

/// What was encoded decodes to the same message, and encodes to the same text again.
///
/// # Panics
/// When it does not.
pub fn assert_round_trip(message: &Message) {
    let encoded = message.encode();
    let no_limits = MessageLimits {
        message_bytes: usize::MAX,
        depth: MAX_DEPTH + 8,
        actions: usize::MAX,
        id_bytes: usize::MAX,
    };
    let again = decode(&encoded, &no_limits);
    assert_eq!(again.as_ref(), Ok(message), "another message after a round trip by {encoded}");
    assert_eq!(
        again.map(|again| again.encode()).as_deref(),
        Ok(&*encoded),
        "another text after a round trip"
    );
}

/// A refused message has a reply that can be sent: a bounded one, that this decoder reads as an error.
fn assert_reply(text: &str, error: &DecodeError) {
    let reply = Message::Error(error.reply());
    assert_round_trip(&reply);
    let Message::Error(reply) = reply else { unreachable!("it was made an error") };
    let told = reply.options.expect("a reply with details").parse::<String>().expect("a text");
    assert!(told.chars().count() <= 1_001, "a reply of {} characters", told.chars().count());
    match error {
        DecodeError::WrongFormat { received, .. } => {
            if !is_json(text) {
                assert!(
                    text.starts_with(received.trim_end_matches('…')),
                    "the reminder is not what came"
                );
            }
        }
        DecodeError::UnknownMessage(_) => {
            assert!(is_json(text), "an unknown message that is no JSON")
        }
        DecodeError::Beyond(Beyond::MessageBytes(limit)) => assert!(text.len() > *limit),
        DecodeError::Beyond(_) => {}
    }
}

/// The walking reader accepts exactly what `serde_json` accepts, except deeper than [`MAX_DEPTH`].
///
/// Where `serde_json` builds no value, it also lets half of a surrogate pair and numbers of any size through, as JavaScript does.
///
/// # Panics
/// When the two disagree.
pub fn json(text: &str) {
    match Json::new(text) {
        Ok(json) => {
            assert!(is_json(text), "accepted what serde_json refuses: {text:?}");
            assert_eq!(json.as_str(), text, "changed the text");
        }
        Err(error) if matches!(error.problem, JsonProblem::TooDeep(_)) => {}
        Err(error) => {
            assert!(!is_json(text), "refused what serde_json accepts: {error}: {text:?}");
            assert!(error.at <= text.len(), "a place outside of the text");
        }
    }
}

/// An action is an object with a string as its `type`; its text stays, and each field is what `serde_json` finds in it.
///
/// # Panics
/// When the reader of actions and `serde_json` disagree.
pub fn action(text: &str) {
    let read = Action::new(text);
    if let Ok(action) = &read {
        assert_eq!(
            action.as_json(),
            text.trim_matches([' ', '\n', '\r', '\t']),
            "changed the text"
        );
        assert_eq!(Action::new(action.as_json()).ok().as_ref(), Some(action));
    }
    // Where serde_json gives up on depth, on half of a surrogate pair or on the size of a number, there is nothing to compare.
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    let kind = value.as_object().and_then(|object| object.get("type")).and_then(Value::as_str);
    match (read, kind) {
        (Ok(action), Some(kind)) => {
            assert_eq!(action.kind(), kind);
            let fields: BTreeMap<String, Value> =
                serde_json::from_str(text).expect("it was an object");
            for (name, value) in fields {
                let field = action.field(&name).expect("a field that is there");
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

/// Whether `serde_json` accepts the text, without building a value, so without its bounds on depth and numbers.
fn is_json(text: &str) -> bool {
    serde_json::from_str::<IgnoredAny>(text).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_judge_knows_no_depth() {
        let deep = "[".repeat(1_000) + &"]".repeat(1_000);
        assert!(is_json(&deep) && is_json(r#""\ud83d""#) && is_json("1e999"));
        assert!(!is_json("[1,]") && !is_json(r#""\x""#) && !is_json(""));
    }
}
