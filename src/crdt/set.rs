//! Sets of strings: in one the last write wins, in the other additions win.

use std::sync::Arc;

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::{Crdt, check_text},
    map::diff_keys,
    op_id::OpId,
    restore::{OpCollector, RestoreError},
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
};
use crate::{
    action::{NodeId, Stamp},
    replay::{Coverage, Malformed},
    time::WallTime,
};

/// A change of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetEvent {
    /// The element was added.
    Added(Arc<str>),
    /// The element was removed.
    Removed(Arc<str>),
}

/// A set where the latest of addition and removal wins, for each element: the LWW-element-Set of
/// Shapiro et al. (2011, section 3.3.3).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LwwSet {
    elements: OrdMap<Arc<str>, (Stamp, bool)>,
}

/// An operation on an [`LwwSet`]: `{"op":"add","element":"a"}`, `{"op":"remove","element":"a"}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum LwwSetOp {
    /// Adds an element.
    Add {
        /// The element; at most [`MAX_TEXT`](super::MAX_TEXT) bytes.
        element: Arc<str>,
    },
    /// Removes an element.
    Remove {
        /// The element; at most [`MAX_TEXT`](super::MAX_TEXT) bytes.
        element: Arc<str>,
    },
}

impl LwwSet {
    /// Returns `true` if the set contains the element. O(log n).
    pub fn contains(&self, element: &str) -> bool {
        self.elements.get(element).is_some_and(|(_, is_in)| *is_in)
    }

    /// Returns the elements, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.elements.iter().filter(|(_, (_, is_in))| *is_in).map(|(element, _)| element)
    }

    /// Makes the operation that adds an element.
    pub fn add_op(&self, element: impl Into<Arc<str>>) -> LwwSetOp {
        LwwSetOp::Add { element: element.into() }
    }

    /// Makes the operation that removes an element.
    pub fn remove_op(&self, element: impl Into<Arc<str>>) -> LwwSetOp {
        LwwSetOp::Remove { element: element.into() }
    }

    /// Adds an element. Returns `false` if the set contains it, or a later removal wins. O(log n).
    pub fn add(&mut self, element: impl Into<Arc<str>>, stamp: &Stamp) -> bool {
        self.apply(&self.add_op(element), stamp).is_some()
    }

    /// Removes an element. Returns `false` if the set does not contain it, or a later addition
    /// wins. O(log n).
    pub fn remove(&mut self, element: impl Into<Arc<str>>, stamp: &Stamp) -> bool {
        self.apply(&self.remove_op(element), stamp).is_some()
    }
}

impl LwwSetOp {
    const fn element(&self) -> &Arc<str> {
        match self {
            Self::Add { element } | Self::Remove { element } => element,
        }
    }
}

impl Crdt for LwwSet {
    type Op = LwwSetOp;
    type Event = SetEvent;
    type Part = Arc<str>;

    const NAME: &'static str = "lww set";
    const VERSION: u32 = 2;

    fn check(op: &LwwSetOp) -> Result<(), Malformed> {
        check_text("an element", op.element())
    }

    fn apply(&mut self, op: &LwwSetOp, stamp: &Stamp) -> Option<SetEvent> {
        let (element, is_in) = (op.element(), matches!(op, LwwSetOp::Add { .. }));
        let was_in = match self.elements.get_mut(element) {
            Some((last, _)) if *last >= *stamp => return None,
            Some(own) => core::mem::replace(own, (stamp.clone(), is_in)).1,
            None => {
                self.elements.insert(element.clone(), (stamp.clone(), is_in));
                false
            }
        };
        event(element, was_in, is_in)
    }

    fn to_json(&self) -> Value {
        array(self.iter())
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Arc<str>)) {
        let changed = |element: &str| self.contains(element) != after.contains(element);
        diff_elements(&self.elements, &after.elements, changed, part);
    }

    fn restore_ops(&self, target: &Self, _: &NodeId) -> Result<Vec<LwwSetOp>, RestoreError> {
        let removed = self.iter().filter(|element| !target.contains(element));
        let added = target.iter().filter(|element| !self.contains(element));
        let removals = removed.map(|element| self.remove_op(element.clone()));
        Ok(removals.chain(added.map(|element| self.add_op(element.clone()))).collect())
    }

    fn shift_times(&mut self, ms: i64) {
        let shifted = |(element, (stamp, is_in)): (&Arc<str>, &(Stamp, bool))| {
            (element.clone(), (stamp.shifted(ms), *is_in))
        };
        self.elements = self.elements.iter().map(shifted).collect();
    }

    fn settle(&mut self, coverage: &Coverage) {
        let Some(horizon) = coverage.horizon() else { return };
        let entries = self.elements.iter();
        self.elements = entries
            .filter(|(_, (last, is_in))| *is_in || last.time() >= horizon)
            .map(|(element, entry)| (element.clone(), entry.clone()))
            .collect();
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.map(&self.elements, |writer, element, (stamp, is_in)| {
            writer.string(element);
            writer.stamp(stamp);
            writer.boolean(*is_in);
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let elements = reader
            .map(|reader| Ok((reader.string()?.into(), (reader.stamp()?, reader.boolean()?))))?;
        Ok(Self { elements })
    }
}

impl_serde!(LwwSet, AddWinsSet);

/// Converts the elements to a JSON array.
fn array<'a>(elements: impl Iterator<Item = &'a Arc<str>>) -> Value {
    elements.map(|element| Value::from(&**element)).collect()
}

