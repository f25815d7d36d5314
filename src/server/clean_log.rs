//! The record of actions that were removed from the log.

use std::sync::Arc;

use crate::{
    action::{
        ActionId,
        logux::{PROCESSED, UNDO},
    },
    log::Observer,
    store::Entry,
};

/// Records the entries that are removed from the log, if it is enabled.
#[derive(Debug, Default)]
pub(super) struct CleanLog {
    is_enabled: bool,
    cleaned: Vec<Arc<Entry>>,
}

impl CleanLog {
    pub(super) fn set_enabled(&mut self, is_enabled: bool) {
        self.is_enabled = is_enabled;
    }

    /// Forgets the removal of an action that is added again at a new position.
    pub(super) fn forget_moved(&mut self, id: &ActionId) {
        self.cleaned.pop_if(|entry| entry.meta.id == *id);
    }

    pub(super) fn take(&mut self) -> Vec<Arc<Entry>> {
        core::mem::take(&mut self.cleaned)
    }
}

impl Observer for CleanLog {
    fn cleaned(&mut self, entry: &Entry) {
        // `HubEvent::Added` has reported actions that were not kept; answers have no events.
        if self.is_enabled && entry.meta.added.is_some() && !is_answer(entry) {
            self.cleaned.push(Arc::new(entry.clone()));
        }
    }
}

fn is_answer(entry: &Entry) -> bool {
    matches!(entry.action.kind(), PROCESSED | UNDO) && entry.meta.id.node().is_server()
}
