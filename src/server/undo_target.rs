//! What a client undoes with a `logux/undo` of its own.

use std::sync::Arc;

use crate::{action::NodeId, store::Entry};

/// What a `logux/undo` of a client undoes: a kept action, or an earlier undo of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UndoTarget {
    /// The action that has no effect any more, or that has an effect again.
    pub action: Arc<Entry>,
    /// The undo that is undone. `None` if the action itself is undone.
    pub undo: Option<Arc<Entry>>,
}

impl UndoTarget {
    /// Returns the entry that the `logux/undo` names: the action, or the undo of it.
    pub fn undone(&self) -> &Arc<Entry> {
        self.undo.as_ref().unwrap_or(&self.action)
    }

    /// Returns `true` if an undo is undone.
    pub const fn is_redo(&self) -> bool {
        self.undo.is_some()
    }

    /// Returns `true` if the user of `node` has created what is undone, on any of the user's
    /// clients; without a user, the client.
    ///
    /// For a redo, this is the author of the undo, so that the author of an action cannot undo the
    /// undo of a moderator. Never `true` for what the server has created.
    pub fn is_by(&self, node: &NodeId) -> bool {
        let author = self.undone().meta.id.node();
        !author.is_server()
            && match (author.user_id(), node.user_id()) {
                (None, None) => author.client_id() == node.client_id(),
                (author, node) => author == node,
            }
    }
}

/// The reason why a `logux/undo` of a client can have no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UndoRefusal {
    /// The `logux/undo` has no valid id of an action.
    WrongFormat,
    /// The log does not keep the action: it is unknown, has no [`Retention`](super::Retention), or
    /// its retention has ended.
    NotFound,
    /// The snapshot of a document includes the action.
    Settled,
    /// The `logux/undo` itself is older than the [horizon](super::SettlementRule::horizon) of the
    /// document.
    TooOld,
}

impl UndoRefusal {
    /// Returns the reason of the `logux/undo` that answers the author.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::WrongFormat => "wrongFormat",
            Self::NotFound => "notFound",
            Self::Settled => "settled",
            Self::TooOld => "tooOld",
        }
    }
}
