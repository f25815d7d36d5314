//! The received messages of a connection until they are confirmed.

use std::collections::VecDeque;

use super::{BatchToken, Config, Output, RefusedAction};
use crate::store::Entry;

/// The batches of one large message that are delivered at the same time.
const MAX_PARTS: usize = 2;

/// The received `sync` messages that are not confirmed. A large message is delivered in parts, so
/// that its receiver is not busy with it for long, and confirmed when all parts are durable.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    /// The parts that were delivered, and are not durable or follow one that is not.
    delivered: VecDeque<Delivered>,
    /// The parts that are not delivered yet.
    waiting: VecDeque<Part>,
    /// The number and the size of the unconfirmed messages, in bytes.
    messages: usize,
    bytes: usize,
    next_number: u32,
}

/// A part of a received message, or all of it.
#[derive(Debug)]
struct Part {
    added: u64,
    entries: Vec<Entry>,
    refused: Vec<RefusedAction>,
    /// Whether another part of the message precedes it.
    continues: bool,
    end: Option<MessageEnd>,
}

/// The end of a message, in its last part.
#[derive(Clone, Copy, Debug)]
struct MessageEnd {
    added: u64,
    bytes: usize,
}

/// A part that was delivered.
#[derive(Debug)]
struct Delivered {
    number: u32,
    end: Option<MessageEnd>,
    is_persisted: bool,
}

impl Receiving {
    pub(super) fn is_empty(&self) -> bool {
        self.delivered.is_empty() && self.waiting.is_empty()
    }

    /// Returns the number of unconfirmed messages.
    pub(super) const fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn wants_frames(&self, config: &Config) -> bool {
        self.delivered.len() + self.waiting.len() < config.max_receiving
            && self.bytes < config.max_receiving_bytes
    }

    /// Adds a received message of `bytes` bytes.
    pub(super) fn add(
        &mut self,
        config: &Config,
        added: u64,
        bytes: usize,
        entries: Vec<Entry>,
        refused: Vec<RefusedAction>,
    ) {
        self.messages += 1;
        self.bytes += bytes;
        let mut last = Part {
            added,
            entries,
            refused,
            continues: false,
            end: Some(MessageEnd { added, bytes }),
        };
        if last.entries.len() > config.actions_per_batch || bytes > config.bytes_per_batch {
            self.split(config, &mut last);
        }
        self.waiting.push_back(last);
    }

    /// Moves all entries of a message but those of its last part into parts of their own.
    fn split(&mut self, config: &Config, last: &mut Part) {
        let (mut part, mut part_bytes) = (Vec::new(), 0);
        for entry in core::mem::take(&mut last.entries) {
            let is_full =
                part.len() >= config.actions_per_batch || part_bytes >= config.bytes_per_batch;
            if is_full && !part.is_empty() {
                self.waiting.push_back(Part {
                    added: last.added,
                    entries: core::mem::take(&mut part),
                    refused: Vec::new(),
                    continues: core::mem::replace(&mut last.continues, true),
                    end: None,
                });
                part_bytes = 0;
            }
            part_bytes += entry.action.as_json().len();
            part.push(entry);
        }
        last.entries = part;
    }

    /// Delivers the next part, if it may be delivered now.
    pub(super) fn deliver(&mut self, opening: u32) -> Option<Output> {
        let next = self.waiting.front()?;
        let is_part = next.continues || next.end.is_none();
        if is_part && self.delivered.len() >= MAX_PARTS {
            return None;
        }
        let Part { added, entries, refused, continues, end } = self.waiting.pop_front()?;
        let number = self.next_number;
        self.next_number = number.wrapping_add(1);
        self.delivered.push_back(Delivered { number, end, is_persisted: false });
        let batch = BatchToken { opening, number, continues };
        Some(Output::Received { batch, added, entries, refused })
    }

    /// Marks a part as durable.
    pub(super) fn persisted(&mut self, batch: &BatchToken) {
        if let Some(part) = self.delivered.iter_mut().find(|part| part.number == batch.number) {
            part.is_persisted = true;
        }
    }

    /// Returns the `added` number of the next message that is durable with all messages before it.
    /// They are confirmed in the order in which they were received, because the peer takes a number
    /// as the confirmation of all earlier ones too.
    pub(super) fn next_confirmed(&mut self) -> Option<u64> {
        while self.delivered.front()?.is_persisted {
            if let Some(MessageEnd { added, bytes }) = self.delivered.pop_front()?.end {
                self.messages = self.messages.saturating_sub(1);
                self.bytes = self.bytes.saturating_sub(bytes);
                return Some(added);
            }
        }
        None
    }
}
