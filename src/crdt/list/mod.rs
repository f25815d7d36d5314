//! Ordered values with concurrent insertions and moves.

mod edit;
mod item;
mod op;
mod restore;

use core::fmt;
use std::sync::Arc;

use im::OrdMap;
use serde_json::Value;

pub use edit::ListError;
pub use item::Item;
pub use op::ListOp;
pub(super) use restore::{restore_items, staying_items};

use super::{
    crdt::Crdt,
    element::{ElementId, ElementRef, check_origins},
    map::diff_keys,
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde, damaged},
    sequence::{Insertion, Sequence, Standing},
};
use crate::{
    action::{NodeId, Stamp},
    json::Json,
    replay::{Coverage, Malformed},
};

/// A list of values. Each item has a place and a value, both last-write-wins registers, so a move
/// is one operation, and an item that is moved concurrently has one place: Kleppmann, "Moving
/// Elements in List CRDTs" (2020). For the order of places, see
/// [`Text`](super::Text).
///
/// An item is named by the [`ElementId`] of its first place. A removed item stays removed, even if
/// it is moved or written concurrently; an undo of the removal restores it until a snapshot settles
/// the removal. An operation on an item that was not inserted yet takes effect when the item is
/// inserted.
#[derive(Clone, Default, PartialEq)]
pub struct List {
    /// All places, of which those of visible items are visible.
    sequence: Sequence,
    items: OrdMap<ElementId, Arc<Item>>,
    /// The items of the places that moves have made.
    moved: OrdMap<ElementId, ElementId>,
    /// Items inserted up to this stamp are hidden: a write in the document has replaced them.
    floor: Option<Stamp>,
}

/// The maximum number of items that an operation inserts.
pub const MAX_ITEMS: usize = 100_000;

/// A change of a list. Indexes are those after the change; the index of a removed item, and `from`,
/// are those before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListEvent {
    /// An item was inserted at an index.
    Inserted(usize, ElementId),
    /// An item was moved.
    Moved {
        /// The previous index.
        from: usize,
        /// The new index.
        to: usize,
    },
    /// The item at an index has a new value.
    Set(usize),
    /// The item at an index was removed.
    Removed(usize, ElementId),
}

/// Reading.
impl List {
    /// Returns the number of items.
    pub fn len(&self) -> usize {
        self.sequence.len() as usize
    }

    /// Returns `true` if the list has no items.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the value at an index. O(log n).
    pub fn get(&self, index: usize) -> Option<&Json> {
        self.items.get(&self.id_at(index)?).map(|item| item.value())
    }

    /// Returns the name of the item at an index. O(log n).
    pub fn id_at(&self, index: usize) -> Option<ElementId> {
        let place = self.sequence.at(u32::try_from(index).ok()?)?;
        Some(self.item_of(self.sequence.id(place)))
    }

    /// Returns the index of an item. O(log n).
    pub fn index_of(&self, item: &ElementId) -> Option<usize> {
        self.index_of_place(self.place_of(item)?)
    }

    /// Returns the items with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (ElementId, &Item)> {
        self.sequence.iter().filter_map(|place| {
            let id = self.item_of(self.sequence.id(place));
            let item = self.items.get(&id)?;
            Some((id, &**item))
        })
    }

    /// Returns the counter of the next place that a node makes.
    pub fn next_counter(&self, author: &NodeId) -> u32 {
        self.sequence.next_counter(author)
    }

    /// Returns the item with a name, if there is one.
    pub(super) fn item(&self, id: &ElementId) -> Option<&Item> {
        self.items.get(id).map(|item| &**item)
    }

    /// Returns `true` if an item was removed for good: a snapshot has settled its removal.
    pub(super) fn is_gone(&self, id: &ElementId) -> bool {
        !self.items.contains_key(id)
            && self.sequence.element(id).is_some_and(|element| self.sequence.contains(element))
    }

    /// Returns `true` if anything is known, also what is not visible.
    pub(super) fn has_entries(&self) -> bool {
        !self.items.is_empty() || !self.sequence.is_untouched()
    }

    /// Returns the item that a place belongs to. If an insertion and a move have the same name, the
    /// place is that of the inserted item.
    fn item_of(&self, place: ElementId) -> ElementId {
        let is_first =
            |place: &ElementId| self.items.get(place).is_some_and(|item| item.inserted.is_some());
        match self.moved.get(&place) {
            Some(item) if !is_first(&place) => item.clone(),
            _ => place,
        }
    }

    /// Returns the place of a visible item.
    fn place_of<'a>(&'a self, item: &'a ElementId) -> Option<&'a ElementId> {
        let place = self.items.get(item)?.place(item, self.floor.as_ref())?;
        (place == item || self.item_of(place.clone()) == *item).then_some(place)
    }

    fn index_of_place(&self, place: &ElementId) -> Option<usize> {
        let (index, is_visible) = self.sequence.index_of(self.sequence.element(place)?)?;
        is_visible.then_some(index as usize)
    }
}

