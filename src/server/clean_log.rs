//! What has gone from the log, for whoever wants to know.

use std::sync::Arc;

use crate::{
    action::{
        ActionId,
        logux::{PROCESSED, UNDO},
    },
    log::Observer,
    store::Entry,
};

/// Notes what leaves the log. What nobody wants to know is not noted.
#[derive(Debug, Default)]
pub(super) struct CleanLog {
    is_wanted: bool,
    gone: Vec<Arc<Entry>>,
}

impl CleanLog {
    pub(super) fn want(&mut self, is_wanted: bool) {
        self.is_wanted = is_wanted;
    }

    /// An action has only left its place: it is added anew.
    pub(super) fn moves(&mut self, id: &ActionId) {
        self.gone.pop_if(|entry| entry.meta.id == *id);
    }

    pub(super) fn take(&mut self) -> Vec<Arc<Entry>> {
        core::mem::take(&mut self.gone)
    }
}

impl Observer for CleanLog {
    fn cleaned(&mut self, entry: &Entry) {
        // What was never kept has been reported as that, and answers are not reported at all.
        if self.is_wanted && entry.meta.added.is_some() && !is_answer(entry) {
            self.gone.push(Arc::new(entry.clone()));
        }
    }
}

fn is_answer(entry: &Entry) -> bool {
    matches!(entry.action.kind(), PROCESSED | UNDO) && entry.meta.id.node().is_server()
}
