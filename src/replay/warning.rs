//! Warnings of a timeline.

use core::fmt;
use std::collections::VecDeque;

use crate::action::ActionId;

/// An action of a known type that does not have the fields of this type. Every node ignores it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// Creates the error from a message that says what was expected and what was found.
    pub fn new(what: impl Into<String>) -> Self {
        Self(what.into())
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Malformed {}

/// A problem of a timeline, to be shown to a developer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimelineWarning {
    /// The action is malformed and was ignored.
    Malformed(ActionId, Malformed),
    /// The action belongs before the history that the timeline has kept, so it was applied to the
    /// earliest kept state. On nodes with a longer history, the state may differ. The callback
    /// `onMissedHistory` of `@logux/redux`.
    MissedHistory(ActionId),
    /// The undo arrived after its action was forgotten, so it has no effect.
    MissedUndo(ActionId),
    /// A snapshot includes the action or the undo, so the undo has no effect, on any replica.
    SettledUndo(ActionId),
}

impl fmt::Display for TimelineWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(id, error) => write!(f, "action {id} was ignored: {error}"),
            Self::MissedHistory(id) => {
                write!(f, "action {id} belongs before the kept history")
            }
            Self::SettledUndo(id) => write!(f, "undo {id} is of a settled action"),
            Self::MissedUndo(id) => write!(f, "undo {id} arrived after its action was forgotten"),
        }
    }
}

/// A bounded queue of the latest warnings.
#[derive(Clone, Debug, Default)]
pub(super) struct TimelineWarnings {
    queue: VecDeque<TimelineWarning>,
    dropped: u64,
}

impl TimelineWarnings {
    /// The largest number of queued warnings; when it is reached, the oldest one is dropped.
    const CAPACITY: usize = 100;

    pub(super) fn push(&mut self, warning: TimelineWarning) {
        if self.queue.len() == Self::CAPACITY {
            self.queue.pop_front();
            self.dropped += 1;
        }
        self.queue.push_back(warning);
    }

    pub(super) fn pop(&mut self) -> Option<TimelineWarning> {
        self.queue.pop_front()
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}