/// Calls `part` with the elements whose membership changed. `changed` is called for those whose
/// entry differs.
fn diff_elements<V: PartialEq + Clone>(
    before: &OrdMap<Arc<str>, V>,
    after: &OrdMap<Arc<str>, V>,
    changed: impl Fn(&str) -> bool,
    part: &mut dyn FnMut(Arc<str>),
) {
    diff_keys(before, after, |element| {
        if changed(element) {
            part(element.clone());
        }
    });
}

fn event(element: &Arc<str>, was_in: bool, is_in: bool) -> Option<SetEvent> {
    match (was_in, is_in) {
        (false, true) => Some(SetEvent::Added(element.clone())),
        (true, false) => Some(SetEvent::Removed(element.clone())),
        _ => None,
    }
}

/// A set where a removal only affects the additions that its author has seen, so that a concurrent
/// addition wins: the OR-Set of Shapiro et al. (2011, specification 15). An addition is identified
/// by the id of its operation.
///
/// The ids of removed additions are stored as tombstones until a snapshot settles them, so that a
/// late addition does not restore the element.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AddWinsSet {
    elements: OrdMap<Arc<str>, Additions>,
    /// Additions up to this stamp do not count: a write in the document has replaced them.
    floor: Option<Stamp>,
}

/// The additions of one element.
#[derive(Clone, Debug, Default, PartialEq)]
struct Additions {
    /// Additions that were not removed, with their meta times.
    live: OrdMap<OpId, WallTime>,
    /// Removed additions, each with the stamp of its earliest removal.
    removed: OrdMap<OpId, Stamp>,
}

/// An operation on an [`AddWinsSet`]: `{"op":"add","element":"a"}`,
/// `{"op":"remove","element":"a","adds":["1 10:a:b 0"]}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum AddWinsOp {
    /// Adds an element.
    Add {
        /// The element; at most [`MAX_TEXT`](super::MAX_TEXT) bytes.
        element: Arc<str>,
    },
    /// Removes the additions of an element that the author has seen. Made by
    /// [`AddWinsSet::remove_op`].
    Remove {
        /// The element; at most [`MAX_TEXT`](super::MAX_TEXT) bytes.
        element: Arc<str>,
        /// The ids of the operations that added it; at most 10,000.
        adds: Vec<OpId>,
    },
}

/// The maximum number of additions in one removal.
const MAX_ADDS: usize = 10_000;

impl AddWinsSet {
    /// Returns `true` if the set contains the element. O(log n).
    pub fn contains(&self, element: &str) -> bool {
        self.elements.get(element).is_some_and(|adds| adds.is_visible(self.floor.as_ref()))
    }

    /// Returns the elements, sorted.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.elements
            .iter()
            .filter(|(_, adds)| adds.is_visible(self.floor.as_ref()))
            .map(|(element, _)| element)
    }

    /// Returns `true` if anything is known, also what is not visible.
    pub(super) fn has_entries(&self) -> bool {
        !self.elements.is_empty()
    }

    /// Hides all additions up to a stamp.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_none_or(|floor| floor < until) {
            self.floor = Some(until.clone());
        }
    }

    /// Makes the operation that adds an element.
    pub fn add_op(&self, element: impl Into<Arc<str>>) -> AddWinsOp {
        AddWinsOp::Add { element: element.into() }
    }

    /// Makes the operation that removes an element: at most 10,000 of its additions in this state.
    pub fn remove_op(&self, element: impl Into<Arc<str>>) -> AddWinsOp {
        let element = element.into();
        let adds = self
            .elements
            .get(&element)
            .into_iter()
            .flat_map(|adds| adds.live.keys().take(MAX_ADDS));
        AddWinsOp::Remove { adds: adds.cloned().collect(), element }
    }

    /// Adds an element. Returns `false` if the set contains it. O(log n).
    pub fn add(&mut self, element: impl Into<Arc<str>>, stamp: &Stamp) -> bool {
        self.apply(&self.add_op(element), stamp).is_some()
    }

    /// Removes an element: at most 10,000 of its additions. Returns `false` if the set does not
    /// contain it, or contains it after that. O(additions · log n).
    pub fn remove(&mut self, element: impl Into<Arc<str>>, stamp: &Stamp) -> bool {
        self.apply(&self.remove_op(element), stamp).is_some()
    }
}

