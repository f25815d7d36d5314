//! A JSON document made of maps, counters, sets and lists.

use std::{borrow::Cow, sync::Arc};

use im::OrdMap;
use serde_json::Value;

use super::{
    counter::Counter,
    crdt::Crdt,
    document_op::{DocumentOp, Part, Renumbering},
    element::ElementId,
    list::{Item, List, ListError, ListOp},
    map::{Map, diff_keys, write_at},
    path::{Path, ancestors, items, subtree},
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
    set::{AddWinsOp, AddWinsSet},
    text::{Text, TextError, TextOp},
};
use crate::{
    action::{NodeId, Stamp},
    json::{Json, member},
    replay::{Coverage, Malformed},
};

/// A JSON document. Each path can have a last-write-wins value, a [`Counter`], an [`AddWinsSet`], a
/// [`List`] or a [`Text`], depending on the operation.
///
/// Items of a list are documents themselves: the paths of their fields contain the item's name,
/// such as `/tasks/@10:a:b 0/title`, so fields stay with an item that moves, and everything in an
/// item disappears with it, and returns with it when its removal is undone. A key with the form of
/// a name always names an item of a list.
///
/// Conflicts between kinds: a write or deletion at a path removes earlier increments, elements and
/// items at the path and below it. Later ones stay: a counter is added to the number at its path, a
/// set is shown in place of a value, and a list in place of a set. A text is shown in place of all
/// others as a whole, if its latest insertion is later than the last write: who types into it while
/// another user deletes it keeps it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Document {
    values: Map,
    counters: OrdMap<Path, Counter>,
    sets: OrdMap<Path, AddWinsSet>,
    lists: OrdMap<Path, List>,
    texts: OrdMap<Path, Text>,
    /// The counter of the next element of each node that has inserted elements.
    counters_of_elements: OrdMap<NodeId, u32>,
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

    /// Returns the text at a path, unless a later write has replaced it.
    pub fn text(&self, path: &str) -> Option<&Text> {
        self.texts.get(path).filter(|text| text.is_shown())
    }

    /// Returns the counter of the next element that a node inserts into a list or text.
    pub fn next_counter(&self, author: &NodeId) -> u32 {
        self.counters_of_elements.get(author).copied().unwrap_or(0)
    }

    /// Makes an operation of `author` on the list at a path: `make` receives this [`List`], or an
    /// empty one, and returns the operation of the list.
    ///
    /// # Errors
    /// The error of `make`; [`ListError::Path`] for an item in lists that are nested too deeply for
    /// it to have a path.
    pub fn list_op(
        &self,
        path: &Path,
        author: impl AsRef<NodeId>,
        make: impl FnOnce(&List) -> Result<ListOp, ListError>,
    ) -> Result<DocumentOp, ListError> {
        let author = author.as_ref();
        let none = List::default();
        let list = self.lists.get(path).unwrap_or(&none);
        let counters = self.renumbering(list.next_counter(author), author);
        DocumentOp::from_list_op(path, make(list)?, author, counters)
    }

    /// Makes operations of `author` on the text at a path: `make` receives this [`Text`], or an
    /// empty one, and returns the operations of the text. A text that a write has replaced is empty
    /// too; the operations then remove the old characters.
    ///
    /// # Errors
    /// The error of `make`.
    pub fn text_ops(
        &self,
        path: &Path,
        author: impl AsRef<NodeId>,
        make: impl FnOnce(&Text) -> Result<Vec<TextOp>, TextError>,
    ) -> Result<Vec<DocumentOp>, TextError> {
        let author = author.as_ref();
        let mut text = self.texts.get(path).cloned().unwrap_or_default();
        let counters = self.renumbering(text.next_counter(author), author);
        let mut ops: Vec<TextOp> = Vec::new();
        if !text.is_shown() {
            ops.extend(text.clear(author));
        }
        ops.extend(make(&text)?);
        Ok(ops.into_iter().map(|op| DocumentOp::from_text_op(path, op, counters)).collect())
    }

    fn renumbering(&self, part: u32, author: &NodeId) -> Renumbering {
        Renumbering { part, document: self.next_counter(author).max(part) }
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
    /// index. It does not look at the rest of the document: O(depth · log n + size of the value),
    /// plus the length of the written value that contains it.
    pub fn get(&self, path: &Path) -> Option<Value> {
        let keys: Vec<Cow<'_, str>> = path.keys().collect();
        self.get_in(Path::root(), &self.root(), &keys)
    }

    /// Returns the last write of the whole document.
    fn root(&self) -> Cow<'_, Json> {
        let root = self.values.get("").map(Cow::Borrowed);
        root.unwrap_or_else(|| Cow::Owned(Value::Object(<_>::default()).into()))
    }

    /// Returns the value at `keys` below the document or item at the path `at`, whose value is
    /// `written` under the later writes.
    fn get_in(&self, mut at: Path, written: &Json, keys: &[Cow<'_, str>]) -> Option<Value> {
        // The written text at the path. `None` if there is none.
        let mut plain = Some(written.as_str());
        for (depth, key) in keys.iter().enumerate() {
            let below = &keys[depth..];
            if self.text(at.as_str()).is_some() {
                return None;
            }
            if let Some(list) = self.lists.get(&at).filter(|list| !list.is_empty()) {
                let id = list.id_at(index(key)?)?;
                let item = list.item(&id)?;
                return match at.join(&id.to_string()) {
                    Ok(path) => {
                        let written = self.item_value(&path, item);
                        self.get_in(path, &written, &below[1..])
                    }
                    // A path that exceeds the limits has no writes.
                    Err(_) => pointer(item.value().to_value(), &below[1..]),
                };
            }
            // An array, set or number is replaced by an object if there is anything below it.
            if plain.is_some_and(|text| text.starts_with('[')) || self.is_number_or_set(&at) {
                return pointer(self.build(&at, plain.map(checked_value)), below);
            }
            // What was written in an item of a list is shown in the item only.
            if key.starts_with('@') && key.parse::<ElementId>().is_ok() {
                return pointer(checked_value(member(plain?, key)?), &below[1..]);
            }
            let Ok(child) = at.join(key) else { return pointer(checked_value(plain?), below) };
            plain = match self.values.written_at(child.as_str()) {
                Some(written) => written.map(Json::as_str),
                None => plain.and_then(|text| member(text, key)),
            };
            at = child;
        }
        let is_written = plain.is_some();
        let value = self.build(&at, plain.map(checked_value));
        (is_written || !value.is_null()).then_some(value)
    }

    /// Returns `true` if there is a visible counter or set at a path.
    fn is_number_or_set(&self, path: &Path) -> bool {
        self.counters.get(path).is_some_and(Counter::is_visible)
            || self.sets.get(path).is_some_and(|set| set.iter().next().is_some())
    }

    /// Applies everything below a path, and the parts at the path, to the value at the path.
    /// `null` if there is nothing.
    fn build(&self, base: &Path, value: Option<Value>) -> Value {
        let mut value = value.unwrap_or_default();
        self.values.overlay(base, &mut value);
        let suffix = |path: &Path| path.as_str()[base.as_str().len()..].to_owned();
        // What is within items of lists is built with the items.
        let is_own = |path: &Path| items(&path.as_str()[base.as_str().len()..]).next().is_none();
        for (path, counter) in subtree(&self.counters, base)
            .filter(|(path, counter)| counter.is_visible() && is_own(path))
        {
            let suffix = suffix(path);
            let number = value.pointer(&suffix).and_then(Value::as_i64).unwrap_or(0);
            write_at(&mut value, &suffix, Some(number.wrapping_add(counter.value()).into()));
        }
        for (path, set) in subtree(&self.sets, base)
            .filter(|(path, set)| set.iter().next().is_some() && is_own(path))
        {
            write_at(&mut value, &suffix(path), Some(set.to_json()));
        }
        for (path, list) in
            subtree(&self.lists, base).filter(|(path, list)| !list.is_empty() && is_own(path))
        {
            if !self.is_covered(path, base) {
                write_at(&mut value, &suffix(path), Some(self.build_list(path, list)));
            }
        }
        for (path, text) in
            subtree(&self.texts, base).filter(|(path, text)| text.is_shown() && is_own(path))
        {
            if !self.is_covered(path, base) {
                write_at(&mut value, &suffix(path), Some(text.to_json()));
            }
        }
        value
    }

    /// Returns `true` if a list or text is shown above a path, at or below another one.
    fn is_covered(&self, path: &Path, base: &Path) -> bool {
        let mut above =
            ancestors(path.as_str()).take_while(|above| above.len() >= base.as_str().len());
        above.any(|above| {
            self.lists.get(above).is_some_and(|list| !list.is_empty()) || self.text(above).is_some()
        })
    }

    fn build_list(&self, path: &Path, list: &List) -> Value {
        let build = |(id, item): (ElementId, &Item)| match path.join(&id.to_string()) {
            Ok(path) => {
                let written = self.item_value(&path, item).to_value();
                self.build(&path, Some(written))
            }
            // A path that exceeds the limits has no writes.
            Err(_) => item.value().to_value(),
        };
        list.iter().map(build).collect()
    }

    /// Returns the last write of the whole item at a path.
    fn item_value<'a>(&'a self, path: &Path, item: &'a Item) -> Cow<'a, Json> {
        if self.values.latest_write(path.as_str()) <= item.written() {
            return Cow::Borrowed(item.value());
        }
        match self.values.get(path.as_str()) {
            Some(value) => Cow::Borrowed(value),
            None => Cow::Owned(Value::Null.into()),
        }
    }

    /// Hides increments, elements and items up to a stamp, at a path and below it.
    fn hide(&mut self, path: &Path, until: &Stamp) {
        hide_in(&mut self.counters, path, |counter| counter.hide(until));
        hide_in(&mut self.sets, path, |set| set.hide(until));
        hide_in(&mut self.lists, path, |list| list.hide(until));
        hide_in(&mut self.texts, path, |text| text.hide(until));
    }

    /// Counts the elements that an operation inserts.
    fn count_elements(&mut self, op: &DocumentOp, stamp: &Stamp) {
        let Some((first, len)) = op.new_elements() else { return };
        let next = first.saturating_add(len);
        let known = self.counters_of_elements.entry(stamp.id().node().clone()).or_default();
        *known = next.max(*known);
    }

    /// Checks the invariants of all lists and texts. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// Panics if an invariant is violated.
    pub fn assert_invariants(&self) {
        self.lists.values().for_each(List::assert_invariants);
        self.texts.values().for_each(Text::assert_invariants);
    }
}

