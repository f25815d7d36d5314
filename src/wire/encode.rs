//! Encoding of messages as JSON.

use super::{CompactId, Message};
use crate::{
    action::{Action, Meta, NodeId, Subprotocol},
    json::{JsonObject, write_integer, write_string},
    time::WallTime,
};

impl Message {
    /// Returns the message as JSON without white space.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(64);
        self.encode_into(&mut out);
        out
    }

    /// Appends the message as JSON to `out`.
    pub fn encode_into(&self, out: &mut String) {
        match self {
            Self::Connect(connect) => {
                open(out, "connect");
                write_integer(out, connect.protocol);
                out.push(',');
                write_string(out, connect.node.as_str());
                out.push(',');
                write_integer(out, connect.synced);
                options(out, connect.token.as_deref(), connect.subprotocol.as_ref());
            }
            Self::Connected(connected) => {
                open(out, "connected");
                write_integer(out, connected.protocol);
                out.push(',');
                write_string(out, connected.node.as_str());
                out.push_str(",[");
                write_integer(out, connected.received);
                out.push(',');
                write_integer(out, connected.sent);
                out.push(']');
                options(out, connected.token.as_deref(), connected.subprotocol.as_ref());
            }
            Self::Ping { added } => open_with_added(out, "ping", *added),
            Self::Pong { added } => open_with_added(out, "pong", *added),
            Self::Synced { added } => open_with_added(out, "synced", *added),
            Self::Sync(sync) => {
                open_with_added(out, "sync", sync.added);
                for entry in &sync.entries {
                    write_entry(
                        out,
                        &entry.action,
                        &entry.id,
                        entry.time,
                        entry.subprotocol.as_ref(),
                        &entry.extra,
                    );
                }
            }
            Self::Error(error) => {
                open(out, "error");
                write_string(out, &error.kind);
                if let Some(options) = &error.options {
                    out.push(',');
                    out.push_str(options.as_str());
                }
            }
            Self::Debug { text } => {
                open(out, "debug");
                out.push_str("\"error\",");
                write_string(out, text);
            }
            Self::Headers { headers } => {
                open(out, "headers");
                out.push_str(headers.as_str());
            }
        }
        out.push(']');
    }
}

/// Appends the start of a message: its name and the comma after it.
fn open(out: &mut String, name: &str) {
    out.extend(["[\"", name, "\","]);
}

/// Appends the start of a message whose first item is an `added` number.
fn open_with_added(out: &mut String, name: &str, added: u64) {
    open(out, name);
    write_integer(out, added);
}

fn options(out: &mut String, token: Option<&str>, subprotocol: Option<&Subprotocol>) {
    if token.is_none() && subprotocol.is_none() {
        return;
    }
    out.push_str(",{");
    if let Some(token) = token {
        out.push_str("\"token\":");
        write_string(out, token);
    }
    if let Some(subprotocol) = subprotocol {
        out.push_str(if token.is_some() { ",\"subprotocol\":" } else { "\"subprotocol\":" });
        subprotocol.write_json(out);
    }
    out.push('}');
}

fn write_entry(
    out: &mut String,
    action: &Action,
    id: &CompactId,
    time: i64,
    subprotocol: Option<&Subprotocol>,
    extra: &JsonObject,
) {
    out.push(',');
    out.push_str(action.as_json());
    out.push_str(",{\"id\":");
    match id {
        CompactId::Time(time) => write_integer(out, *time),
        CompactId::Own(time, sequence) => {
            out.push('[');
            write_integer(out, *time);
            out.push(',');
            write_integer(out, *sequence);
            out.push(']');
        }
        CompactId::Full(time, node, sequence) => {
            out.push('[');
            write_integer(out, *time);
            out.push(',');
            write_string(out, node.as_str());
            out.push(',');
            write_integer(out, *sequence);
            out.push(']');
        }
    }
    out.push_str(",\"time\":");
    write_integer(out, time);
    if let Some(subprotocol) = subprotocol {
        out.push_str(",\"subprotocol\":");
        subprotocol.write_json(out);
    }
    // The last of duplicate keys counts, so these must not be written again.
    for (key, value) in
        extra.iter().filter(|(key, _)| !matches!(*key, "id" | "time" | "subprotocol"))
    {
        out.push(',');
        write_string(out, key);
        out.push(':');
        out.push_str(value.as_str());
    }
    out.push('}');
}

/// Encodes a `sync` message directly from the entries of a log, for a hot path with many receivers:
/// it copies the text of the actions and encodes only their meta.
#[derive(Debug)]
pub struct SyncWriter<'a> {
    out: String,
    base: WallTime,
    sender: &'a NodeId,
    time_fix: i64,
}

impl<'a> SyncWriter<'a> {
    /// Starts a message from `sender`, with times relative to `base`. Subtracts `time_fix`
    /// milliseconds from the corrected times. `capacity` is the estimated size of the message, in
    /// bytes.
    pub fn new(
        added: u64,
        base: WallTime,
        sender: &'a NodeId,
        time_fix: i64,
        capacity: usize,
    ) -> Self {
        let mut out = String::with_capacity(capacity);
        open_with_added(&mut out, "sync", added);
        Self { out, base, sender, time_fix }
    }

    /// Appends an entry. Of its meta, only the id, the time and the given subprotocol are encoded.
    pub fn entry(&mut self, action: &Action, meta: &Meta, subprotocol: Option<&Subprotocol>) {
        let id = CompactId::of(&meta.id, self.base, self.sender);
        let time = meta.time.since(self.base).saturating_sub(self.time_fix);
        write_entry(&mut self.out, action, &id, time, subprotocol, &JsonObject::default());
    }

    /// Returns the message.
    pub fn finish(mut self) -> String {
        self.out.push(']');
        self.out
    }
}