impl Additions {
    /// Returns `true` if an addition is later than `floor`.
    fn is_visible(&self, floor: Option<&Stamp>) -> bool {
        self.live.iter().any(|(id, time)| is_above(floor, id, *time))
    }
}

impl AddWinsOp {
    const fn element(&self) -> &Arc<str> {
        match self {
            Self::Add { element } | Self::Remove { element, .. } => element,
        }
    }
}

impl Crdt for AddWinsSet {
    type Op = AddWinsOp;
    type Event = SetEvent;
    type Part = Arc<str>;

    const NAME: &'static str = "add-wins set";
    const VERSION: u32 = 2;

    fn check(op: &AddWinsOp) -> Result<(), Malformed> {
        match op {
            AddWinsOp::Remove { adds, .. } if adds.len() > MAX_ADDS => Err(Malformed::new(
                format!("expected at most {MAX_ADDS} ids in \"adds\", got {}", adds.len()),
            )),
            _ => check_text("an element", op.element()),
        }
    }

    fn apply(&mut self, op: &AddWinsOp, stamp: &Stamp) -> Option<SetEvent> {
        let element = op.element();
        let adds = self.elements.entry(element.clone()).or_default();
        let was_in = adds.is_visible(self.floor.as_ref());
        match op {
            AddWinsOp::Add { .. } => {
                let id = OpId::from(stamp);
                if !adds.removed.contains_key(&id) {
                    adds.live.insert(id, stamp.time());
                }
            }
            AddWinsOp::Remove { adds: removed, .. } => {
                for id in removed {
                    adds.live.remove(id);
                    match adds.removed.get_mut(id) {
                        Some(earliest) if *earliest <= *stamp => {}
                        Some(earliest) => earliest.clone_from(stamp),
                        None => drop(adds.removed.insert(id.clone(), stamp.clone())),
                    }
                }
            }
        }
        let is_in = adds.is_visible(self.floor.as_ref());
        event(element, was_in, is_in)
    }

    fn to_json(&self) -> Value {
        array(self.iter())
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Arc<str>)) {
        let changed = |element: &str| self.contains(element) != after.contains(element);
        diff_elements(&self.elements, &after.elements, changed, part);
    }

    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<AddWinsOp>, RestoreError> {
        let mut collector = OpCollector::new(self, author);
        for element in self.iter().filter(|element| !target.contains(element)) {
            // An operation removes a part of the additions.
            while collector.state.contains(element) {
                collector.push(collector.state.remove_op(element.clone()));
            }
        }
        for element in target.iter().filter(|element| !self.contains(element)) {
            collector.push(self.add_op(element.clone()));
        }
        Ok(collector.ops)
    }

    fn shift_times(&mut self, ms: i64) {
        let shifted = |(element, adds): (&Arc<str>, &Additions)| {
            let live = adds.live.iter().map(|(id, time)| (id.clone(), time.shifted(ms)));
            let removed = adds.removed.iter().map(|(id, stamp)| (id.clone(), stamp.shifted(ms)));
            (element.clone(), Additions { live: live.collect(), removed: removed.collect() })
        };
        self.elements = self.elements.iter().map(shifted).collect();
        self.floor = self.floor.as_ref().map(|floor| floor.shifted(ms));
    }

    fn settle(&mut self, coverage: &Coverage) {
        let floor = self.floor.as_ref();
        let mut elements = OrdMap::new();
        for (element, adds) in &self.elements {
            let live = adds.live.iter().filter(|(id, time)| is_above(floor, id, **time));
            let removed = adds.removed.iter().filter(|(id, _)| !coverage.is_final(id.action()));
            let kept = Additions {
                live: live.map(|(id, time)| (id.clone(), *time)).collect(),
                removed: removed.map(|(id, stamp)| (id.clone(), stamp.clone())).collect(),
            };
            if !kept.live.is_empty() || !kept.removed.is_empty() {
                elements.insert(element.clone(), kept);
            }
        }
        self.elements = elements;
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.optional_stamp(self.floor.as_ref());
        writer.map(&self.elements, |writer, element, adds| {
            writer.string(element);
            writer.map(&adds.live, |writer, id, time| writer.stamp(&id.stamp(*time)));
            writer.map(&adds.removed, |writer, id, stamp| {
                writer.op_id(id);
                writer.stamp(stamp);
            });
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let floor = reader.optional_stamp()?;
        let elements = reader.map(|reader| {
            let element = reader.string()?.into();
            let live = reader.map(|reader| {
                let stamp = reader.stamp()?;
                Ok((OpId::from(&stamp), stamp.time()))
            })?;
            let removed = reader.map(|reader| Ok((reader.op_id()?, reader.stamp()?)))?;
            Ok((element, Additions { live, removed }))
        })?;
        Ok(Self { elements, floor })
    }
}

/// Returns `true` if an addition is later than `floor`.
fn is_above(floor: Option<&Stamp>, id: &OpId, time: WallTime) -> bool {
    floor.is_none_or(|floor| *floor < id.stamp(time))
}
