//! Texts that editors show: what has changed since they have read it, and who wrote it.

use std::{collections::BTreeMap, sync::Arc};

use logux::crdt::{DeltaItem, Text, Unit};
use serde::Serialize;

/// A replacement in a text, as CodeMirror has them. Indexes are those of the text before, and count
/// UTF-16 code units.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(crate) struct TextChange {
    from: usize,
    to: usize,
    insert: String,
}

/// A part of a text, and who has inserted it.
#[derive(Debug, Serialize)]
pub(crate) struct TextAuthor<'a> {
    from: usize,
    to: usize,
    /// The node id.
    author: &'a str,
    /// In milliseconds since the epoch, to the minute.
    time: Option<i64>,
}

/// The texts that are watched, each as it was read last.
#[derive(Debug, Default)]
pub(crate) struct WatchedTexts {
    last: u32,
    by_number: BTreeMap<u32, WatchedText>,
}

#[derive(Debug)]
pub(crate) struct WatchedText {
    pub(crate) channel: Arc<str>,
    pub(crate) path: String,
    read: Text,
}

impl WatchedTexts {
    /// Begins to watch a text. Returns the number for the other calls.
    pub(crate) fn add(&mut self, channel: Arc<str>, path: String, read: Text) -> u32 {
        self.last += 1;
        self.by_number.insert(self.last, WatchedText { channel, path, read });
        self.last
    }

    pub(crate) fn remove(&mut self, number: u32) {
        self.by_number.remove(&number);
    }

    pub(crate) fn get(&self, number: u32) -> Option<&WatchedText> {
        self.by_number.get(&number)
    }

    /// Lets a text count as read.
    pub(crate) fn mark_read(&mut self, number: u32, text: Text) {
        if let Some(watched) = self.by_number.get_mut(&number) {
            watched.read = text;
        }
    }

    /// Returns what has changed since the last call. O(n) of the text if it has changed.
    pub(crate) fn read(&mut self, number: u32, text: &Text) -> Vec<TextChange> {
        let Some(watched) = self.by_number.get_mut(&number) else { return Vec::new() };
        let before = core::mem::replace(&mut watched.read, text.clone());
        let mut changes: Vec<TextChange> = Vec::new();
        let mut at = 0;
        // A text that is inserted and one that is deleted at the same place are one replacement.
        let mut is_joined = false;
        for item in before.delta_to(text, Unit::Utf16).0 {
            match item {
                DeltaItem::Retain(length) => {
                    at += length;
                    is_joined = false;
                }
                DeltaItem::Insert(insert) => {
                    changes.push(TextChange { from: at, to: at, insert });
                    is_joined = true;
                }
                DeltaItem::Delete(length) => {
                    let (from, insert) = (at, String::new());
                    at += length;
                    match changes.last_mut().filter(|_| is_joined) {
                        Some(change) => change.to = at,
                        None => changes.push(TextChange { from, to: at, insert }),
                    }
                    is_joined = false;
                }
            }
        }
        changes
    }
}

/// Returns who has inserted which part of a text.
pub(crate) fn authors(text: &Text) -> Vec<TextAuthor<'_>> {
    let parts = text.authorship(Unit::Utf16).into_iter();
    parts
        .map(|part| TextAuthor {
            from: part.range.start,
            to: part.range.end,
            author: part.author.as_str(),
            time: part.time.map(logux::WallTime::as_millis),
        })
        .collect()
}
