//! The progress of sending the kept actions of a channel to a new subscriber.

use std::collections::HashSet;

use crate::action::ActionId;

/// The progress of a replay, which is sent in pages.
#[derive(Debug)]
pub(super) struct Replay {
    /// The number in the log of the last entry that was read.
    pub(super) after: u64,
    /// The last number when the subscription was approved. Later actions are delivered as they are
    /// approved.
    pub(super) until: u64,
    /// The actions in progress that were sent when the subscription was approved.
    pub(super) received: HashSet<ActionId>,
    /// Whether the subscriber has the entry at which the replay started, so that all later ones
    /// are new to it.
    pub(super) is_after_known: bool,
    /// Whether this is the last part: the undos by clients since the subscription was approved.
    /// They were delivered when they were accepted, perhaps before the page with their actions, so
    /// they are sent again.
    pub(super) is_for_undos: bool,
}

impl Replay {
    /// Returns the last part, if the log has further entries and this is not the last part already.
    pub(super) fn into_undos(self, last_added: u64) -> Option<Self> {
        (!self.is_for_undos && last_added > self.until).then_some(Self {
            after: self.until,
            until: last_added,
            is_for_undos: true,
            is_after_known: true,
            ..self
        })
    }
}
