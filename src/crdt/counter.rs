//! A number with concurrent increments.

use std::sync::Arc;

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::crdt::Crdt;
use crate::{
    action::{ActionId, NodeId, Stamp},
    replay::{Malformed, Obsolete},
    time::WallTime,
};

/// The sum of all increments, including concurrent ones: an operation-based counter (Shapiro et
/// al., 2011, specification 5) that stores the ids of its increments, so that an increment that is
/// applied repeatedly counts once.
///
/// A node can fold its own increments into one number ([`fold_op`](Self::fold_op)), so that the log
/// does not keep each increment forever. A folded increment cannot be undone on its own.
///
/// The sum has 64 bits and wraps around. Each increment is within ±2^53, which every JSON parser
/// can represent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    nodes: OrdMap<NodeId, Share>,
    total: i64,
    /// Increments up to this stamp do not count: a write in the document has replaced them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<Stamp>,
}

/// The increments of one node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Share {
    /// The stamp of the latest fold, and the sum of all earlier increments of the node.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    folded: Option<(Stamp, i64)>,
    /// Later increments with their meta times.
    #[serde(rename = "+", default, skip_serializing_if = "OrdMap::is_empty")]
    unfolded: OrdMap<ActionId, (WallTime, i64)>,
}

/// An operation on a [`Counter`]: `{"op":"add","by":1}`, `{"op":"fold","total":17}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum CounterOp {
    /// Adds to the number.
    Add {
        /// The increment; within ±2^53, and possibly negative.
        by: i64,
    },
    /// Replaces all earlier increments of the same node. Made by [`Counter::fold_op`].
    Fold {
        /// Their sum; within ±2^53.
        total: i64,
    },
}

impl CounterOp {
    /// The largest absolute value in an operation.
    const MAX: i64 = 1 << 53;
}

impl Counter {
    /// Returns the number.
    pub const fn value(&self) -> i64 {
        self.total
    }

    /// Returns the number of increments of a node that are not folded. O(log n).
    pub fn unfolded_len(&self, node: &NodeId) -> usize {
        self.nodes.get(node).map_or(0, |share| share.unfolded.len())
    }

    /// Makes the operation that folds the increments of a node. Only the node itself may add it to
    /// its log: no other node knows whether it has all increments of this node. Returns `None` if
    /// there is nothing to fold, or the sum exceeds ±2^53.
    pub fn fold_op(&self, node: &NodeId) -> Option<CounterOp> {
        let share = self.nodes.get(node).filter(|share| !share.unfolded.is_empty())?;
        let total = share.total(self.floor.as_ref());
        (total.unsigned_abs() <= CounterOp::MAX.unsigned_abs()).then_some(CounterOp::Fold { total })
    }
}

impl Counter {
    /// Hides all increments up to a stamp.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            self.floor = Some(until.clone());
            let totals = self.nodes.values().map(|share| share.total(self.floor.as_ref()));
            self.total = totals.fold(0, i64::wrapping_add);
        }
    }

    /// Returns `true` if an increment is not hidden.
    pub(super) fn is_visible(&self) -> bool {
        self.nodes.values().any(|share| share.amounts(self.floor.as_ref()).next().is_some())
    }

    /// Returns the nodes with increments.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }
}

impl Share {
    /// Returns the sum of the fold and the increments, as far as they are later than `floor`.
    fn amounts(&self, floor: Option<&Stamp>) -> impl Iterator<Item = i64> {
        let is_visible = move |time: WallTime, id: &ActionId| {
            floor.is_none_or(|floor| *floor < Stamp::new(time, id.clone()))
        };
        let folded =
            self.folded.iter().filter(move |(fold, _)| floor.is_none_or(|floor| floor < fold));
        let unfolded = self.unfolded.iter().filter(move |(id, (time, _))| is_visible(*time, id));
        folded.map(|(_, total)| *total).chain(unfolded.map(|(_, (_, by))| *by))
    }

    fn total(&self, floor: Option<&Stamp>) -> i64 {
        self.amounts(floor).fold(0, i64::wrapping_add)
    }
}

impl Crdt for Counter {
    type Op = CounterOp;
    type Event = i64;
    type Part = ();

    const NAME: &'static str = "counter";
    const VERSION: u32 = 1;

    fn check(op: &CounterOp) -> Result<(), Malformed> {
        let (CounterOp::Add { by: amount } | CounterOp::Fold { total: amount }) = op;
        if amount.unsigned_abs() <= CounterOp::MAX.unsigned_abs() {
            Ok(())
        } else {
            Err(Malformed::new(format!("expected a number within ±2^53, got {amount}")))
        }
    }

    fn apply(&mut self, op: &CounterOp, stamp: &Stamp) -> Option<i64> {
        let floor = self.floor.as_ref();
        let share = self.nodes.entry(stamp.id().node().clone()).or_default();
        let change = match op {
            CounterOp::Add { by } => {
                let folded = share.folded.as_ref().is_some_and(|(fold, _)| fold.id() >= stamp.id());
                if folded || share.unfolded.contains_key(stamp.id()) {
                    return None;
                }
                share.unfolded.insert(stamp.id().clone(), (stamp.time(), *by));
                if floor.is_none_or(|floor| floor < stamp) { *by } else { 0 }
            }
            CounterOp::Fold { total } => {
                if share.folded.as_ref().is_some_and(|(fold, _)| fold.id() >= stamp.id()) {
                    return None;
                }
                let before = share.total(floor);
                share.folded = Some((stamp.clone(), *total));
                share.unfolded = share.unfolded.split(stamp.id()).1;
                share.total(floor).wrapping_sub(before)
            }
        };
        self.total = self.total.wrapping_add(change);
        (change != 0).then_some(change)
    }

    fn to_json(&self) -> Value {
        self.total.into()
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(())) {
        if self.total != after.total {
            part(());
        }
    }

    fn slots(_: &CounterOp, stamp: &Stamp, slot: &mut dyn FnMut(Arc<str>)) {
        slot(stamp.id().node().as_str().into());
    }

    fn obsolete(
        &self,
        _: &CounterOp,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        let share = self.nodes.get(stamp.id().node());
        if let Some((fold, _)) =
            share.and_then(|share| share.folded.as_ref()).filter(|(fold, _)| settled(fold))
        {
            report(Obsolete::Before(stamp.id().node().as_str().into(), fold.clone()));
        }
    }
}
