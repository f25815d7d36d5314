//! What a log records of its changes, if it is asked to.

use super::Log;
use crate::{
    action::{ActionId, NameList},
    store::Entry,
};

/// A change of the entries of a log: what an [`Observer`](super::Observer) sees, for an application
/// that shows it.
#[derive(Clone, Debug, PartialEq)]
pub enum LogChange {
    /// An entry was added. Without [`Meta::added`](crate::Meta::added), nothing keeps it, and its
    /// removal follows.
    Added(Entry),
    /// An entry was removed.
    Cleaned(Entry),
}

/// What a log records.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    removed: Option<RemovedIds>,
    changes: Option<Vec<LogChange>>,
}

/// The ids of removed entries, see [`Log::record_removed`].
#[derive(Debug)]
struct RemovedIds {
    index: &'static str,
    without: &'static str,
    ids: Vec<ActionId>,
}

impl Recorder {
    pub(super) fn added(&mut self, entry: &Entry) {
        if let Some(changes) = &mut self.changes {
            changes.push(LogChange::Added(entry.clone()));
        }
    }

    /// Records an entry that leaves the store, with the reasons that it had.
    pub(super) fn removed(&mut self, entry: &Entry) {
        let Some(removed) = &mut self.removed else { return };
        let has = |names: &NameList, name: &str| names.iter().any(|own| **own == *name);
        if has(&entry.meta.indexes, removed.index) && !has(&entry.meta.reasons, removed.without) {
            removed.ids.push(entry.meta.id.clone());
        }
    }

    pub(super) fn cleaned(&mut self, entry: &Entry) {
        if let Some(changes) = &mut self.changes {
            changes.push(LogChange::Cleaned(entry.clone()));
        }
    }
}

impl<S, O> Log<S, O> {
    /// Records the ids of the entries that are removed from now on, of those that have this index
    /// and do not have this reason.
    pub(crate) fn record_removed(&mut self, index: &'static str, without: &'static str) {
        self.recorder.removed = Some(RemovedIds { index, without, ids: Vec::new() });
    }

    /// Returns the recorded ids, and forgets them.
    pub(crate) fn take_removed(&mut self) -> Vec<ActionId> {
        let removed = self.recorder.removed.as_mut();
        removed.map(|removed| core::mem::take(&mut removed.ids)).unwrap_or_default()
    }

    /// Records the changes of entries from now on, for [`take_log_changes`].
    ///
    /// [`take_log_changes`]: Self::take_log_changes
    pub fn record_log_changes(&mut self) {
        self.recorder.changes.get_or_insert_default();
    }

    /// Returns the recorded changes in their order, and forgets them.
    pub fn take_log_changes(&mut self) -> Vec<LogChange> {
        self.recorder.changes.as_mut().map(core::mem::take).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Action, NodeId, WallTime,
        log::Draft,
        store::{Criteria, MemoryStore},
    };

    fn texts(log: &mut Log<MemoryStore>) -> Vec<String> {
        let changes = log.take_log_changes().into_iter();
        let text = |change| match change {
            LogChange::Added(Entry { action, meta }) => {
                format!("added {} {}", action.kind(), meta.added.is_some())
            }
            LogChange::Cleaned(Entry { action, .. }) => format!("cleaned {}", action.kind()),
        };
        changes.map(text).collect()
    }

    #[test]
    fn changes_are_recorded_from_the_request_on() {
        let node = NodeId::new("10:a:b").unwrap();
        let mut log = Log::new(node, MemoryStore::new()).unwrap();
        let add = |log: &mut Log<MemoryStore>, kind: &str, draft: Draft| {
            let action = Action::new(format!(r#"{{"type":"{kind}"}}"#)).unwrap();
            log.add(WallTime::from_millis(1), action, draft).unwrap()
        };
        add(&mut log, "before", Draft::reason("kept"));
        assert_eq!(texts(&mut log), Vec::<String>::new());
        log.record_log_changes();
        let one = add(&mut log, "one", Draft::default().keep_last("last")).unwrap();
        add(&mut log, "passing", Draft::default());
        add(&mut log, "two", Draft::default().keep_last("last"));
        // The log does not have the id any more.
        add(&mut log, "again", Draft { id: Some(one.meta.id), ..Draft::reason("r") });
        log.remove_reason("kept", &Criteria::default()).unwrap();
        let expected = [
            "added one true",
            "added passing false",
            "cleaned passing",
            "cleaned one",
            "added two true",
            "added again true",
            "cleaned before",
        ];
        assert_eq!(texts(&mut log), expected);
        assert_eq!(texts(&mut log), Vec::<String>::new());
    }
}
