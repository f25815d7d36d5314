//! A JSON document made of maps, counters, sets, lists, texts and trees.
//!
//! Reading order: `op`; `join`; `parts`; this file; `read`; `shape`; `edit`; `view`; `restore`;
//! `changes`; `json_ops`, `json_set` and `plain_ops`.

mod changes;
mod edit;
mod join;
mod json_ops;
mod json_set;
mod op;
mod parts;
mod plain_ops;
mod read;
mod restore;
mod shape;
mod view;

use im::OrdMap;
use serde_json::Value;

pub use changes::DocumentChange;
pub use op::DocumentOp;

use super::{
    counter::Counter,
    crdt::Crdt,
    element::ElementId,
    json_op::{JsonOp, JsonOpError, MadeOps},
    list::List,
    map::Map,
    path::{Path, items},
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
    set::AddWinsSet,
    text::Text,
    touched::{Touched, ValueShape},
    tree::Tree,
};
use crate::{
    action::{NodeId, Stamp},
    replay::{Coverage, Malformed},
};
use op::PartOp;
use parts::Parts;
use shape::{ElementOnly, ShapeOnly};

/// A JSON document. Each path can have a last-write-wins value, a [`Counter`], an [`AddWinsSet`], a
/// [`List`], a [`Text`] or a [`Tree`], depending on the operation.
///
/// Items of a list, and nodes of a tree, are documents themselves: the paths of their fields
/// contain the name of the item or node, such as `/tasks/@10:a:b 0/title`, so fields stay with an
/// item or node that moves. They can be texts, lists, counters and trees, too. Everything in an
/// item or node disappears with it, and returns with it when its removal is undone. A key with the
/// form of a name always names an item or node.
///
/// Conflicts between kinds: a write or deletion at a path removes earlier increments, elements and
/// items at the path and below it. Later ones stay: a counter is added to the number at its path, a
/// set is shown in place of a value, and a list in place of a set.
///
/// Texts, and trees, are shown in place of all others as a whole, if the latest insertion of
/// characters or creation of a node is later than the last write: who adds to them while another
/// user deletes them keeps them, with everything in their nodes. Moves of nodes, and writes in
/// them, do not show a tree again. Of a text and a tree at one path, the tree is shown.
///
/// In JSON, a tree is a flat array, as in [`Tree`], with the complete value of each node.
///
/// One action can change several parts. Here it writes a text and adds a node with a text to a
/// tree:
///
/// ```
/// use logux::{
///     Log, MemoryStore, NodeId, WallTime,
///     crdt::{Crdt, Document, ElementId, Path, Shared},
///     replay::Timeline,
/// };
/// use serde_json::json;
///
/// let timeline = Timeline::new(Shared::<Document>::new("plans", "7"));
/// let mut log = Log::with_observer(NodeId::new("10:ada:x")?, MemoryStore::new(), timeline)?;
/// let (summary, tasks) = (Path::of(&["summary"])?, Path::of(&["tasks"])?);
/// let edited = log.edit_together(WallTime::from_millis(1), |edit| {
///     let author = edit.author().clone();
///     edit.extend(edit.state().text_ops(&summary, &author, |text| {
///         text.set_ops("Move to London", &author)
///     })?);
///     let task = ElementId::new(author.clone(), edit.state().next_counter(&author));
///     edit.extend(edit.state().tree_ops(&tasks, &author, |tree| {
///         tree.create_op(None, 0, json!({"done": false}), &author)
///     })?);
///     let title = tasks.join(&task.to_string())?.join("title")?;
///     edit.extend(edit.state().text_ops(&title, &author, |text| {
///         text.set_ops("Find a flat", &author)
///     })?);
///     Ok::<_, Box<dyn std::error::Error>>(())
/// });
/// edited.map_err(|error| error.to_string())?;
/// assert_eq!(
///     log.state().to_json(),
///     json!({
///         "summary": "Move to London",
///         "tasks": [{
///             "id": "@10:ada:x 14", "parent": null, "depth": 0,
///             "value": {"done": false, "title": "Find a flat"},
///         }],
///     })
/// );
/// let title = "/tasks/@10:ada:x 14/title".parse()?;
/// assert_eq!(log.state().get(&title), Some(json!("Find a flat")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    values: Map,
    counters: Parts<Counter>,
    sets: Parts<AddWinsSet>,
    lists: Parts<List>,
    texts: Parts<Text>,
    trees: Parts<Tree>,
    /// The counter of the next element of each node that has inserted elements.
    counters_of_elements: OrdMap<NodeId, u32>,
}

