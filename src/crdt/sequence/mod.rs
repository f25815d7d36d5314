//! The order of all elements of a text or list, also of the removed ones.
//!
//! The order is that of FugueMax: Weidner and Kleppmann, "The Art of the Fugue: Minimizing
//! Interleaving in Collaborative Text Editing" (2023). Each element is a child of another one, on
//! its left or right side; the order is that of a walk through the tree. What one node inserts in
//! one place, forwards or backwards, stays together beside concurrent insertions.
//!
//! Elements are in runs: consecutive counters of one node, each the right child of the one before.
//! Runs are the entries of a B+ tree with two depths, by which the subtree of an element is found
//! without a link to its children.
//!
//! Reading order: `names`; `pages`, `ranges` and `slices`; `run`; `runs`; `order`; `claims`;
//! `compare`; `content`; `saved`; this file.

mod claims;
mod compare;
mod content;
mod names;
mod order;
mod pages;
mod ranges;
mod run;
mod runs;
mod saved;
mod slices;

use core::ops::Range;
use std::sync::Arc;

use im::OrdMap;
use smallvec::SmallVec;

pub use run::Unit;
pub(in crate::crdt) use {
    compare::Change,
    names::Element,
    pages::Pages,
    run::{Side, Standing},
};

use claims::Claims;
use names::Names;
use ranges::{Ranges, add_range, take_ranges};
use run::{MAX_RUN_BYTES, Run};
use runs::{Place, Runs};
use slices::Slices;

use super::element::{ElementId, ElementRef};
use crate::{
    action::{NodeId, Stamp},
    replay::Malformed,
    time::WallTime,
};

/// The elements of a text or list in their order. Clones share their common structure.
#[derive(Clone, Debug, Default)]
pub(in crate::crdt) struct Sequence {
    names: Names,
    runs: Runs,
    claims: Claims,
    /// When the elements were inserted, in milliseconds, rounded down to minutes.
    times: Ranges<i64>,
    /// Insertions whose origins are unknown, by an unknown origin and the first new element.
    waiting: OrdMap<(Element, Element), Waiting>,
    /// Elements that were removed, and whose insertion has not arrived or is undone: the number of
    /// counters from each key on.
    removed: OrdMap<Element, u32>,
}