/// Returns the value at `keys` in a value, as a JSON Pointer.
fn pointer(mut value: Value, keys: &[Cow<'_, str>]) -> Option<Value> {
    for key in keys {
        value = match value {
            Value::Object(mut object) => object.remove(&**key)?,
            Value::Array(mut items) => {
                let index = index(key).filter(|index| *index < items.len())?;
                items.swap_remove(index)
            }
            _ => return None,
        };
    }
    Some(value)
}

/// Reads an index of a JSON Pointer.
fn index(key: &str) -> Option<usize> {
    let is_canonical = key == "0" || key.starts_with(|first: char| matches!(first, '1'..='9'));
    key.parse().ok().filter(|_| is_canonical)
}

/// Converts text that is part of a [`Json`].
fn checked_value(text: &str) -> Value {
    Json::checked(text).to_value()
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

impl Crdt for Document {
    type Op = DocumentOp;
    type Event = Path;
    type Part = Path;

    const NAME: &'static str = "document";
    const VERSION: u32 = 3;

    fn check(op: &DocumentOp) -> Result<(), Malformed> {
        match op.part() {
            Part::Value(op) => Map::check(&op),
            Part::Counter(op) => Counter::check(&op),
            Part::Set(op) => AddWinsSet::check(&op),
            Part::List(op) => List::check(&op),
            Part::Text(op) => Text::check(&op),
        }
    }

    fn admit(&self, op: &DocumentOp, stamp: &Stamp) -> Result<(), Malformed> {
        let path = op.path();
        let next = self.next_counter(stamp.id().node());
        match op.part() {
            Part::List(op) => {
                let none = List::default();
                self.lists.get(path).unwrap_or(&none).admit_from(&op, stamp, next)
            }
            Part::Text(op) => {
                let none = Text::default();
                self.texts.get(path).unwrap_or(&none).admit_from(&op, stamp, next)
            }
            Part::Value(_) | Part::Counter(_) | Part::Set(_) => Ok(()),
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
            Part::Text(op) => part_mut(&mut self.texts, &self.values, path, Text::hide)
                .apply(&op, stamp)
                .is_some(),
        };
        self.count_elements(op, stamp);
        changed.then(|| path.clone())
    }

    fn apply_undone(&mut self, op: &DocumentOp, stamp: &Stamp) {
        let path = op.path();
        match op.part() {
            Part::List(op) => {
                part_mut(&mut self.lists, &self.values, path, List::hide).apply_undone(&op, stamp)
            }
            Part::Text(op) => {
                part_mut(&mut self.texts, &self.values, path, Text::hide).apply_undone(&op, stamp)
            }
            Part::Value(_) | Part::Counter(_) | Part::Set(_) => {}
        }
        self.count_elements(op, stamp);
    }

    fn join(op: &mut DocumentOp, next: &DocumentOp) -> bool {
        op.join(next)
    }

    fn is_effective_at(&self, op: &DocumentOp, stamp: &Stamp) -> bool {
        let is_text = matches!(op.part(), Part::Text(_));
        is_text && self.values.latest_write(op.path().as_str()).is_none_or(|write| write < stamp)
    }

    fn to_json(&self) -> Value {
        self.build(&Path::root(), Some(self.root().to_value()))
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        self.values.diff(&after.values, part);
        diff_keys(&self.counters, &after.counters, |path| part(path.clone()));
        diff_keys(&self.sets, &after.sets, |path| part(path.clone()));
        diff_keys(&self.lists, &after.lists, |path| part(path.clone()));
        diff_keys(&self.texts, &after.texts, |path| part(path.clone()));
    }

    fn shift_times(&mut self, ms: i64) {
        self.values.shift_times(ms);
        self.counters = shifted(&self.counters, ms);
        self.sets = shifted(&self.sets, ms);
        self.lists = shifted(&self.lists, ms);
        self.texts = shifted(&self.texts, ms);
    }

    fn settle(&mut self, coverage: &Coverage) {
        // The floor of an empty part is that of the values, so the part need not be kept.
        let lists = settled(&self.lists, coverage, |_, list| list.has_entries());
        let is_gone = |path: &Path| is_within_gone_item(&lists, path);
        self.counters = settled(&self.counters, coverage, |path, counter| {
            counter.has_entries() && !is_gone(path)
        });
        self.sets = settled(&self.sets, coverage, |path, set| set.has_entries() && !is_gone(path));
        self.texts =
            settled(&self.texts, coverage, |path, text| text.has_entries() && !is_gone(path));
        let gone: Vec<Path> = self.values.paths().filter(|path| is_gone(path)).cloned().collect();
        gone.iter().for_each(|path| self.values.remove_entry(path));
        let kept = lists.iter().filter(|(path, _)| !is_gone(path));
        self.lists = kept.map(|(path, list)| (path.clone(), list.clone())).collect();
        self.values.forget_deletions(coverage);
    }

    fn encode(&self, writer: &mut StateWriter) {
        self.values.encode(writer);
        encode_parts(&self.counters, writer);
        encode_parts(&self.sets, writer);
        encode_parts(&self.lists, writer);
        encode_parts(&self.texts, writer);
        writer.map(&self.counters_of_elements, |writer, node, next| {
            writer.node(node);
            writer.unsigned((*next).into());
        });
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        Ok(Self {
            values: Map::decode(reader)?,
            counters: decode_parts(reader)?,
            sets: decode_parts(reader)?,
            lists: decode_parts(reader)?,
            texts: decode_parts(reader)?,
            counters_of_elements: reader
                .map(|reader| Ok((reader.node()?, reader.unsigned_u32()?)))?,
        })
    }
}

impl_serde!(Document);

/// Writes each part with its path.
fn encode_parts<T: Crdt>(parts: &OrdMap<Path, T>, writer: &mut StateWriter) {
    writer.map(parts, |writer, path, part| {
        path.encode(writer);
        part.encode(writer);
    });
}

/// Reads each part with its path.
fn decode_parts<T: Crdt>(reader: &mut StateReader<'_>) -> Result<OrdMap<Path, T>, LoadError> {
    reader.map(|reader| Ok((Path::decode(reader)?, T::decode(reader)?)))
}

/// Converts the times of each part.
fn shifted<T: Crdt>(parts: &OrdMap<Path, T>, ms: i64) -> OrdMap<Path, T> {
    let shift = |(path, part): (&Path, &T)| {
        let mut part = part.clone();
        part.shift_times(ms);
        (path.clone(), part)
    };
    parts.iter().map(shift).collect()
}

/// Settles each part. Keeps those for which `is_kept` is `true` then.
fn settled<T: Crdt>(
    parts: &OrdMap<Path, T>,
    coverage: &Coverage,
    is_kept: impl Fn(&Path, &T) -> bool,
) -> OrdMap<Path, T> {
    let settle = |(path, part): (&Path, &T)| {
        let mut part = part.clone();
        part.settle(coverage);
        is_kept(path, &part).then(|| (path.clone(), part))
    };
    parts.iter().filter_map(settle).collect()
}

/// Returns `true` if a path is within an item that is gone for good.
fn is_within_gone_item(lists: &OrdMap<Path, List>, path: &Path) -> bool {
    items(path.as_str()).any(|(list, item)| lists.get(list).is_some_and(|list| list.is_gone(&item)))
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
