//! What a timeline could not do as asked.

use core::fmt;
use std::collections::VecDeque;

use crate::action::ActionId;

/// An action of a known type that does not have its fields. It is ignored, on every node alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed(String);

impl Malformed {
    /// Says what was expected and what came.
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

/// What a timeline could not do as asked, to be shown to a developer.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimelineWarning {
    /// The action was ignored.
    Malformed(ActionId, Malformed),
    /// The action belongs before everything that the timeline remembers, so it was applied to the earliest state it has; on nodes that
    /// remember more, the state may differ. The callback `onMissedHistory` of `@logux/redux`.
    MissedHistory(ActionId),
    /// The undo came when its action was forgotten already, so it has no effect.
    MissedUndo(ActionId),
}

impl fmt::Display for TimelineWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(id, why) => write!(f, "action {id} was ignored: {why}"),
            Self::MissedHistory(id) => {
                write!(f, "action {id} came after the history before it was forgotten")
            }
            Self::MissedUndo(id) => write!(f, "undo {id} came after its action was forgotten"),
        }
    }
}

/// The latest reports, with a bound.
#[derive(Clone, Debug, Default)]
pub(super) struct TimelineWarnings {
    waiting: VecDeque<TimelineWarning>,
    dropped: u64,
}

impl TimelineWarnings {
    /// How many wait at most for somebody to take them; older ones give way.
    const MOST: usize = 100;

    pub(super) fn push(&mut self, warning: TimelineWarning) {
        if self.waiting.len() == Self::MOST {
            self.waiting.pop_front();
            self.dropped += 1;
        }
        self.waiting.push_back(warning);
    }

    pub(super) fn pop(&mut self) -> Option<TimelineWarning> {
        self.waiting.pop_front()
    }

    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }
}
