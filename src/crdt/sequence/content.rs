//! What of a sequence is equal on all replicas.

use std::sync::Arc;

use super::{
    Sequence, Waiting,
    names::Element,
    run::{Run, Side, Standing},
};
use crate::crdt::element::ElementId;

impl Sequence {
    /// Returns all elements in their order, in the largest possible runs, with their text.
    pub(super) fn normal_runs(&self) -> Vec<(Run, String)> {
        let mut runs: Vec<(Run, String)> = Vec::new();
        for (run, text) in self.runs.iter() {
            match runs.last_mut() {
                Some((last, own)) if last.standing == run.standing && last.continues(run) => {
                    last.len += run.len;
                    last.bytes += run.bytes;
                    own.push_str(text);
                }
                _ => runs.push((run.clone(), text.to_owned())),
            }
        }
        runs
    }
}

/// Equal are sequences with the same elements in the same order, and the same operations that wait
/// for others. Times are not compared.
impl PartialEq for Sequence {
    fn eq(&self, other: &Self) -> bool {
        self.runs.total() == other.runs.total()
            && (self.is_clone_of(other) || self.content() == other.content())
    }
}

impl Sequence {
    /// Returns `true` if two sequences share all runs, and have nothing else. O(n / 1,000).
    fn is_clone_of(&self, other: &Self) -> bool {
        let has_runs_only = |one: &Self| one.waiting.is_empty() && one.removed.is_empty();
        self.runs.is_clone_of(&other.runs) && has_runs_only(self) && has_runs_only(other)
    }
}

/// An insertion that waits: first element, length, text, origins and standing.
type ContentWaiting = (ElementId, u32, Arc<str>, Option<ElementId>, Option<ElementId>, Standing);

/// All of a sequence that is equal on all replicas, with names in place of numbers.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Content {
    runs: Vec<ContentRun>,
    waiting: Vec<ContentWaiting>,
    removed: Vec<(ElementId, u32)>,
}

#[derive(Clone, Debug, PartialEq)]
struct ContentRun {
    first: ElementId,
    len: u32,
    text: String,
    depth: u32,
    right: Option<ElementId>,
    side: Side,
    standing: Standing,
}

impl Sequence {
    pub(super) fn content(&self) -> Content {
        let name = |element: Option<Element>| element.map(|element| self.id(element));
        let run = |(run, text): (Run, String)| ContentRun {
            first: self.id(run.first),
            len: run.len,
            text,
            depth: run.depth,
            right: name(run.right),
            side: run.side,
            standing: run.standing,
        };
        let of_waiting = |own: &Waiting| {
            let Waiting { first, len, text, after, before, standing } = own.clone();
            (self.id(first), len, text, name(after), name(before), standing)
        };
        let mut waiting: Vec<_> = self.waiting.values().map(of_waiting).collect();
        waiting.sort_by(|a, b| a.0.cmp(&b.0));
        let mut removed: Vec<_> =
            self.removed.iter().map(|(first, len)| (self.id(*first), *len)).collect();
        removed.sort();
        Content { runs: self.normal_runs().into_iter().map(run).collect(), waiting, removed }
    }
}
