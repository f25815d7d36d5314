//! How much is remembered so that actions are done and answered once.

use super::{inbox::is_remembered, retention::KEPT};
use crate::{log::Observer, store::Entry};

/// Counts actions and answers that the inbox has put into the log and that are there. Those that the application wants to be kept are not counted: they
/// would be there without the inbox.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct InboxUsage {
    pub(super) entries: usize,
    /// Of their JSON.
    pub(super) bytes: usize,
}

impl InboxUsage {
    /// Whether an entry counts. Indexes never change, so what was counted when it came is counted when it goes.
    fn counts(entry: &Entry) -> bool {
        let indexes = &entry.meta.indexes;
        entry.meta.added.is_some()
            && indexes.iter().any(|index| is_remembered(index))
            && indexes.iter().all(|index| &**index != KEPT)
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