/// Applying operations.
impl List {
    /// Hides all items that were inserted up to a stamp. O(n log n) if the stamp is later than
    /// those of earlier calls.
    pub(super) fn hide(&mut self, until: &Stamp) {
        if self.floor.as_ref().is_some_and(|floor| floor >= until) {
            return;
        }
        self.floor = Some(until.clone());
        let visible: Vec<ElementId> =
            self.sequence.iter().map(|element| self.sequence.id(element)).collect();
        visible.iter().for_each(|place| self.show(place));
    }

    /// Shows a place if it is that of its item, and hides it otherwise.
    fn show(&mut self, place: &ElementId) {
        let is_visible = self.place_of(&self.item_of(place.clone())) == Some(place);
        if let Some(element) = self.sequence.element(place) {
            self.sequence.set_visible(element, is_visible);
        }
    }

    /// Checks that an operation follows from the state, where `next` is the counter of the author's
    /// next element.
    pub(super) fn admit_from(
        &self,
        op: &ListOp,
        stamp: &Stamp,
        next: u32,
    ) -> Result<(), Malformed> {
        let author = stamp.id().node();
        match op {
            ListOp::Insert { first, after, before, .. } => {
                self.sequence.admit(*first, next, [after, before], author)
            }
            ListOp::Move { item, first, after, before } => {
                self.sequence.admit_element(item, author)?;
                self.sequence.admit(*first, next, [after, before], author)
            }
            ListOp::Set { item, .. } | ListOp::Remove { item } => {
                self.sequence.admit_element(item, author)
            }
        }
    }

    /// Inserts places. They are visible if `standing` says so.
    fn insert_places(
        &mut self,
        (first, len): (u32, u32),
        (after, before): (&Option<ElementRef>, &Option<ElementRef>),
        standing: Standing,
        stamp: &Stamp,
    ) {
        let author = stamp.id().node();
        let insertion = Insertion {
            first,
            len,
            text: "",
            after: after.as_ref().map(|after| after.parts(author)),
            before: before.as_ref().map(|before| before.parts(author)),
            standing,
        };
        let own = ElementId::new(author.clone(), first);
        for (element, count) in self.sequence.insert(&insertion, stamp) {
            let is_whole = count == len && self.sequence.id(element) == own;
            if standing == Standing::Removed || !is_whole {
                for offset in 0..count {
                    self.show(&self.sequence.id(element.plus(offset)));
                }
            }
        }
    }

    /// Changes an item and shows its place. `change` returns whether it changed the item.
    fn change_item(
        &mut self,
        id: &ElementId,
        change: impl FnOnce(&mut Item) -> bool,
    ) -> Option<ListEvent> {
        let floor = self.floor.as_ref();
        let mut item = self.items.get(id).map(|item| (**item).clone()).unwrap_or_default();
        let before = item.place(id, floor).cloned();
        if !change(&mut item) {
            return None;
        }
        let after = item.place(id, floor).cloned();
        self.items.insert(id.clone(), Arc::new(item));
        if before == after {
            return after.and_then(|place| self.index_of_place(&place)).map(ListEvent::Set);
        }
        let from = before.and_then(|place| {
            let index = self.index_of_place(&place);
            self.show(&place);
            index
        });
        let to = after.and_then(|place| {
            self.show(&place);
            self.index_of_place(&place)
        });
        match (from, to) {
            (Some(from), Some(to)) => Some(ListEvent::Moved { from, to }),
            (Some(from), None) => Some(ListEvent::Removed(from, id.clone())),
            (None, Some(to)) => Some(ListEvent::Inserted(to, id.clone())),
            (None, None) => None,
        }
    }

