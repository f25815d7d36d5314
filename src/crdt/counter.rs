//! A number that many can add to at once.

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

/// A number to which all increments count, also those made at the same time: an operation-based counter (Shapiro et al., 2011, specification 5) that knows its
/// increments by their ids, so that one that comes twice counts once.
///
/// What a node has added can be folded into one number by the node itself ([`fold`](Self::fold)), so that the log need not keep each increment for
/// ever. An increment that was folded cannot be undone by itself any more.
///
/// The sum is one of 64 bits that wraps around; each increment is within ±2^53, which every JSON reader can hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counter {
    nodes: OrdMap<NodeId, Share>,
    total: i64,
    /// What was added up to here does not count: in a document, somebody has written over it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    floor: Option<Stamp>,
}

/// What one node has added.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Share {
    /// The latest fold, with the sum of all that the node had added before.
    #[serde(rename = "f", default, skip_serializing_if = "Option::is_none")]
    folded: Option<(Stamp, i64)>,
    /// Increments with their corrected times.
    #[serde(rename = "+", default, skip_serializing_if = "OrdMap::is_empty")]
    since: OrdMap<ActionId, (WallTime, i64)>,
}

/// What can be done to a [`Counter`]: `{"op":"add","by":1}`, `{"op":"fold","total":17}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum CounterOp {
    /// Add.
    Add {
        /// How much, also less than 0; within ±2^53.
        by: i64,
    },
    /// In place of all that the same node has added before. Made by [`Counter::fold`].
    Fold {
        /// How much that was.
        total: i64,
    },
}

impl CounterOp {
    /// The largest amount of one operation.
    const MAX: i64 = 1 << 53;
}

impl Counter {
    /// The number.
    pub const fn value(&self) -> i64 {
        self.total
    }

    /// How many increments of a node are remembered one by one. O(log n).
    pub fn unfolded(&self, node: &NodeId) -> usize {
        self.nodes.get(node).map_or(0, |share| share.since.len())
    }

    /// The operation that folds what a node has added. Only the node itself may do it: it alone knows that there is no other increment of its own on the
    /// way. `None` if there is nothing to fold, or the sum is beyond what one operation can say.
    pub fn fold(&self, node: &NodeId) -> Option<CounterOp> {
        let share = self.nodes.get(node).filter(|share| !share.since.is_empty())?;
        let total = share.total(self.floor.as_ref());
        (total.unsigned_abs() <= CounterOp::MAX.unsigned_abs()).then_some(CounterOp::Fold { total })
    }
}

impl Counter {
    /// Lets nothing count that was added up to a place in the order.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            self.floor = Some(until.clone());
            let totals = self.nodes.values().map(|share| share.total(self.floor.as_ref()));
            self.total = totals.fold(0, i64::wrapping_add);
        }
    }

    /// Whether anything counts.
    pub(super) fn is_visible(&self) -> bool {
        self.nodes.values().any(|share| share.counted(self.floor.as_ref()).next().is_some())
    }

    /// The nodes that have added something.
    pub(super) fn nodes(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.keys()
    }
}

impl Share {
    /// What counts.
    fn counted(&self, floor: Option<&Stamp>) -> impl Iterator<Item = i64> {
        let counts = move |time: WallTime, id: &ActionId| {
            floor.is_none_or(|floor| *floor < Stamp::new(time, id.clone()))
        };
        let folded =
            self.folded.iter().filter(move |(fold, _)| floor.is_none_or(|floor| floor < fold));
        let since = self.since.iter().filter(move |(id, (time, _))| counts(*time, id));
        folded.map(|(_, total)| *total).chain(since.map(|(_, (_, by))| *by))
    }

    fn total(&self, floor: Option<&Stamp>) -> i64 {
        self.counted(floor).fold(0, i64::wrapping_add)
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
                if folded || share.since.contains_key(stamp.id()) {
                    return None;
                }
                share.since.insert(stamp.id().clone(), (stamp.time(), *by));
                if floor.is_none_or(|floor| floor < stamp) { *by } else { 0 }
            }
            CounterOp::Fold { total } => {
                if share.folded.as_ref().is_some_and(|(fold, _)| fold.id() >= stamp.id()) {
                    return None;
                }
                let before = share.total(floor);
                share.folded = Some((stamp.clone(), *total));
                share.since = share.since.split(stamp.id()).1;
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
        tell: &mut dyn FnMut(Obsolete),
    ) {
        let share = self.nodes.get(stamp.id().node());
        if let Some((fold, _)) =
            share.and_then(|share| share.folded.as_ref()).filter(|(fold, _)| settled(fold))
        {
            tell(Obsolete::Before(stamp.id().node().as_str().into(), fold.clone()));
        }
    }
}
