//! Why a world is wrong at the end.

use core::fmt;

use crate::{action::ActionId, sync::State};

/// The reason why a world did not settle, or settled in a wrong state.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsettled {
    /// Events still occur after this number of steps.
    Livelock(usize),
    /// A client is not synchronized, but there are no more events.
    NotSynchronized(usize, State),
    /// A node lacks an action.
    Lost {
        /// The node id.
        node: String,
        /// The action.
        id: ActionId,
    },
    /// A node has a duplicate or unknown action.
    WrongCount {
        /// The node id.
        node: String,
        /// The number of actions in its log.
        has: usize,
        /// The number of actions that the clients added.
        added: usize,
    },
    /// A client still waits for the answer to its action.
    Unanswered {
        /// The node id.
        node: String,
        /// The action.
        id: ActionId,
    },
    /// The state of a node differs from that of the server: its node id, and both states.
    Differs(String, String, String),
}

impl fmt::Display for Unsettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Livelock(steps) => write!(f, "events still occur after {steps} steps"),
            Self::NotSynchronized(client, state) => {
                write!(f, "client {client} is {state:?}, but there are no more events")
            }
            Self::Lost { node, id } => write!(f, "{node} lacks the action {id}"),
            Self::Unanswered { node, id } => write!(f, "{node} still waits for the answer to {id}"),
            Self::WrongCount { node, has, added } => {
                write!(f, "{node} has {has} actions, but the clients added {added}")
            }
            Self::Differs(node, own, server) => {
                write!(f, "the state of {node} is {own}\nbut the state of the server is {server}")
            }
        }
    }
}

impl core::error::Error for Unsettled {}
