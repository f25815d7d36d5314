//! What observes the log of a hub.

use super::{clean_log::CleanLog, inbox_usage::InboxUsage};
use crate::{log::Observer, store::Entry};

/// The observer of a hub's log.
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