    fn insert_items(
        &mut self,
        first: u32,
        values: &[Json],
        origins: (&Option<ElementRef>, &Option<ElementRef>),
        stamp: &Stamp,
    ) -> Vec<ListEvent> {
        let author = stamp.id().node();
        // A settled operation has the names that it has got.
        let len = values.len() as u32;
        let free: Vec<u32> = self.sequence.unsettled_claims(author, first, len).collect();
        let mut is_visible = free.len() == values.len();
        for counter in &free {
            let id = ElementId::new(author.clone(), *counter);
            let value = values[(counter - first) as usize].clone();
            let mut item = self.items.get(&id).map(|item| (**item).clone()).unwrap_or_default();
            if item.inserted.as_ref().is_none_or(|inserted| inserted < stamp) {
                item.inserted = Some(stamp.clone());
            }
            item.value.set(value, stamp);
            is_visible &= item.place(&id, self.floor.as_ref()) == Some(&id);
            self.items.insert(id, Arc::new(item));
        }
        is_visible &= self.moved.is_empty();
        let len_before = self.len();
        let standing = if is_visible { Standing::Visible } else { Standing::Removed };
        self.insert_places((first, len), origins, standing, stamp);
        if !is_visible {
            // Items may have been moved before they arrived.
            for counter in free {
                let id = ElementId::new(author.clone(), counter);
                let place = self.place_of(&id).cloned();
                self.show(&id);
                place.iter().for_each(|place| self.show(place));
            }
        }
        if self.len() == len_before {
            return Vec::new();
        }
        let event = |counter: u32| {
            let id = ElementId::new(author.clone(), counter);
            Some(ListEvent::Inserted(self.index_of(&id)?, id))
        };
        (first..first + len).filter_map(event).collect()
    }

    /// Checks that the order contains the visible items. For tests and fuzzers. O(n log n).
    ///
    /// # Panics
    /// Panics if it does not.
    pub fn assert_invariants(&self) {
        self.sequence.assert_invariants();
        let (visible, places) = self.places();
        assert_eq!(visible, places, "the visible places are those of the visible items");
    }

    /// Returns `true` if a visible item has the place of an undone operation.
    fn has_undone_place(&self) -> bool {
        let places = self.items.keys().filter_map(|id| self.place_of(id));
        let mut elements = places.filter_map(|place| self.sequence.element(place));
        elements.any(|own| self.sequence.contains(own) && !self.sequence.is_in_effect(own))
    }

    /// Returns the visible places, and those of the visible items, sorted.
    fn places(&self) -> (Vec<ElementId>, Vec<ElementId>) {
        let mut visible: Vec<ElementId> =
            self.sequence.iter().map(|element| self.sequence.id(element)).collect();
        visible.sort();
        let has_place = |place: &ElementId| {
            let element = self.sequence.element(place);
            element.is_some_and(|element| self.sequence.is_in_effect(element))
        };
        let places = self.items.keys().filter_map(|id| self.place_of(id));
        let mut places: Vec<ElementId> = places.filter(|place| has_place(place)).cloned().collect();
        places.sort();
        (visible, places)
    }
}

impl_serde!(List);

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter().map(|(_, item)| item.value())).finish()
    }
}

impl Crdt for List {
    type Op = ListOp;
    type Event = Vec<ListEvent>;
    type Part = ElementId;

    const NAME: &'static str = "list";
    const VERSION: u32 = 2;

    fn check(op: &ListOp) -> Result<(), Malformed> {
        match op {
            ListOp::Insert { first, values, after, before } => {
                if values.is_empty() || values.len() > MAX_ITEMS {
                    return Err(Malformed::new(format!(
                        "expected 1 to {MAX_ITEMS} values, got {}",
                        values.len()
                    )));
                }
                check_origins(*first, values.len() as u32, [after, before])
            }
            ListOp::Move { first, after, before, .. } => check_origins(*first, 1, [after, before]),
            ListOp::Set { .. } | ListOp::Remove { .. } => Ok(()),
        }
    }

    fn admit(&self, op: &ListOp, stamp: &Stamp) -> Result<(), Malformed> {
        self.admit_from(op, stamp, self.next_counter(stamp.id().node()))
    }

