//! A JSON document made of maps, counters, sets and lists.

use std::sync::Arc;

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    counter::{Counter, CounterOp},
    crdt::Crdt,
    list::{Item, List, ListError, ListOp},
    map::{Map, MapOp, diff_keys, write_at},
    path::{Path, subtree},
    position::Position,
    set::{AddWinsOp, AddWinsSet},
};
use crate::{
    action::{ActionId, Stamp},
    replay::{Malformed, Obsolete},
};

/// A JSON document. Each path can have a last-write-wins value, a [`Counter`], an [`AddWinsSet`] or
/// a [`List`], depending on the operation.
///
/// Items of a list are documents themselves: the paths of their fields contain the item's id, such
/// as `/tasks/1 10:a:b 0/title`, so fields stay with an item that moves.
///
/// Conflicts between kinds: a write or deletion at a path removes earlier increments, elements and
/// items at the path and below it. Later ones stay: a counter is added to the number at its path, a
/// set is shown in place of a value, and a list in place of a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    values: Map,
    counters: OrdMap<Path, Counter>,
    sets: OrdMap<Path, AddWinsSet>,
    lists: OrdMap<Path, List>,
}

/// An operation on a [`Document`]: one of a map, counter, set or list, with a `path`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum DocumentOp {
    /// Writes a value at a path.
    Set {
        /// The path.
        path: Path,
        /// The value.
        value: Arc<Value>,
    },
    /// Deletes the value at a path and everything below it.
    Delete {
        /// The path.
        path: Path,
    },
    /// Adds to a number.
    Increment {
        /// The path of the number.
        path: Path,
        /// The increment; within ±2^53.
        by: i64,
    },
    /// Replaces all earlier increments of the same node. Made by [`Counter::fold_op`].
    Fold {
        /// The path of the number.
        path: Path,
        /// Their sum; within ±2^53.
        total: i64,
    },
    /// Adds an element to a set.
    Add {
        /// The path of the set.
        path: Path,
        /// The element.
        element: Arc<str>,
    },
    /// Removes the additions of an element that the author has seen. Made by
    /// [`Document::discard_op`].
    Discard {
        /// The path of the set.
        path: Path,
        /// The element.
        element: Arc<str>,
        /// The ids of the actions that added it.
        adds: Vec<ActionId>,
    },
    /// Inserts an item into a list.
    Insert {
        /// The path of the list.
        path: Path,
        /// The position in the list.
        at: Position,
        /// The item's value.
        value: Arc<Value>,
    },
    /// Moves an item within its list.
    Move {
        /// The path of the list.
        path: Path,
        /// The id of the item.
        item: ActionId,
        /// The new position in the list.
        at: Position,
    },
    /// Removes an item from a list.
    Remove {
        /// The path of the list.
        path: Path,
        /// The id of the item.
        item: ActionId,
    },
}

/// The operation of the part that a [`DocumentOp`] changes.
enum Part {
    Value(MapOp),
    Counter(CounterOp),
    Set(AddWinsOp),
    List(ListOp),
}

impl DocumentOp {
    /// Returns the path of the value, counter, set or list.
    pub const fn path(&self) -> &Path {
        match self {
            Self::Set { path, .. }
            | Self::Delete { path }
            | Self::Increment { path, .. }
            | Self::Fold { path, .. }
            | Self::Add { path, .. }
            | Self::Discard { path, .. }
            | Self::Insert { path, .. }
            | Self::Move { path, .. }
            | Self::Remove { path, .. } => path,
        }
    }

    fn part(&self) -> Part {
        match self.clone() {
            Self::Set { path, value } => Part::Value(MapOp::Set { path, value }),
            Self::Delete { path } => Part::Value(MapOp::Delete { path }),
            Self::Increment { by, .. } => Part::Counter(CounterOp::Add { by }),
            Self::Fold { total, .. } => Part::Counter(CounterOp::Fold { total }),
            Self::Add { element, .. } => Part::Set(AddWinsOp::Add { element }),
            Self::Discard { element, adds, .. } => Part::Set(AddWinsOp::Remove { element, adds }),
            Self::Insert { at, value, .. } => Part::List(ListOp::Insert { at, value }),
            Self::Move { item, at, .. } => Part::List(ListOp::Move { item, at }),
            Self::Remove { item, .. } => Part::List(ListOp::Remove { item }),
        }
    }

    /// Adds the path of the list to its operation. A new value of an item becomes a write at the
    /// item's own path.
    fn from_list_op(path: &Path, op: ListOp) -> Result<Self, ListError> {
        let path = path.clone();
        Ok(match op {
            ListOp::Insert { at, value } => Self::Insert { path, at, value },
            ListOp::Move { item, at } => Self::Move { path, item, at },
            ListOp::Remove { item } => Self::Remove { path, item },
            ListOp::Set { item, value } => {
                Self::Set { path: path.join(&item.to_string()).map_err(ListError::Path)?, value }
            }
        })
    }
}

impl Document {
    /// Returns the last-write-wins values.
    pub const fn values(&self) -> &Map {
        &self.values
    }

