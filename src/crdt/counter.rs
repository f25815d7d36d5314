//! A number with concurrent increments.

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::Crdt,
    op_id::OpId,
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
};
use crate::{
    action::{NodeId, Stamp},
    replay::{Coverage, Malformed},
    time::WallTime,
};

/// The sum of all increments, including concurrent ones: an operation-based counter (Shapiro et
/// al., 2011, specification 5) that stores the ids of its increments, so that an increment that is
/// applied repeatedly counts once. A snapshot folds the increments of all nodes that it settles
/// into one number.
///
/// The sum has 64 bits and wraps around. Each increment is within ±2^53, which every JSON parser
/// can represent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counter {
    /// The sum of the settled increments, and the stamp of the latest of them.
    folded: Option<(Stamp, i64)>,
    /// The other increments, with their meta times.
    increments: OrdMap<OpId, (WallTime, i64)>,
    total: i64,
    /// Increments up to this stamp do not count: a write in the document has replaced them.
    floor: Option<Stamp>,
}

/// An operation on a [`Counter`]: `{"op":"add","by":1}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum CounterOp {
    /// Adds to the number.
    Add {
        /// The increment; within ±2^53, and possibly negative.
        by: i64,
    },
}

/// The largest absolute value of an increment.
const MAX_INCREMENT: i64 = 1 << 53;

impl Counter {
    /// Returns the number.
    pub const fn value(&self) -> i64 {
        self.total
    }

    /// Returns the number of increments that no snapshot has settled. O(1).
    pub fn unsettled_len(&self) -> usize {
        self.increments.len()
    }

    /// Makes the operation that adds to the number; within ±2^53, and possibly negative.
    pub const fn add_op(&self, by: i64) -> CounterOp {
        CounterOp::Add { by }
    }

    /// Adds to the number; within ±2^53, and possibly negative. O(log n) for n increments that no
    /// snapshot has settled.
    pub fn add(&mut self, by: i64, stamp: &Stamp) {
        self.apply(&self.add_op(by), stamp);
    }

    /// Returns the increments that add up to a number.
    pub(super) fn increments_of(by: i64) -> impl Iterator<Item = i64> {
        let mut rest = by;
        core::iter::from_fn(move || {
            let next = rest.clamp(-MAX_INCREMENT, MAX_INCREMENT);
            rest -= next;
            (next != 0).then_some(next)
        })
    }

    /// Returns `true` if anything is known, also what is not visible.
    pub(super) fn has_entries(&self) -> bool {
        self.folded.is_some() || !self.increments.is_empty()
    }

    /// Hides all increments up to a stamp.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            self.floor = Some(until.clone());
            self.total = self.visible_total();
        }
    }

    /// Returns the sum of the visible amounts.
    fn visible_total(&self) -> i64 {
        self.visible().map(|(_, by)| by).fold(0, i64::wrapping_add)
    }

    /// Returns `true` if an increment is not hidden.
    pub(super) fn is_visible(&self) -> bool {
        self.visible().next().is_some()
    }

    /// Returns the amounts that are later than the floor, with their stamps.
    fn visible(&self) -> impl Iterator<Item = (Stamp, i64)> {
        let folded = self.folded.iter().map(|(stamp, total)| (stamp.clone(), *total));
        let increments = self.increments.iter().map(|(id, (time, by))| (id.stamp(*time), *by));
        let floor = self.floor.as_ref();
        folded.chain(increments).filter(move |(stamp, _)| floor.is_none_or(|floor| floor < stamp))
    }
}

impl Crdt for Counter {
    type Op = CounterOp;
    type Event = i64;
    type Part = ();

    const NAME: &'static str = "counter";
    const VERSION: u32 = 3;

    fn check(op: &CounterOp) -> Result<(), Malformed> {
        let CounterOp::Add { by } = op;
        if by.unsigned_abs() <= MAX_INCREMENT.unsigned_abs() {
            Ok(())
        } else {
            Err(Malformed::new(format!("expected a number within ±2^53, got {by}")))
        }
    }

    fn apply(&mut self, op: &CounterOp, stamp: &Stamp) -> Option<i64> {
        let CounterOp::Add { by } = op;
        if self.increments.insert(stamp.into(), (stamp.time(), *by)).is_some() {
            return None;
        }
        let is_visible = self.floor.as_ref().is_none_or(|floor| floor < stamp);
        self.total = self.total.wrapping_add(if is_visible { *by } else { 0 });
        (is_visible && *by != 0).then_some(*by)
    }

    fn to_json(&self) -> Value {
        self.total.into()
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(())) {
        if self.total != after.total {
            part(());
        }
    }

    fn restore_ops(&self, target: &Self, _: &NodeId) -> Result<Vec<CounterOp>, RestoreError> {
        let by = target.total.wrapping_sub(self.total);
        Ok(Self::increments_of(by).map(|by| self.add_op(by)).collect())
    }

    fn shift_times(&mut self, ms: i64) {
        self.folded = self.folded.as_ref().map(|(stamp, total)| (stamp.shifted(ms), *total));
        let shifted =
            |(id, (time, by)): (&OpId, &(WallTime, i64))| (id.clone(), (time.shifted(ms), *by));
        self.increments = self.increments.iter().map(shifted).collect();
        self.floor = self.floor.as_ref().map(|floor| floor.shifted(ms));
    }

    fn settle(&mut self, _: &Coverage) {
        let latest = self.visible().map(|(stamp, _)| stamp).max();
        self.folded = latest.map(|latest| (latest, self.total));
        self.increments = OrdMap::new();
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.optional_stamp(self.floor.as_ref());
        writer.optional_stamp(self.folded.as_ref().map(|(stamp, _)| stamp));
        if let Some((_, total)) = self.folded {
            writer.signed(total);
        }
        writer.map(&self.increments, |writer, id, (time, by)| {
            writer.stamp(&id.stamp(*time));
            writer.signed(*by);
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let floor = reader.optional_stamp()?;
        let folded = match reader.optional_stamp()? {
            Some(stamp) => Some((stamp, reader.signed()?)),
            None => None,
        };
        let increments = reader.map(|reader| {
            let stamp = reader.stamp()?;
            Ok((OpId::from(&stamp), (stamp.time(), reader.signed()?)))
        })?;
        let mut counter = Self { folded, increments, total: 0, floor };
        counter.total = counter.visible_total();
        Ok(counter)
    }
}

impl_serde!(Counter);
