//! Whose cursors are shown in a channel with many people.

use core::time::Duration;

use indexmap::IndexMap;

use crate::{
    action::NodeId,
    json::{Json, JsonObject, member},
    time::MonoTime,
};

/// The number of nodes in a channel above which not all cursors are shown.
pub(super) const MAX_SHOWN_NODES: usize = 100;

/// The number of nodes whose cursors are shown then.
pub(super) const MAX_CURSORS: usize = 50;

/// The time for which the cursors of a node stay shown after its last change, although others
/// change theirs. Without it, hundreds of people who move at once would take the places of each
/// other all the time.
const HELD_FOR: Duration = Duration::from_secs(5);

/// The member of a state that is left out where cursors are not shown.
const CURSORS: &str = "cursors";

/// The nodes whose cursors are shown, with the times of their last changes, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Cursors(IndexMap<NodeId, MonoTime>);

impl Cursors {
    /// Asks for a place for a node that changes its state. Returns whether it has one, and the node
    /// that has lost its own.
    pub(super) fn request(&mut self, now: MonoTime, node: &NodeId) -> (bool, Option<NodeId>) {
        let mut replaced = None;
        if self.0.shift_remove(node).is_none() && self.0.len() >= MAX_CURSORS {
            let Some((_, last)) = self.0.first() else { return (false, None) };
            if now.since(*last) < HELD_FOR {
                return (false, None);
            }
            replaced = self.0.shift_remove_index(0).map(|(node, _)| node);
        }
        self.0.insert(node.clone(), now);
        (true, replaced)
    }

    pub(super) fn remove(&mut self, node: &NodeId) {
        self.0.shift_remove(node);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

/// Returns `true` if a state has cursors.
pub(super) fn has_cursors(state: &Json) -> bool {
    member(state.as_str(), CURSORS).is_some()
}

/// Returns a state without cursors.
pub(super) fn without_cursors(state: &Json) -> Json {
    let Ok(mut object) = JsonObject::from_json(state.as_str()) else { return state.clone() };
    object.remove(CURSORS);
    Json::checked(&object.to_json())
}
