//! A JSON document made of all the types.

use std::sync::Arc;

use im::OrdMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    counter::{Counter, CounterOp},
    crdt::Crdt,
    list::{Item, List, ListError, ListOp},
    map::{Map, MapOp, diff_keys, put},
    path::{Path, within},
    position::Position,
    set::{AddWinsOp, AddWinsSet},
};
use crate::{
    action::{ActionId, Stamp},
    replay::{Malformed, Obsolete},
};

/// A JSON document. Under each path there can be a value that the last write wins, a [`Counter`], an [`AddWinsSet`], or a [`List`]: the operation says which.
///
/// Items of a list are documents in themselves: their fields have paths through the item's name, such as `/tasks/1 10:a:b 0/title`, and stay with the
/// item when it moves.
///
/// Conflicts between kinds: writing or deleting at a path takes away the counts, elements and items at the path and below it that are older.
/// What is newer stays: on a number a counter goes on counting; a set shows over a value, a list over a set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Document {
    values: Map,
    counters: OrdMap<Path, Counter>,
    sets: OrdMap<Path, AddWinsSet>,
    lists: OrdMap<Path, List>,
}

/// What can be done to a [`Document`]: the operations of its parts, with a `path`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase")]
pub enum DocumentOp {
    /// Write a value.
    Set {
        /// Where.
        path: Path,
        /// What.
        value: Arc<Value>,
    },
    /// Take away what is at a path and below it.
    Delete {
        /// Where.
        path: Path,
    },
    /// Add to a number.
    Increment {
        /// Where.
        path: Path,
        /// How much, within ±2^53.
        by: i64,
    },
    /// In place of all that the same node has added to a number before.
    Fold {
        /// Where.
        path: Path,
        /// How much that was.
        total: i64,
    },
    /// Put a text into a set.
    Add {
        /// Where the set is.
        path: Path,
        /// What.
        element: Arc<str>,
    },
    /// Take a text out of a set, as far as it was seen. Made by [`Document::discard`].
    Discard {
        /// Where the set is.
        path: Path,
        /// What.
        element: Arc<str>,
        /// The actions that have added it.
        adds: Vec<ActionId>,
    },
    /// Put an item into a list.
    Insert {
        /// Where the list is.
        path: Path,
        /// Where in the list.
        at: Position,
        /// The item's value.
        value: Arc<Value>,
    },
    /// Put an item of a list somewhere else in the list.
    Move {
        /// Where the list is.
        path: Path,
        /// Which.
        item: ActionId,
        /// Where in the list.
        at: Position,
    },
    /// Take an item out of a list.
    Remove {
        /// Where the list is.
        path: Path,
        /// Which.
        item: ActionId,
    },
}

/// An operation in the words of the part it is for.
enum Part {
    Value(MapOp),
    Counter(CounterOp),
    Set(AddWinsOp),
    List(ListOp),
}

impl DocumentOp {
    /// Where.
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

