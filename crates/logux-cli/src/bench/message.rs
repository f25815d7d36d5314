//! Messages of the protocol, parsed in place as far as the scenarios need them.

use memchr::memmem::{self, Finder};
use serde_json::Value;

use super::error::BenchError;

/// A message from the server.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ServerMessage<'a> {
    /// The client was accepted.
    Connected,
    /// The JSON of actions and metas, and the number that confirms them.
    Sync { added: u64, actions: &'a [u8] },
    /// Confirms the actions of the client.
    Synced,
    /// Asks for a `pong`.
    Ping,
    /// The server reports an error.
    Error,
    /// Any other message.
    Other,
}

/// Parses a message.
pub(super) fn parse_message(text: &[u8]) -> ServerMessage<'_> {
    if let Some(rest) = text.strip_prefix(b"[\"sync\",") {
        let (added, digits) = parse_number(rest);
        return ServerMessage::Sync { added, actions: &rest[digits..] };
    }
    let name = text.strip_prefix(b"[\"").unwrap_or_default();
    match name.split(|byte| *byte == b'"').next().unwrap_or_default() {
        b"synced" => ServerMessage::Synced,
        b"connected" => ServerMessage::Connected,
        b"ping" => ServerMessage::Ping,
        b"error" => ServerMessage::Error,
        _ => ServerMessage::Other,
    }
}

/// Returns an error if the server undid an action.
pub(super) fn ensure_not_undone(actions: &[u8]) -> Result<(), BenchError> {
    if memmem::find(actions, b"\"logux/undo\"").is_some() {
        return Err(undone(actions));
    }
    Ok(())
}

/// Returns the error for actions of the server of which one is `logux/undo`.
fn undone(actions: &[u8]) -> BenchError {
    // The actions and metas follow the number of a `sync` message, up to its bracket.
    let list = [b"[", actions.strip_prefix(b",").unwrap_or(actions)].concat();
    let list: Vec<Value> = serde_json::from_slice(&list).unwrap_or_default();
    let undo = list.iter().find(|value| value["type"] == "logux/undo").unwrap_or(&Value::Null);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let action = &undo["action"];
    let subject = text(&action["channel"]).or_else(|| text(&action["type"])).unwrap_or_default();
    match undo["reason"].as_str() {
        Some("wrongChannel") => BenchError::NoChannel(subject),
        Some("unknownType") => BenchError::NoType(subject),
        Some("denied") => BenchError::Denied(subject),
        reason => BenchError::Undone { subject, reason: reason.unwrap_or_default().to_owned() },
    }
}

/// Parses the number at the start of `text`. Returns it and its number of digits.
pub(super) fn parse_number(text: &[u8]) -> (u64, usize) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let value = text[..digits]
        .iter()
        .fold(0_u64, |value, digit| value.wrapping_mul(10) + u64::from(digit - b'0'));
    (value, digits)
}

/// Appends a number in decimal.
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The numbers in an action of a scenario: its sender, the number of the action of this sender, and
/// when it was due, by the clock of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Numbers {
    pub(super) by: u64,
    pub(super) n: u64,
    pub(super) at: u64,
}

/// Writes and finds the actions of a scenario that have [`Numbers`].
pub(super) struct NumberedActions {
    /// The start of an action, up to the number of its sender.
    head: String,
    finder: Finder<'static>,
}

impl NumberedActions {
    /// Creates the actions of a type.
    pub(super) fn new(kind: &str) -> Self {
        let head = format!("\"type\":\"{kind}\",\"by\":");
        Self { finder: Finder::new(&head).into_owned(), head }
    }

    /// Writes the start of an action. The rest of its fields, which begin with a comma, and a brace
    /// follow.
    pub(super) fn push(&self, out: &mut Vec<u8>, Numbers { by, n, at }: Numbers) {
        out.push(b'{');
        out.extend_from_slice(self.head.as_bytes());
        push_number(out, by);
        out.extend_from_slice(b",\"n\":");
        push_number(out, n);
        out.extend_from_slice(b",\"at\":");
        push_number(out, at);
    }

    /// Returns the numbers of the next of these actions, and what follows it.
    pub(super) fn next<'a>(&self, actions: &'a [u8]) -> Option<(Numbers, &'a [u8])> {
        let rest = &actions[self.finder.find(actions)? + self.head.len()..];
        let (by, digits) = parse_number(rest);
        let (n, rest) = parse_field(&rest[digits..], b",\"n\":");
        let (at, rest) = parse_field(rest, b",\"at\":");
        Some((Numbers { by, n, at }, rest))
    }
}

/// Parses the number after `name`. Returns it and the rest of `text`.
fn parse_field<'a>(text: &'a [u8], name: &[u8]) -> (u64, &'a [u8]) {
    let rest = text.strip_prefix(name).unwrap_or(text);
    let (value, digits) = parse_number(rest);
    (value, &rest[digits..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_identified_by_their_name() {
        assert_eq!(
            parse_message(br#"["sync",12,{"type":"a"},{}]"#),
            ServerMessage::Sync { added: 12, actions: br#",{"type":"a"},{}]"# }
        );
        assert_eq!(parse_message(br#"["synced",1]"#), ServerMessage::Synced);
        assert_eq!(parse_message(br#"["connected",5,"server:a",[1,2]]"#), ServerMessage::Connected);
        assert_eq!(parse_message(br#"["ping",1]"#), ServerMessage::Ping);
        assert_eq!(parse_message(br#"["error","wrong-format"]"#), ServerMessage::Error);
        assert_eq!(parse_message(br#"["headers",{}]"#), ServerMessage::Other);
        assert_eq!(parse_message(b""), ServerMessage::Other);
    }

    #[test]
    fn numbers_are_read_as_they_were_written() {
        for value in [0, 7, 10, 18_446_744_073_709_551_615] {
            let mut out = Vec::new();
            push_number(&mut out, value);
            assert_eq!(out, value.to_string().into_bytes());
            assert_eq!(parse_number(&out), (value, out.len()));
        }
    }
}
