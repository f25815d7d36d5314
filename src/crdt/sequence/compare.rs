//! Who has inserted what, and what differs between two states.

use super::{
    Sequence, Unit,
    names::Element,
    run::{Counts, Run},
};
use crate::{action::NodeId, time::WallTime};

impl Sequence {
    /// Calls `part` with the length, author and time of each part of the text, in order.
    pub(in crate::crdt) fn for_authors<'a>(
        &'a self,
        unit: Unit,
        mut part: impl FnMut(u32, &'a NodeId, Option<WallTime>),
    ) {
        for (run, text) in self.runs.iter().filter(|(run, _)| run.is_visible()) {
            let mut piece = Piece { first: run.first, len: run.len, text };
            while piece.len > 0 {
                let next = self.times.starts_after(piece.first).next().map(|(start, _)| start);
                let until = next.map_or(piece.len, |next| next.counter - piece.first.counter);
                let time = self.inserted_at(piece.first);
                let own = piece.take(until.min(piece.len));
                part(own.text_len(unit), self.names.node(run.first.node), time);
            }
        }
    }

    /// Calls `part` with the index and the number of those of some elements that are visible.
    pub(in crate::crdt) fn for_visible(
        &self,
        first: Element,
        len: u32,
        mut part: impl FnMut(u32, u32),
    ) {
        let end = first.plus(len);
        let mut at = first;
        while let Some(place) = self.runs.find(at).filter(|_| at < end) {
            let run = self.runs.run(place);
            let count = (run.len - place.offset).min(end.counter - at.counter);
            if run.is_visible() {
                part(self.runs.visible_before(place), count);
            }
            at = at.plus(count);
        }
    }

    /// Calls `change` with the changes from this text to another state of it, in order.
    pub(in crate::crdt) fn compare<'a>(
        &'a self,
        other: &'a Self,
        unit: Unit,
        mut change: impl FnMut(Change<'a>),
    ) {
        let (before, after, start, end) = self.runs.different_runs(&other.runs, unit);
        change(Change::Kept(start));
        let to_other: Vec<_> = self.names.iter().map(|node| other.names.get(node)).collect();
        let to_own: Vec<_> = other.names.iter().map(|node| self.names.get(node)).collect();
        let renumbered = |element: Element, numbers: &[Option<u32>]| {
            Some(Element { node: numbers[element.node as usize]?, ..element })
        };
        let pieces = |runs: Vec<(&'a Run, &'a str)>| {
            let visible = runs.into_iter().filter(|(run, _)| run.is_visible());
            // The next one is the last of the vector.
            let mut pieces: Vec<Piece<'a>> =
                visible.map(|(run, text)| Piece { first: run.first, len: run.len, text }).collect();
            pieces.reverse();
            pieces
        };
        let (mut before, mut after) = (pieces(before), pieces(after));
        loop {
            let (own, new) = (before.last_mut(), after.last_mut());
            match (own, new) {
                (Some(own), Some(new)) if renumbered(own.first, &to_other) == Some(new.first) => {
                    let len = own.len.min(new.len);
                    new.take(len);
                    change(Change::Kept(own.take(len).text_len(unit)));
                }
                (Some(own), new) => {
                    let hidden = match renumbered(own.first, &to_other) {
                        Some(element) => other.hidden_len(element, own.len),
                        None => own.len,
                    };
                    match new.filter(|_| hidden == 0) {
                        // Both states have both elements in one order, so the new one is not
                        // visible here.
                        Some(new) => {
                            let hidden = match renumbered(new.first, &to_own) {
                                Some(element) => self.hidden_len(element, new.len),
                                None => new.len,
                            };
                            change(Change::Added(new.take(hidden.max(1)).text));
                        }
                        None => change(Change::Removed(own.take(hidden.max(1)).text_len(unit))),
                    }
                }
                (None, Some(new)) => {
                    let len = new.len;
                    change(Change::Added(new.take(len).text));
                }
                (None, None) => break,
            }
            before.pop_if(|piece| piece.len == 0);
            after.pop_if(|piece| piece.len == 0);
        }
        change(Change::Kept(end));
    }

    /// Returns how many elements from one on, up to a number, are not visible, as far as this is
    /// cheap to know.
    fn hidden_len(&self, first: Element, len: u32) -> u32 {
        match self.runs.find(first) {
            Some(place) => {
                let run = self.runs.run(place);
                if run.is_visible() { 0 } else { len.min(run.len - place.offset) }
            }
            None => {
                let next = self.runs.first_from(first);
                next.map_or(len, |next| len.min(next.counter - first.counter))
            }
        }
    }
}

/// A step from one text to another.
#[derive(Clone, Copy, Debug)]
pub(in crate::crdt) enum Change<'a> {
    /// This length is the same.
    Kept(u32),
    /// This length is removed.
    Removed(u32),
    /// This text is added.
    Added(&'a str),
}

/// Visible elements with consecutive counters.
#[derive(Clone, Copy, Debug)]
struct Piece<'a> {
    first: Element,
    len: u32,
    text: &'a str,
}

impl Piece<'_> {
    /// Takes the first elements.
    fn take(&mut self, len: u32) -> Self {
        let bytes = if self.text.len() == self.len as usize {
            len as usize
        } else {
            self.text.char_indices().nth(len as usize).map_or(self.text.len(), |(at, _)| at)
        };
        let (text, rest) = self.text.split_at(bytes);
        let taken = Self { first: self.first, len, text };
        *self = Self { first: self.first.plus(len), len: self.len - len, text: rest };
        taken
    }

    fn text_len(&self, unit: Unit) -> u32 {
        match unit {
            Unit::Scalars => self.len,
            Unit::Bytes => self.text.len() as u32,
            Unit::Utf16 => Counts::of_text(self.text, self.len).utf16,
        }
    }
}