    /// The operation of a list, with the list's place. An item's value is written at the item's own path.
    fn of_list(path: &Path, op: ListOp) -> Result<Self, ListError> {
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
    /// The values that the last write wins.
    pub const fn values(&self) -> &Map {
        &self.values
    }

    /// The counter at a path.
    pub fn counter(&self, path: &str) -> Option<&Counter> {
        self.counters.get(path)
    }

    /// The set at a path.
    pub fn set(&self, path: &str) -> Option<&AddWinsSet> {
        self.sets.get(path)
    }

    /// The list at a path.
    pub fn list(&self, path: &str) -> Option<&List> {
        self.lists.get(path)
    }

    /// An operation on the list at a path, which is empty where there is none: the closure makes it as for a [`List`].
    ///
    /// # Errors
    /// What the closure says; [`ListError::Path`] for an item too deep inside of other lists to have a path.
    pub fn in_list(
        &self,
        path: &Path,
        make: impl FnOnce(&List) -> Result<ListOp, ListError>,
    ) -> Result<DocumentOp, ListError> {
        DocumentOp::of_list(path, make(self.lists.get(path).unwrap_or(&List::default()))?)
    }

    /// The operation that takes a text out of the set at a path, as it is here.
    pub fn discard(&self, path: &Path, element: impl Into<Arc<str>>) -> DocumentOp {
        let element = element.into();
        let adds = match self.sets.get(path).map(|set| set.remove(element.clone())) {
            Some(AddWinsOp::Remove { adds, .. }) => adds,
            _ => Vec::new(),
        };
        DocumentOp::Discard { path: path.clone(), element, adds }
    }

    /// The value at a path, with all that is below. O(size of what is there).
    pub fn get(&self, path: &Path) -> Option<Value> {
        self.to_json().pointer(path.as_str()).cloned()
    }

    /// What is at a path and below it, over a value that is there already.
    fn build(&self, base: &Path, mut value: Value) -> Value {
        self.values.lay_over(base, &mut value);
        let rest = |path: &Path| path.as_str()[base.as_str().len()..].to_owned();
        for (path, counter) in
            within(&self.counters, base).filter(|(_, counter)| counter.is_visible())
        {
            let rest = rest(path);
            let from = value.pointer(&rest).and_then(Value::as_i64).unwrap_or(0);
            put(&mut value, &rest, Some(&from.wrapping_add(counter.value()).into()));
        }
        for (path, set) in within(&self.sets, base).filter(|(_, set)| set.iter().next().is_some()) {
            put(&mut value, &rest(path), Some(&set.to_json()));
        }
        let mut inside: Option<&Path> = None;
        for (path, list) in within(&self.lists, base).filter(|(_, list)| !list.is_empty()) {
            // Lists in items of a list are built with the items.
            if inside.is_none_or(|outer| !outer.contains(path)) {
                put(&mut value, &rest(path), Some(&self.build_list(path, list)));
                inside = Some(path);
            }
        }
        value
    }

    fn build_list(&self, path: &Path, list: &List) -> Value {
        let build = |(id, item): (&ActionId, &Item)| match path.join(&id.to_string()) {
            Ok(path) if self.values.last_at(path.as_str()) > item.written() => {
                self.build(&path, self.values.get(path.as_str()).cloned().unwrap_or(Value::Null))
            }
            Ok(path) => self.build(&path, item.value().clone()),
            // Nobody can have written there.
            Err(_) => item.value().clone(),
        };
        list.iter().map(build).collect()
    }

    /// Takes away what is older, at a path and below it.
    fn hide(&mut self, path: &Path, until: &Stamp) {
        hide_in(&mut self.counters, path, |counter| counter.hide(until));
        hide_in(&mut self.sets, path, |set| set.hide(until));
        hide_in(&mut self.lists, path, |list| list.hide(until));
    }

    /// Tells what does not matter any more of what was counted, added or put in at a path and below it, when it was written over. What was taken out
    /// is told by nobody: by a wrong clock, it may have been put in later.
    fn written_over(&self, path: &Path, over: &Stamp, tell: &mut dyn FnMut(Obsolete)) {
        for (path, counter) in within(&self.counters, path) {
            counter.nodes().for_each(|node| {
                tell(Obsolete::Before(slot('+', path, node.as_str()), over.clone()))
            });
        }
        for (path, set) in within(&self.sets, path) {
            for (element, add) in set.adds_until(over) {
                tell(Obsolete::One(slot('#', path, element), add.clone()));
            }
        }
        for (path, list) in within(&self.lists, path) {
            for item in list.known() {
                for what in ["place", "value", "inserted"] {
                    tell(Obsolete::Before(
                        slot('@', path, &format!("{item}/{what}")),
                        over.clone(),
                    ));
                }
            }
        }
    }

    /// Checks the parts. For tests and fuzzers.
    ///
    /// # Panics
    /// When one is not what it should be.
    pub fn assert_invariants(&self) {
        self.lists.values().for_each(List::assert_invariants);
    }
}

fn hide_in<T: Clone>(parts: &mut OrdMap<Path, T>, path: &Path, mut hide: impl FnMut(&mut T)) {
    let paths: Vec<Path> = within(parts, path).map(|(path, _)| path.clone()).collect();
    for path in paths {
        if let Some(part) = parts.get_mut(&path) {
            hide(part);
        }
    }
}

/// The name of a slot of a part: kind, place, and what in it. Those of values are their paths.
fn slot(kind: char, path: &Path, what: &str) -> Arc<str> {
    format!("{kind}{path} {what}").into()
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
            Part::Counter(op) => part(&mut self.counters, &self.values, path, Counter::hide)
                .apply(&op, stamp)
                .is_some(),
            Part::Set(op) => part(&mut self.sets, &self.values, path, AddWinsSet::hide)
                .apply(&op, stamp)
                .is_some(),
            Part::List(op) => {
                part(&mut self.lists, &self.values, path, List::hide).apply(&op, stamp).is_some()
            }
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

    fn slots(op: &DocumentOp, stamp: &Stamp, tell: &mut dyn FnMut(Arc<str>)) {
        let path = op.path();
        match op.part() {
            Part::Value(op) => Map::slots(&op, stamp, tell),
            Part::Counter(op) => {
                Counter::slots(&op, stamp, &mut |what| tell(slot('+', path, &what)))
            }
            Part::Set(op) => {
                AddWinsSet::slots(&op, stamp, &mut |what| tell(slot('#', path, &what)))
            }
            Part::List(op) => List::slots(&op, stamp, &mut |what| tell(slot('@', path, &what))),
        }
    }

    fn obsolete(
        &self,
        op: &DocumentOp,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    ) {
        let path = op.path();
        let over = self.values.last_at(path.as_str()).filter(|over| settled(over));
        let mut named = |kind: char, obsolete: Obsolete| {
            tell(match obsolete {
                Obsolete::Before(what, stamp) => Obsolete::Before(slot(kind, path, &what), stamp),
                Obsolete::One(what, id) => Obsolete::One(slot(kind, path, &what), id),
            });
        };
        match op.part() {
            Part::Value(op) => {
                self.values.obsolete(&op, stamp, settled, tell);
                self.written_over(path, over.unwrap_or(stamp), tell);
                return;
            }
            Part::Counter(op) => {
                if let Some(counter) = self.counters.get(path) {
                    counter.obsolete(&op, stamp, settled, &mut |what| named('+', what));
                }
            }
            Part::Set(op) => {
                if let Some(set) = self.sets.get(path) {
                    set.obsolete(&op, stamp, settled, &mut |what| named('#', what));
                }
            }
            Part::List(op) => {
                if let Some(list) = self.lists.get(path) {
                    list.obsolete(&op, stamp, settled, &mut |what| named('@', what));
                }
            }
        }
        let takes_out = matches!(op, DocumentOp::Discard { .. } | DocumentOp::Remove { .. });
        if let Some(over) = over.filter(|over| *over > stamp && !takes_out) {
            Self::slots(op, stamp, &mut |what| tell(Obsolete::Before(what, over.clone())));
        }
    }
}

/// The part at a path, made if there is none, without what was written over before it came.
fn part<'a, T: Crdt>(
    parts: &'a mut OrdMap<Path, T>,
    values: &Map,
    path: &Path,
    hide: impl FnOnce(&mut T, &Stamp),
) -> &'a mut T {
    let part = parts.entry(path.clone()).or_default();
    if let Some(over) = values.last_at(path.as_str()) {
        hide(part, over);
    }
    part
}