    fn apply(&mut self, op: &ListOp, stamp: &Stamp) -> Option<Vec<ListEvent>> {
        let author = stamp.id().node();
        let event = match op {
            ListOp::Insert { first, values, after, before } => {
                let events = self.insert_items(*first, values, (after, before), stamp);
                return (!events.is_empty()).then_some(events);
            }
            ListOp::Move { item, first, after, before } => {
                let (item, place) = (item.id(author), ElementId::new(author.clone(), *first));
                self.sequence.unsettled_claims(author, *first, 1).next()?;
                // Of several moves with one name, all replicas take the same.
                let moved = self.moved.entry(place.clone()).or_insert_with(|| item.clone());
                *moved = item.clone().max(moved.clone());
                self.insert_places((*first, 1), (after, before), Standing::Removed, stamp);
                self.show(&place);
                self.change_item(&item, |item| item.position.set(place, stamp).is_some())
            }
            ListOp::Set { item, value } => self.change_item(&item.id(author), |item| {
                item.value.set(value.clone(), stamp).is_some()
            }),
            ListOp::Remove { item } => self.change_item(&item.id(author), |item| {
                !core::mem::replace(&mut item.is_removed, true)
            }),
        };
        event.map(|event| vec![event])
    }

    fn apply_undone(&mut self, op: &ListOp, stamp: &Stamp) {
        let (first, len, origins) = match op {
            ListOp::Insert { first, values, after, before } => {
                (*first, values.len() as u32, (after, before))
            }
            ListOp::Move { first, after, before, .. } => (*first, 1, (after, before)),
            ListOp::Set { .. } | ListOp::Remove { .. } => return,
        };
        self.insert_places((first, len), origins, Standing::Undone, stamp);
    }

    fn to_json(&self) -> Value {
        self.iter().map(|(_, item)| item.value().to_value()).collect()
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(ElementId)) {
        diff_keys(&self.items, &after.items, |id| part(id.clone()));
    }

    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<ListOp>, RestoreError> {
        self.ops_to(target, author)
    }

    fn encode(&self, writer: &mut StateWriter) {
        writer.optional_stamp(self.floor.as_ref());
        writer.map(&self.items, |writer, id, item| {
            writer.element_id(id);
            item.encode(writer);
        });
        writer.map(&self.moved, |writer, place, item| {
            writer.element_id(place);
            writer.element_id(item);
        });
        self.sequence.encode(writer);
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let list = Self {
            floor: reader.optional_stamp()?,
            items: reader
                .map(|reader| Ok((reader.element_id()?, Arc::new(Item::decode(reader)?))))?,
            moved: reader.map(|reader| Ok((reader.element_id()?, reader.element_id()?)))?,
            sequence: Sequence::decode(reader)?,
        };
        let (visible, places) = list.places();
        if visible != places || list.has_undone_place() {
            return Err(damaged("the places of the visible items"));
        }
        Ok(list)
    }

    fn shift_times(&mut self, ms: i64) {
        let shifted = |(id, item): (&ElementId, &Arc<Item>)| {
            let mut item = Item::clone(item);
            item.shift_times(ms);
            (id.clone(), Arc::new(item))
        };
        self.items = self.items.iter().map(shifted).collect();
        self.floor = self.floor.as_ref().map(|floor| floor.shifted(ms));
        self.sequence.shift_times(ms);
    }

    fn settle(&mut self, _: &Coverage) {
        self.sequence.settle();
        // An item that was inserted, and is not visible now, never will be.
        let is_gone = |id: &ElementId, item: &Item| {
            item.inserted.is_some() && item.place(id, self.floor.as_ref()).is_none()
        };
        let gone: Vec<ElementId> = self
            .items
            .iter()
            .filter(|(id, item)| {
                is_gone(id, item)
                    && self.sequence.element(id).is_some_and(|id| self.sequence.contains(id))
            })
            .map(|(id, _)| id.clone())
            .collect();
        for id in gone {
            self.items.remove(&id);
        }
        let known = self.moved.iter().filter(|(_, item)| self.items.contains_key(*item));
        self.moved = known.map(|(place, item)| (place.clone(), item.clone())).collect();
    }
}
