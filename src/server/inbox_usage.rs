//! The size of the inbox.

use super::{inbox::is_inbox_index, retention::RETAINED_INDEX};
use crate::{log::Observer, store::Entry};

/// Counts the actions and answers in the log that the inbox has added. Entries that are also kept
/// for a [`Retention`](super::Retention) are not counted: they would be there without the inbox.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InboxUsage {
    pub(super) entries: usize,
    /// The size of their JSON.
    pub(super) bytes: usize,
}

impl InboxUsage {
    /// Whether an entry is counted. Indexes never change, so the result is the same when the entry
    /// is added and when it is removed.
    fn counts(entry: &Entry) -> bool {
        let indexes = &entry.meta.indexes;
        entry.meta.added.is_some()
            && indexes.iter().any(|index| is_inbox_index(index))
            && indexes.iter().all(|index| &**index != RETAINED_INDEX)
    }
}

impl Observer for InboxUsage {
    fn added(&mut self, entry: &Entry) {
        if Self::counts(entry) {
            self.entries += 1;
            self.bytes += entry.action.as_json().len();
        }
    }

    fn cleaned(&mut self, entry: &Entry) {
        if Self::counts(entry) {
            self.entries = self.entries.saturating_sub(1);
            self.bytes = self.bytes.saturating_sub(entry.action.as_json().len());
        }
    }
}