/// An insertion of consecutive elements.
#[derive(Clone, Copy, Debug)]
pub(in crate::crdt) struct Insertion<'a> {
    /// The counter of the first element.
    pub(in crate::crdt) first: u32,
    pub(in crate::crdt) len: u32,
    /// The text of the elements, one scalar value for each; empty in a list.
    pub(in crate::crdt) text: &'a str,
    /// The origins, by node and counter.
    pub(in crate::crdt) after: Option<(&'a NodeId, u32)>,
    pub(in crate::crdt) before: Option<(&'a NodeId, u32)>,
    pub(in crate::crdt) standing: Standing,
}

/// An insertion whose origins may be unknown.
#[derive(Clone, Debug, PartialEq)]
struct Waiting {
    first: Element,
    len: u32,
    text: Arc<str>,
    after: Option<Element>,
    before: Option<Element>,
    standing: Standing,
}

/// Elements that have got a place in the order: the first ones and the numbers of consecutive
/// counters.
pub(in crate::crdt) type Placed = SmallVec<[(Element, u32); 1]>;

/// The granularity of the times of elements, in milliseconds.
const MINUTE: i64 = 60_000;

/// Reading.
impl Sequence {
    /// Returns the number of visible elements.
    pub(in crate::crdt) fn len(&self) -> u32 {
        self.runs.total().visible
    }

    /// Returns the counter of the next new element of a node.
    pub(in crate::crdt) fn next_counter(&self, node: &NodeId) -> u32 {
        self.names.get(node).map_or(0, |number| self.names.next(number))
    }

    pub(in crate::crdt) fn id(&self, element: Element) -> ElementId {
        self.names.id(element)
    }

    /// Returns the element with a name, if its node is known.
    pub(in crate::crdt) fn element(&self, id: &ElementId) -> Option<Element> {
        self.names.element(id)
    }

    /// Returns `true` if an element has a place in the order.
    pub(in crate::crdt) fn contains(&self, element: Element) -> bool {
        self.runs.find(element).is_some()
    }

    /// Returns `true` if nothing was ever inserted or removed.
    pub(in crate::crdt) fn is_untouched(&self) -> bool {
        self.runs.total().elements == 0 && self.waiting.is_empty() && self.removed.is_empty()
    }

    /// Checks that new elements follow from this state.
    pub(in crate::crdt) fn admit(
        &self,
        first: u32,
        next: u32,
        origins: [&Option<ElementRef>; 2],
        author: &NodeId,
    ) -> Result<(), Malformed> {
        if first < next {
            return Err(Malformed::new(format!(
                "expected a counter of new elements from {next} on, got {first}"
            )));
        }
        origins.into_iter().flatten().try_for_each(|origin| self.admit_element(origin, author))
    }

    /// Checks that an element has a place in the order.
    pub(in crate::crdt) fn admit_element(
        &self,
        element: &ElementRef,
        author: &NodeId,
    ) -> Result<(), Malformed> {
        let id = element.id(author);
        if self.element(&id).is_some_and(|element| self.contains(element)) {
            Ok(())
        } else {
            Err(Malformed::new(format!("expected an element of the document, got {id}")))
        }
    }

    /// Returns those counters of a range that no settled operation has.
    pub(in crate::crdt) fn unsettled_claims(
        &self,
        node: &NodeId,
        first: u32,
        len: u32,
    ) -> impl Iterator<Item = u32> {
        let number = self.names.get(node);
        let is_new = number.is_none_or(|number| self.names.next(number) <= first);
        (first..first + len).filter(move |counter| {
            is_new
                || number
                    .is_none_or(|node| !self.claims.is_settled(Element { node, counter: *counter }))
        })
    }

    /// Returns `true` if an element has a place in the order, and its insertion is not undone.
    pub(in crate::crdt) fn is_in_effect(&self, element: Element) -> bool {
        let place = self.runs.find(element);
        place.is_some_and(|place| self.runs.run(place).standing != Standing::Undone)
    }

    /// Returns the visible element at an index.
    pub(in crate::crdt) fn at(&self, index: u32) -> Option<Element> {
        self.runs.at_visible(index).map(|place| self.runs.element(place))
    }

    /// Returns the number of visible elements before an element, and whether it is visible.
    /// `None` if it has no place in the order.
    pub(in crate::crdt) fn index_of(&self, element: Element) -> Option<(u32, bool)> {
        let place = self.runs.find(element)?;
        Some((self.runs.visible_before(place), self.runs.run(place).is_visible()))
    }

    /// Returns the visible elements of a range of indexes: the first ones and the numbers of
    /// consecutive counters, in order.
    pub(in crate::crdt) fn visible_ranges(&self, range: Range<u32>) -> Vec<(Element, u32)> {
        let mut ranges: Vec<(Element, u32)> = Vec::new();
        let mut rest = range.end.saturating_sub(range.start);
        let mut next = self.runs.at_visible(range.start);
        while let Some(place) = next.filter(|_| rest > 0) {
            let run = self.runs.run(place);
            if run.is_visible() {
                let len = rest.min(run.len - place.offset);
                let first = self.runs.element(place);
                match ranges.last_mut() {
                    Some((last, count)) if last.plus(*count) == first => *count += len,
                    _ => ranges.push((first, len)),
                }
                rest -= len;
            }
            next = self.runs.next_run(place);
        }
        ranges
    }

    /// Returns the visible elements in order.
    pub(in crate::crdt) fn iter(&self) -> impl Iterator<Item = Element> {
        let visible = self.runs.iter().filter(|(run, _)| run.is_visible());
        visible.flat_map(|(run, _)| (0..run.len).map(|offset| run.first.plus(offset)))
    }

    /// Returns `true` if the visible elements have a text, also those that have no place yet.
    pub(in crate::crdt) fn has_text(&self) -> bool {
        let total = self.runs.total();
        let is_shown = |waiting: &Waiting| waiting.standing == Standing::Visible;
        (total.visible == 0 || total.bytes > 0)
            && self.waiting.values().all(|waiting| !is_shown(waiting) || !waiting.text.is_empty())
    }

    /// Returns the length of the text.
    pub(in crate::crdt) fn text_len(&self, unit: Unit) -> u32 {
        self.runs.total().text(unit)
    }

    /// Converts an index of the text.
    pub(in crate::crdt) fn convert(&self, index: u32, from: Unit, to: Unit) -> u32 {
        self.runs.text_before(index, from).text(to)
    }

    /// Returns the number of line breaks of the text.
    pub(in crate::crdt) fn newlines(&self) -> u32 {
        self.runs.total().newlines
    }

    /// Returns the number of line breaks before an index.
    pub(in crate::crdt) fn newlines_before(&self, index: u32, unit: Unit) -> u32 {
        self.runs.text_before(index, unit).newlines
    }

    /// Returns the index after a number of line breaks. `None` if there are not so many.
    pub(in crate::crdt) fn after_newlines(&self, count: u32, unit: Unit) -> Option<u32> {
        let Some(before) = count.checked_sub(1) else { return Some(0) };
        self.runs.before_newline(before).map(|counts| counts.text(unit) + 1)
    }

    /// Calls `part` with the parts of the text from one byte to another.
    pub(in crate::crdt) fn for_text(&self, bytes: Range<u32>, part: impl FnMut(&str)) {
        self.runs.for_text(bytes, part);
    }
}

/// Changing.
impl Sequence {
    /// Applies an insertion by an operation with this stamp. Returns the elements that have got a
    /// place in the order, also those of insertions that had waited for this one. An operation that
    /// was applied before changes nothing. Of operations in effect that claim the same name for an
    /// element, the one with the lowest id gets it; an undone one only if all are undone.
    pub(in crate::crdt) fn insert(&mut self, insertion: &Insertion<'_>, stamp: &Stamp) -> Placed {
        let Insertion { first, len, text, after, before, standing } = *insertion;
        let node = self.names.number(stamp.id().node());
        let first = Element { node, counter: first };
        let minute = stamp.time().as_millis().div_euclid(MINUTE) * MINUTE;
        let mut number = |origin: Option<(&NodeId, u32)>| {
            origin.map(|(node, counter)| Element { node: self.names.number(node), counter })
        };
        let (after, before) = (number(after), number(before));
        let is_last = first.counter >= self.names.next(node);
        self.names.set_next(node, first.counter + len);
        let is_undone = standing == Standing::Undone;
        let mut placed = Placed::new();
        if is_last {
            self.claims.add(first, len, stamp, is_undone);
            self.times.set(first, len, minute, true);
            self.add(first, len, text, (after, before), standing, true, &mut placed);
        } else {
            let won = self.claims.resolve(first, len, stamp, is_undone);
            if !won.replaced.is_empty() {
                self.rebuild(&won.replaced, !text.is_empty());
            }
            let mut slices = Slices::new(text, len);
            for range in won.all {
                let (start, own) = (first.plus(range.start), range.end - range.start);
                self.times.set(start, own, minute, false);
                let text = slices.next(&range);
                let after =
                    range.start.checked_sub(1).map_or(after, |before| Some(first.plus(before)));
                self.add(start, own, text, (after, before), standing, false, &mut placed);
            }
        }
        placed
    }

    /// Adds an insertion, and those that have waited for it.
    #[allow(clippy::too_many_arguments, reason = "the fields of an insertion, without a copy")]
    fn add(
        &mut self,
        first: Element,
        len: u32,
        text: &str,
        (after, before): (Option<Element>, Option<Element>),
        standing: Standing,
        is_last: bool,
        placed: &mut Placed,
    ) {
        let is_placed =
            self.place_or_wait(first, len, text, (after, before), standing, is_last, placed);
        if is_placed && !self.waiting.is_empty() {
            self.add_waiting(first, len, placed);
        }
    }

    /// Gives elements their place if their origins have one, and returns `true`. Otherwise the
    /// insertion waits.
    #[allow(clippy::too_many_arguments, reason = "the fields of an insertion, without a copy")]
    fn place_or_wait(
        &mut self,
        first: Element,
        len: u32,
        text: &str,
        (after, before): (Option<Element>, Option<Element>),
        standing: Standing,
        is_last: bool,
        placed: &mut Placed,
    ) -> bool {
        let find = |origin: Option<Element>| {
            origin.map_or(Ok(None), |origin| self.runs.find(origin).map(Some).ok_or(origin))
        };
        match (find(after), find(before)) {
            (Ok(left), Ok(right)) => {
                self.place_all((first, len), text, (left, right), before, standing, is_last);
                placed.push((first, len));
                self.remove_early(first, len);
                true
            }
            (Err(missing), _) | (_, Err(missing)) => {
                // Which elements of a list are visible is known when they get their place.
                let is_list = text.is_empty() && standing == Standing::Visible;
                let standing = if is_list { Standing::Removed } else { standing };
                let waiting = Waiting { first, len, text: text.into(), after, before, standing };
                self.waiting.insert((missing, first), waiting);
                false
            }
        }
    }

    /// Adds the insertions that have waited for elements, and those that have waited for them.
    fn add_waiting(&mut self, first: Element, len: u32, placed: &mut Placed) {
        let mut ready: Vec<(Element, u32)> = vec![(first, len)];
        while let Some((first, len)) = ready.pop() {
            let range = (first, Element::MIN)..(first.plus(len), Element::MIN);
            let keys: Vec<_> = self.waiting.range(range).map(|(key, _)| *key).collect();
            let ready_now: Vec<Waiting> =
                keys.iter().filter_map(|key| self.waiting.remove(key)).collect();
            for waiting in ready_now {
                let Waiting { first, len, text, after, before, standing } = waiting;
                let origins = (after, before);
                if self.place_or_wait(first, len, &text, origins, standing, false, placed) {
                    ready.push((first, len));
                }
            }
        }
    }

    /// Gives elements whose origins have a place their own place.
    fn place_all(
        &mut self,
        (first, len): (Element, u32),
        text: &str,
        (left, right): (Option<Place>, Option<Place>),
        before: Option<Element>,
        standing: Standing,
        is_last: bool,
    ) {
        let mut origin = self.origin(left, right);
        let text = if standing == Standing::Visible { text } else { "" };
        let mut done = 0;
        let mut rest = text;
        while done < len {
            let (part, part_len) = first_part(rest, len - done);
            let run = Run {
                first: first.plus(done),
                len: part_len,
                bytes: part.len() as u32,
                depth: 1,
                open: 1,
                right: before,
                side: origin.side,
                standing,
            };
            self.place(&origin, run, part, is_last);
            done += part_len;
            rest = &rest[part.len()..];
            if done < len {
                let parent = self.runs.find(first.plus(done - 1));
                origin = order::Origin { parent, side: Side::Right };
            }
        }
    }

    /// Removes those of new elements that were removed before they were inserted.
    fn remove_early(&mut self, first: Element, len: u32) {
        if self.removed.is_empty() {
            return;
        }
        for (start, count) in take_ranges(&mut self.removed, first, len) {
            self.remove_range(start, count, &mut |_, _| {});
        }
    }

    /// Removes `len` elements of a node, also those that are inserted later. Calls `hidden` with
    /// the index and the number of elements that were visible.
    pub(in crate::crdt) fn remove(
        &mut self,
        (node, counter): (&NodeId, u32),
        len: u32,
        hidden: &mut dyn FnMut(u32, u32),
    ) {
        let first = Element { node: self.names.number(node), counter };
        self.remove_range(first, len, hidden);
    }

    fn remove_range(&mut self, first: Element, len: u32, hidden: &mut dyn FnMut(u32, u32)) {
        let end = first.plus(len);
        let mut at = first;
        while at < end {
            let rest = end.counter - at.counter;
            let Some(place) = self.runs.find(at) else {
                let next = self.runs.first_from(at).filter(|next| *next < end).unwrap_or(end);
                add_range(&mut self.removed, at, next.counter - at.counter);
                at = next;
                continue;
            };
            let run = self.runs.run(place);
            let count = rest.min(run.len - place.offset);
            match run.standing {
                Standing::Visible => {
                    let index = self.runs.visible_before(place);
                    self.runs.set_standing(place, count, Standing::Removed, "");
                    hidden(index, count);
                }
                Standing::Removed => {}
                Standing::Undone => add_range(&mut self.removed, at, count),
            }
            at = at.plus(count);
        }
    }

    /// Shows or hides an element of a list.
    pub(in crate::crdt) fn set_visible(&mut self, element: Element, is_visible: bool) {
        let standing = if is_visible { Standing::Visible } else { Standing::Removed };
        if let Some(place) = self.runs.find(element)
            && self.runs.run(place).standing != Standing::Undone
            && self.runs.run(place).is_visible() != is_visible
        {
            self.runs.set_standing(place, 1, standing, "");
        }
    }

    /// Settles all operations: their insertions cannot be undone, and win against all others that
    /// claim the same names.
    pub(in crate::crdt) fn settle(&mut self) {
        self.claims.settle();
        let undone: Vec<(Element, u32)> = self
            .runs
            .iter()
            .filter(|(run, _)| run.standing == Standing::Undone)
            .map(|(run, _)| (run.first, run.len))
            .collect();
        for (mut first, mut len) in undone {
            while let Some(place) = self.runs.find(first).filter(|_| len > 0) {
                let count = len.min(self.runs.run(place).len - place.offset);
                self.runs.set_standing(place, count, Standing::Removed, "");
                take_ranges(&mut self.removed, first, count);
                first = first.plus(count);
                len -= count;
            }
        }
    }

    /// Converts the times of the elements to those of a clock that is `ms` milliseconds ahead.
    pub(in crate::crdt) fn shift_times(&mut self, ms: i64) {
        self.times.map(|time| time.saturating_add(ms));
    }

    /// Returns when an element was inserted, rounded down to a minute.
    pub(in crate::crdt) fn inserted_at(&self, element: Element) -> Option<WallTime> {
        self.times.get(element).and_then(WallTime::checked_from_millis)
    }

    /// Checks the structure. O(n log n).
    ///
    /// # Panics
    /// If an invariant is violated.
    pub(in crate::crdt) fn assert_invariants(&self) {
        self.runs.assert_invariants();
        let mut above: Vec<u32> = Vec::new();
        for (run, _) in self.runs.iter() {
            above.retain(|depth| *depth < run.depth);
            above.push(run.depth + run.len - 1);
            assert!(run.depth > 0, "the elements of the first level have the depth 1");
        }
        for (origin, _) in self.waiting.keys() {
            assert!(!self.contains(*origin), "insertions wait for elements without a place");
        }
        for (first, _) in &self.removed {
            let standing = self.runs.find(*first).map(|place| self.runs.run(place).standing);
            assert!(
                standing.is_none_or(|standing| standing == Standing::Undone),
                "an element with a place is not removed early"
            );
        }
    }
}

/// Returns the first part of a text of `len` scalar values that fits into a run, with the number of
/// its scalar values. Elements without a text are in one part.
fn first_part(text: &str, len: u32) -> (&str, u32) {
    if text.len() <= MAX_RUN_BYTES as usize {
        return (text, len);
    }
    let end = text.floor_char_boundary(MAX_RUN_BYTES as usize);
    (&text[..end], text[..end].chars().count() as u32)
}

#[cfg(test)]
mod tests;
