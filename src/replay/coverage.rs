//! The actions that a snapshot includes.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    action::{ActionId, NodeId},
    time::WallTime,
};

/// The actions that a snapshot includes: for each node, all actions up to one of its ids.
///
/// The actions of one node reach the node that makes snapshots in the order of their ids, so one id
/// for each node is enough. Ids of nodes that have been silent for longer than a
/// [horizon](Self::forget_before) are forgotten; actions that are older than the horizon and not
/// included are rejected everywhere.
///
/// The JSON form is
/// `{"horizon":1564508138460,"nodes":{"380:R7BNGAP5:px3-J3oc":[1564508138460,0]}}`, with the times
/// in milliseconds; `horizon` is absent without one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    horizon: Option<WallTime>,
    nodes: BTreeMap<NodeId, (WallTime, u32)>,
}

/// Whether an action may still take effect, according to a [`Coverage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The snapshot does not include the action.
    Open,
    /// The snapshot includes the action: it is settled, and cannot be undone.
    Settled,
    /// The snapshot does not include the action, which is older than the horizon: it has no effect.
    TooOld,
}

impl Coverage {
    /// Returns the standing of an action. O(log n) for n nodes.
    pub fn standing(&self, id: &ActionId) -> Standing {
        let last = self.nodes.get(id.node());
        if last.is_some_and(|last| *last >= (id.time(), id.sequence())) {
            Standing::Settled
        } else if self.horizon.is_some_and(|horizon| id.time() < horizon) {
            Standing::TooOld
        } else {
            Standing::Open
        }
    }

    /// Returns `true` if no effect of the action can begin or end any more.
    pub fn is_final(&self, id: &ActionId) -> bool {
        self.standing(id) != Standing::Open
    }

    /// Returns `true` if an undo has no effect of its own any more. An undo by a server is the
    /// answer to an action, perhaps of a client that is away: it has an effect as long as its
    /// action has.
    pub fn is_final_undo(&self, undo: &ActionId, target: &ActionId) -> bool {
        self.is_final(if undo.node().is_server() { target } else { undo })
    }

    /// Includes an action, and all earlier ones of its node.
    pub fn include(&mut self, id: &ActionId) {
        let own = (id.time(), id.sequence());
        let last = self.nodes.entry(id.node().clone()).or_insert(own);
        *last = own.max(*last);
    }

    /// Includes the actions of a node up to an id, or none of them.
    pub(super) fn end_at(&mut self, node: &NodeId, last: Option<&ActionId>) {
        match last {
            Some(last) => drop(self.nodes.insert(node.clone(), (last.time(), last.sequence()))),
            None => drop(self.nodes.remove(node)),
        }
    }

    /// Returns the last included id of a node.
    pub fn last_id(&self, node: &NodeId) -> Option<ActionId> {
        let (time, sequence) = self.nodes.get(node)?;
        Some(ActionId::new(*time, node.clone(), *sequence))
    }

    /// Moves the horizon forward, and forgets the nodes without an action since.
    pub fn forget_before(&mut self, horizon: WallTime) {
        if self.horizon.is_none_or(|own| own < horizon) {
            self.horizon = Some(horizon);
            self.nodes.retain(|_, (time, _)| *time >= horizon);
        }
    }

    /// Returns the time before which actions that are not included are rejected.
    pub const fn horizon(&self) -> Option<WallTime> {
        self.horizon
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ActionId {
        text.parse().unwrap()
    }

    #[test]
    fn actions_are_open_settled_or_too_old() {
        let mut coverage = Coverage::default();
        coverage.include(&id("20 a 1"));
        coverage.include(&id("10 a 5"));
        coverage.include(&id("5 b 0"));
        for (text, standing) in [
            ("20 a 1", Standing::Settled),
            ("20 a 2", Standing::Open),
            ("1 a 9", Standing::Settled),
            ("1 c 0", Standing::Open),
        ] {
            assert_eq!(coverage.standing(&id(text)), standing, "{text}");
        }
        coverage.forget_before(WallTime::from_millis(15));
        assert_eq!(coverage.standing(&id("5 b 0")), Standing::TooOld, "its node is forgotten");
        assert_eq!(coverage.standing(&id("1 a 0")), Standing::Settled);
        assert_eq!(coverage.standing(&id("15 c 0")), Standing::Open);
        let json = r#"{"horizon":15,"nodes":{"a":[20,1]}}"#;
        assert_eq!(serde_json::to_string(&coverage).unwrap(), json);
        assert_eq!(serde_json::from_str::<Coverage>(json).unwrap(), coverage);
    }
}