    /// Returns the counter at a path.
    pub fn counter(&self, path: &str) -> Option<&Counter> {
        self.counters.get(path)
    }

    /// Returns the set at a path.
    pub fn add_wins_set(&self, path: &str) -> Option<&AddWinsSet> {
        self.sets.get(path)
    }

    /// Returns the list at a path.
    pub fn list(&self, path: &str) -> Option<&List> {
        self.lists.get(path)
    }

    /// Makes an operation on the list at a path: `make` receives this [`List`], or an empty one,
    /// and returns the operation of the list.
    ///
    /// # Errors
    /// The error of `make`; [`ListError::Path`] for an item in lists that are nested too deeply for
    /// it to have a path.
    pub fn list_op(
        &self,
        path: &Path,
        make: impl FnOnce(&List) -> Result<ListOp, ListError>,
    ) -> Result<DocumentOp, ListError> {
        DocumentOp::from_list_op(path, make(self.lists.get(path).unwrap_or(&List::default()))?)
    }

    /// Makes the operation that removes an element from the set at a path: at most 10,000 of its
    /// additions in this state.
    pub fn discard_op(&self, path: &Path, element: impl Into<Arc<str>>) -> DocumentOp {
        let element = element.into();
        let adds = match self.sets.get(path).map(|set| set.remove_op(element.clone())) {
            Some(AddWinsOp::Remove { adds, .. }) => adds,
            _ => Vec::new(),
        };
        DocumentOp::Discard { path: path.clone(), element, adds }
    }

    /// Returns the value at a path of [`to_json`](Crdt::to_json), where the key of an item is its
    /// index. O(size of the document).
    pub fn get(&self, path: &Path) -> Option<Value> {
        self.to_json().pointer(path.as_str()).cloned()
    }

    /// Applies everything below a path, and the parts at the path, to the value at the path.
    fn build(&self, base: &Path, mut value: Value) -> Value {
        self.values.overlay(base, &mut value);
        let suffix = |path: &Path| path.as_str()[base.as_str().len()..].to_owned();
        for (path, counter) in
            subtree(&self.counters, base).filter(|(_, counter)| counter.is_visible())
        {
            let suffix = suffix(path);
            let number = value.pointer(&suffix).and_then(Value::as_i64).unwrap_or(0);
            write_at(&mut value, &suffix, Some(&number.wrapping_add(counter.value()).into()));
        }
        for (path, set) in subtree(&self.sets, base).filter(|(_, set)| set.iter().next().is_some())
        {
            write_at(&mut value, &suffix(path), Some(&set.to_json()));
        }
        let mut outer_list: Option<&Path> = None;
        for (path, list) in subtree(&self.lists, base).filter(|(_, list)| !list.is_empty()) {
            // Lists in items of a list are built with the items.
            if outer_list.is_none_or(|outer| !outer.contains(path)) {
                write_at(&mut value, &suffix(path), Some(&self.build_list(path, list)));
                outer_list = Some(path);
            }
        }
        value
    }

    fn build_list(&self, path: &Path, list: &List) -> Value {
        let build = |(id, item): (&ActionId, &Item)| match path.join(&id.to_string()) {
            Ok(path) if self.values.latest_write(path.as_str()) > item.written() => {
                self.build(&path, self.values.get(path.as_str()).cloned().unwrap_or(Value::Null))
            }
            Ok(path) => self.build(&path, item.value().clone()),
            // A path that exceeds the limits has no writes.
            Err(_) => item.value().clone(),
        };
        list.iter().map(build).collect()
    }

    /// Hides increments, elements and items up to a stamp, at a path and below it.
    fn hide(&mut self, path: &Path, until: &Stamp) {
        hide_in(&mut self.counters, path, |counter| counter.hide(until));
        hide_in(&mut self.sets, path, |set| set.hide(until));
        hide_in(&mut self.lists, path, |list| list.hide(until));
    }

    /// Reports the increments, additions and insertions at a path and below it as obsolete, because
    /// of a write at the path with the stamp `write`. Removals are not reported: with a wrong
    /// clock, what they remove may have a later stamp than the write.
    fn report_overwritten(&self, path: &Path, write: &Stamp, report: &mut dyn FnMut(Obsolete)) {
        for (path, counter) in subtree(&self.counters, path) {
            counter.nodes().for_each(|node| {
                report(Obsolete::Before(slot_name('+', path, node.as_str()), write.clone()))
            });
        }
        for (path, set) in subtree(&self.sets, path) {
            for (element, add) in set.adds_until(write) {
                report(Obsolete::One(slot_name('#', path, element), add.clone()));
            }
        }
        for (path, list) in subtree(&self.lists, path) {
            for item in list.known() {
                for field in ["place", "value", "inserted"] {
                    report(Obsolete::Before(
                        slot_name('@', path, &format!("{item}/{field}")),
                        write.clone(),
                    ));
                }
            }
        }
    }

    /// Checks the invariants of all lists. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// Panics if an invariant is violated.
    pub fn assert_invariants(&self) {
        self.lists.values().for_each(List::assert_invariants);
    }
}

