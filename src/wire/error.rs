//! What is wrong with a message, and what its sender is told.

use core::fmt;

use super::{Beyond, ErrorMessage};
use crate::{
    action::Subprotocol,
    json::{Json, without_blanks},
};

/// A message cannot be read: the sender's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is no JSON, or not of the shape that its name asks for.
    WrongFormat {
        /// The message, as the sender is reminded of it: at most 1,000 characters, without blanks between the tokens if it is JSON.
        received: String,
        /// What was expected.
        why: String,
    },
    /// There is no message of this name, of which at most 1,000 characters are kept.
    UnknownMessage(String),
    /// It goes beyond a limit.
    Beyond(Beyond),
}

/// How many characters of a wrong message its sender is reminded of.
const REMINDER: usize = 1_000;

impl DecodeError {
    pub(super) fn wrong_format(received: &str, is_json: bool, why: String) -> Self {
        let received = if is_json { without_blanks(received) } else { received.to_owned() };
        Self::WrongFormat { received: reminder(received), why }
    }

    pub(super) fn unknown_message(name: &str) -> Self {
        Self::UnknownMessage(reminder(name.to_owned()))
    }

    /// The message for the sender, with the words of the reference.
    pub fn reply(&self) -> ErrorMessage {
        match self {
            Self::WrongFormat { received, .. } => ErrorMessage::wrong_format(received),
            Self::UnknownMessage(name) => {
                ErrorMessage::new("unknown-message", Json::from_value(name).ok())
            }
            Self::Beyond(limit) => ErrorMessage::wrong_format(&limit.to_string()),
        }
    }
}

/// Cuts a text: a large message must not be answered by a large one.
fn reminder(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(REMINDER) {
        text.truncate(end);
        text.push('…');
    }
    text
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongFormat { why, .. } => write!(f, "wrong message: {why}"),
            Self::UnknownMessage(name) => write!(f, "unknown message {name:?}"),
            Self::Beyond(limit) => fmt::Display::fmt(limit, f),
        }
    }
}

impl core::error::Error for DecodeError {}

impl ErrorMessage {
    /// An error of a kind with its details.
    pub fn new(kind: &str, options: Option<Json>) -> Self {
        Self { kind: kind.to_owned(), options }
    }

    /// `["error","wrong-format",TEXT]`: a message could not be read.
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

    /// `["error","wrong-subprotocol",{"supported":2,"used":1}]`: the application's protocol version does not fit.
    pub fn wrong_subprotocol(supported: &Subprotocol, used: &Subprotocol) -> Self {
        let mut json = String::from("{\"supported\":");
        supported.write_json(&mut json);
        json.push_str(",\"used\":");
        used.write_json(&mut json);
        json.push('}');
        Self::new("wrong-subprotocol", Json::new(json).ok())
    }

    /// `["error","wrong-credentials"]`: the node was not let in.
    pub fn wrong_credentials() -> Self {
        Self::new("wrong-credentials", None)
    }
}