/// Applying operations.
impl Document {
    /// Returns the counter of the next element that a node inserts into a list, text or tree.
    pub fn next_counter(&self, author: &NodeId) -> u32 {
        self.counters_of_elements.get(author).copied().unwrap_or(0)
    }

    /// Hides what a write at a path replaces.
    fn hide(&mut self, path: &Path, until: &Stamp) {
        self.counters.hide(path, until);
        self.sets.hide(path, until);
        self.lists.hide(path, until);
        self.texts.hide(path, until);
        self.trees.hide(path, until);
    }

    /// Counts the elements that an operation inserts.
    fn count_elements(&mut self, op: &DocumentOp, stamp: &Stamp) {
        let Some((first, len)) = op.new_elements() else { return };
        let next = first.saturating_add(len);
        let known = self.counters_of_elements.entry(stamp.id().node().clone()).or_default();
        *known = next.max(*known);
    }

    /// Returns `true` if a path is in an item or node that is never visible again, after a snapshot
    /// has settled the lists and trees.
    fn is_gone(&self, path: &Path) -> bool {
        items(path.as_str()).any(|(path, name)| {
            let (list, tree) = (self.lists.get(path), self.trees.get(path));
            // If a list and a tree claim one name, both must have lost it.
            let is_gone = list.is_some_and(|list| list.is_gone(&name))
                || tree.is_some_and(|tree| tree.is_gone(&name));
            let is_kept = list.is_some_and(|list| list.item(&name).is_some())
                || tree.is_some_and(|tree| tree.is_known(&name) && !tree.is_gone(&name));
            is_gone && !is_kept
        })
    }

    /// Checks the invariants of all lists, texts and trees. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// Panics if an invariant is violated.
    pub fn assert_invariants(&self) {
        self.lists.iter().for_each(List::assert_invariants);
        self.texts.iter().for_each(Text::assert_invariants);
        self.trees.iter().for_each(Tree::assert_invariants);
    }
}

impl_serde!(Document);

impl Crdt for Document {
    type Op = DocumentOp;
    type Event = Path;
    type Part = Path;

    const NAME: &'static str = "document";
    const VERSION: u32 = 4;

    fn path(op: &DocumentOp) -> Option<&Path> {
        Some(op.path())
    }

    fn check(op: &DocumentOp) -> Result<(), Malformed> {
        match op.part() {
            PartOp::Value(op) => Map::check(&op),
            PartOp::Counter(op) => Counter::check(&op),
            PartOp::Set(op) => AddWinsSet::check(&op),
            PartOp::List(op) => List::check(&op),
            PartOp::Text(op) => Text::check(&op),
            PartOp::Tree(op) => Tree::check(&op),
        }
    }

    fn admit(&self, op: &DocumentOp, stamp: &Stamp) -> Result<(), Malformed> {
        let path = op.path().as_str();
        let next = self.next_counter(stamp.id().node());
        match op.part() {
            PartOp::List(op) => {
                let none = List::default();
                self.lists.get(path).unwrap_or(&none).admit_from(&op, stamp, next)
            }
            PartOp::Text(op) => {
                let none = Text::default();
                self.texts.get(path).unwrap_or(&none).admit_from(&op, stamp, next)
            }
            PartOp::Tree(op) => {
                let none = Tree::default();
                self.trees.get(path).unwrap_or(&none).admit_from(&op, stamp, next)
            }
            PartOp::Value(_) | PartOp::Counter(_) | PartOp::Set(_) => Ok(()),
        }
    }

    fn apply(&mut self, op: &DocumentOp, stamp: &Stamp) -> Option<Path> {
        let (path, values) = (op.path(), &self.values);
        let changed = match op.part() {
            PartOp::Value(op) => {
                self.hide(path, stamp);
                self.values.apply(&op, stamp).is_some()
            }
            PartOp::Counter(op) => self.counters.apply(path, values, &op, stamp),
            PartOp::Set(op) => self.sets.apply(path, values, &op, stamp),
            PartOp::List(op) => self.lists.apply(path, values, &op, stamp),
            PartOp::Text(op) => self.texts.apply(path, values, &op, stamp),
            PartOp::Tree(op) => self.trees.apply(path, values, &op, stamp),
        };
        self.count_elements(op, stamp);
        changed.then(|| path.clone())
    }