/// Calls `hide` for each part at a path and below it.
fn hide_in<T: Clone>(parts: &mut OrdMap<Path, T>, path: &Path, mut hide: impl FnMut(&mut T)) {
    let paths: Vec<Path> = subtree(parts, path).map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(part) = parts.get_mut(&path) {
            hide(part);
        }
    }
}

/// The name of a slot of a counter (`+`), set (`#`) or list (`@`): its kind, its path and the name
/// of the slot in the part. Slots of values are named by their paths.
fn slot_name(kind: char, path: &Path, slot: &str) -> Arc<str> {
    format!("{kind}{path} {slot}").into()
}

impl Crdt for Document {
    type Op = DocumentOp;
    type Event = Path;
    type Part = Path;

    const NAME: &'static str = "document";
    const VERSION: u32 = 1;

    fn check(op: &DocumentOp) -> Result<(), Malformed> {
        match op.part() {
            Part::Value(op) => Map::check(&op),
            Part::Counter(op) => Counter::check(&op),
            Part::Set(op) => AddWinsSet::check(&op),
            Part::List(op) => List::check(&op),
        }
    }

    fn apply(&mut self, op: &DocumentOp, stamp: &Stamp) -> Option<Path> {
        let path = op.path();
        let changed = match op.part() {
            Part::Value(op) => {
                self.hide(path, stamp);
                self.values.apply(&op, stamp).is_some()
            }
            Part::Counter(op) => part_mut(&mut self.counters, &self.values, path, Counter::hide)
                .apply(&op, stamp)
                .is_some(),
            Part::Set(op) => part_mut(&mut self.sets, &self.values, path, AddWinsSet::hide)
                .apply(&op, stamp)
                .is_some(),
            Part::List(op) => part_mut(&mut self.lists, &self.values, path, List::hide)
                .apply(&op, stamp)
                .is_some(),
        };
        changed.then(|| path.clone())
    }

    fn to_json(&self) -> Value {
        let root = self.values.get("").cloned().unwrap_or_else(|| Value::Object(<_>::default()));
        self.build(&Path::root(), root)
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        self.values.diff(&after.values, part);
        diff_keys(&self.counters, &after.counters, |path| part(path.clone()));
        diff_keys(&self.sets, &after.sets, |path| part(path.clone()));
        diff_keys(&self.lists, &after.lists, |path| part(path.clone()));
    }

    fn slots(op: &DocumentOp, stamp: &Stamp, slot: &mut dyn FnMut(Arc<str>)) {
        let path = op.path();
        match op.part() {
            Part::Value(op) => Map::slots(&op, stamp, slot),
            Part::Counter(op) => {
                Counter::slots(&op, stamp, &mut |name| slot(slot_name('+', path, &name)))
            }
            Part::Set(op) => {
                AddWinsSet::slots(&op, stamp, &mut |name| slot(slot_name('#', path, &name)))
            }
            Part::List(op) => {
                List::slots(&op, stamp, &mut |name| slot(slot_name('@', path, &name)))
            }
        }
    }

    fn obsolete(
        &self,
        op: &DocumentOp,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        let path = op.path();
        let write = self.values.latest_write(path.as_str()).filter(|write| settled(write));
        let mut report_part = |kind: char, obsolete: Obsolete| {
            report(match obsolete {
                Obsolete::Before(slot, stamp) => {
                    Obsolete::Before(slot_name(kind, path, &slot), stamp)
                }
                Obsolete::One(slot, id) => Obsolete::One(slot_name(kind, path, &slot), id),
            });
        };
        match op.part() {
            Part::Value(op) => {
                self.values.obsolete(&op, stamp, settled, report);
                self.report_overwritten(path, write.unwrap_or(stamp), report);
                return;
            }
            Part::Counter(op) => {
                if let Some(counter) = self.counters.get(path) {
                    counter.obsolete(&op, stamp, settled, &mut |what| report_part('+', what));
                }
            }
            Part::Set(op) => {
                if let Some(set) = self.sets.get(path) {
                    set.obsolete(&op, stamp, settled, &mut |what| report_part('#', what));
                }
            }
            Part::List(op) => {
                if let Some(list) = self.lists.get(path) {
                    list.obsolete(&op, stamp, settled, &mut |what| report_part('@', what));
                }
            }
        }
        let is_removal = matches!(op, DocumentOp::Discard { .. } | DocumentOp::Remove { .. });
        if let Some(write) = write.filter(|write| *write > stamp && !is_removal) {
            Self::slots(op, stamp, &mut |slot| report(Obsolete::Before(slot, write.clone())));
        }
    }
}

/// Returns the part at a path, after it was created if necessary and everything up to the last
/// write at the path was hidden.
fn part_mut<'a, T: Crdt>(
    parts: &'a mut OrdMap<Path, T>,
    values: &Map,
    path: &Path,
    hide: impl FnOnce(&mut T, &Stamp),
) -> &'a mut T {
    let part = parts.entry(path.clone()).or_default();
    if let Some(write) = values.latest_write(path.as_str()) {
        hide(part, write);
    }
    part
}
