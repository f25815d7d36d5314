//! The observer of a hub's log.

use super::{clean_log::CleanLog, inbox_usage::InboxUsage};
use crate::{log::Observer, store::Entry};

/// Passes each change of the log to the observers of the hub.
#[derive(Debug, Default)]
pub(super) struct HubObserver {
    pub(super) clean_log: CleanLog,
    pub(super) inbox_usage: InboxUsage,
}

impl Observer for HubObserver {
    fn added(&mut self, entry: &Entry) {
        self.clean_log.added(entry);
        self.inbox_usage.added(entry);
    }

    fn cleaned(&mut self, entry: &Entry) {
        self.clean_log.cleaned(entry);
        self.inbox_usage.cleaned(entry);
    }
}