    fn apply_undone(&mut self, op: &DocumentOp, stamp: &Stamp) {
        let (path, values) = (op.path(), &self.values);
        match op.part() {
            PartOp::List(op) => self.lists.part_mut(path, values).apply_undone(&op, stamp),
            PartOp::Text(op) => self.texts.part_mut(path, values).apply_undone(&op, stamp),
            PartOp::Tree(op) => self.trees.part_mut(path, values).apply_undone(&op, stamp),
            PartOp::Value(_) | PartOp::Counter(_) | PartOp::Set(_) => {}
        }
        self.count_elements(op, stamp);
    }

    fn join(op: &mut DocumentOp, next: &DocumentOp) -> bool {
        op.join(next)
    }

    fn is_effective_at(&self, op: &DocumentOp, stamp: &Stamp) -> bool {
        let is_text = matches!(op.part(), PartOp::Text(_));
        is_text && self.values.latest_write(op.path().as_str()).is_none_or(|write| write < stamp)
    }

    fn to_json(&self) -> Value {
        self.build_root()
    }

    fn value_at(&self, path: &Path) -> Option<Value> {
        self.get(path)
    }

    fn shape_at(&self, path: &Path) -> Option<ValueShape> {
        self.read(&ShapeOnly, path)
    }

    fn element_at(&self, path: &Path, element: &ElementId) -> Option<Value> {
        self.read(&ElementOnly(element), path)
    }

    fn touched(op: &DocumentOp, author: &NodeId) -> Touched {
        op.touched(author)
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        self.values.diff(&after.values, part);
        self.counters.diff(&after.counters, part);
        self.sets.diff(&after.sets, part);
        self.lists.diff(&after.lists, part);
        self.texts.diff(&after.texts, part);
        self.trees.diff(&after.trees, part);
    }

    fn diff_paths(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        self.diff(after, part);
    }

    fn json_place(&self, path: &Path) -> Path {
        self.place_in_json(path)
    }

    fn json_ops(
        &self,
        ops: &[JsonOp],
        author: &NodeId,
    ) -> Result<MadeOps<DocumentOp>, JsonOpError> {
        self.make_json_ops(ops, author)
    }

    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<DocumentOp>, RestoreError> {
        self.ops_to(target, author)
    }

    fn shift_times(&mut self, ms: i64) {
        self.values.shift_times(ms);
        self.counters.shift_times(ms);
        self.sets.shift_times(ms);
        self.lists.shift_times(ms);
        self.texts.shift_times(ms);
        self.trees.shift_times(ms);
    }

    fn settle(&mut self, coverage: &Coverage) {
        self.counters.settle(coverage);
        self.sets.settle(coverage);
        self.lists.settle(coverage);
        self.texts.settle(coverage);
        self.trees.settle(coverage);
        let settled = self.clone();
        let is_kept = |path: &Path| !settled.is_gone(path);
        self.counters.retain(is_kept);
        self.sets.retain(is_kept);
        self.lists.retain(is_kept);
        self.texts.retain(is_kept);
        self.trees.retain(is_kept);
        for path in settled.values.paths().filter(|path| !is_kept(path)) {
            self.values.remove_entry(path);
        }
        self.values.forget_deletions(coverage);
    }

    fn encode(&self, writer: &mut StateWriter) {
        self.values.encode(writer);
        self.counters.encode(writer);
        self.sets.encode(writer);
        self.lists.encode(writer);
        self.texts.encode(writer);
        self.trees.encode(writer);
        writer.map(&self.counters_of_elements, |writer, node, next| {
            writer.node(node);
            writer.unsigned((*next).into());
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        Ok(Self {
            values: Map::decode(reader)?,
            counters: Parts::decode(reader)?,
            sets: Parts::decode(reader)?,
            lists: Parts::decode(reader)?,
            texts: Parts::decode(reader)?,
            trees: Parts::decode(reader)?,
            counters_of_elements: reader
                .map(|reader| Ok((reader.node()?, reader.unsigned_u32()?)))?,
        })
    }
}
