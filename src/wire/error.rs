//! Errors in received messages, and the `error` messages to their senders.

use core::fmt;

use super::{ErrorMessage, ExceededLimit};
use crate::{
    action::Subprotocol,
    json::{Json, without_whitespace},
};

/// An invalid message: an error of the sender.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The message is not JSON, or it does not have the shape that its name requires.
    WrongFormat {
        /// The message for the response to the sender: at most 1,000 characters, without white
        /// space between the tokens if it is JSON.
        received: String,
        /// What was expected.
        why: String,
    },
    /// A message with an unknown name, cut to 1,000 characters.
    UnknownMessage(String),
    /// The message exceeds a limit.
    LimitExceeded(ExceededLimit),
}

/// The largest part of an invalid message that is returned to its sender, in characters.
const MAX_ECHO: usize = 1_000;

impl DecodeError {
    pub(super) fn wrong_format(received: &str, is_json: bool, why: String) -> Self {
        let received = if is_json { without_whitespace(received) } else { received.to_owned() };
        Self::WrongFormat { received: shorten(received), why }
    }

    pub(super) fn unknown_message(name: &str) -> Self {
        Self::UnknownMessage(shorten(name.to_owned()))
    }

    /// Returns the `error` message for the sender, the same as in the reference.
    pub fn reply(&self) -> ErrorMessage {
        match self {
            Self::WrongFormat { received, .. } => ErrorMessage::wrong_format(received),
            Self::UnknownMessage(name) => {
                ErrorMessage::new("unknown-message", Json::from_value(name).ok())
            }
            Self::LimitExceeded(limit) => ErrorMessage::wrong_format(&limit.to_string()),
        }
    }
}

/// Cuts a string to [`MAX_ECHO`] characters: a large message must not cause a large response.
fn shorten(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(MAX_ECHO) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongFormat { why, .. } => write!(f, "invalid message: {why}"),
            Self::UnknownMessage(name) => write!(f, "unknown message {name:?}"),
            Self::LimitExceeded(limit) => fmt::Display::fmt(limit, f),
        }
    }
}

impl core::error::Error for DecodeError {}

impl ErrorMessage {
    /// Creates an error message of a kind, with its details.
    pub fn new(kind: &str, options: Option<Json>) -> Self {
        Self { kind: kind.to_owned(), options }
    }

    /// `["error","wrong-format",TEXT]`: a message is invalid.
    pub fn wrong_format(received: &str) -> Self {
        Self::new("wrong-format", Json::from_value(received).ok())
    }

    /// `["error","wrong-protocol",{"supported":3,"used":2}]`: the protocol version is too old.
    pub fn wrong_protocol(supported: u32, used: u32) -> Self {
        Self::new(
            "wrong-protocol",
            Json::new(format!("{{\"supported\":{supported},\"used\":{used}}}")).ok(),
        )
    }

    /// `["error","wrong-subprotocol",{"supported":2,"used":1}]`: the subprotocol is not supported.
    pub fn wrong_subprotocol(supported: &Subprotocol, used: &Subprotocol) -> Self {
        let mut json = String::from("{\"supported\":");
        supported.write_json(&mut json);
        json.push_str(",\"used\":");
        used.write_json(&mut json);
        json.push('}');
        Self::new("wrong-subprotocol", Json::new(json).ok())
    }

    /// `["error","wrong-credentials"]`: the authentication was rejected.
    pub fn wrong_credentials() -> Self {
        Self::new("wrong-credentials", None)
    }
}
