//! Replicas that perform a history, and its actions in several orders of arrival.

use core::fmt::Debug;

use logux::{
    ActionId, Entry, Meta, NodeId, Stamp, WallTime,
    crdt::{Anchor, Crdt, Document, Path, Shared, Text, Unit},
};
use rand::{Rng as _, SeedableRng as _, seq::SliceRandom as _};
use rand_chacha::ChaCha8Rng;

use crate::trace::{Patch, Step, Trace};

/// A type with one text.
pub(crate) trait Edited: Crdt {
    fn ops(&self, patch: &Patch, author: &NodeId) -> Vec<Self::Op>;
    /// The text, if there was one.
    fn as_text(&self) -> Option<&Text>;
    fn check_invariants(&self);

    fn text(&self) -> String {
        self.as_text().map(Text::to_string).unwrap_or_default()
    }
}

impl Edited for Text {
    fn ops(&self, patch: &Patch, author: &NodeId) -> Vec<Self::Op> {
        let range = patch.at..patch.at + patch.removed;
        self.replace_ops(range, &patch.inserted, Unit::Scalars, author).unwrap()
    }

    fn as_text(&self) -> Option<&Text> {
        Some(self)
    }

    fn check_invariants(&self) {
        self.assert_invariants();
    }
}

impl Edited for Document {
    fn ops(&self, patch: &Patch, author: &NodeId) -> Vec<Self::Op> {
        let path = Path::of(&["body"]).unwrap();
        self.text_ops(&path, author, |text| {
            let range = patch.at..patch.at + patch.removed;
            text.replace_ops(range, &patch.inserted, Unit::Scalars, author)
        })
        .unwrap()
    }

    fn as_text(&self) -> Option<&Text> {
        Self::text(self, "/body")
    }

    fn check_invariants(&self) {
        self.assert_invariants();
    }
}

/// An action with several operations.
#[derive(Clone, Debug)]
pub(crate) struct Edit<C: Crdt> {
    pub(crate) id: ActionId,
    pub(crate) ops: Vec<C::Op>,
    pub(crate) author: usize,
    pub(crate) known: Vec<usize>,
}

impl<C: Crdt> Edit<C> {
    pub(crate) fn apply(&self, state: &mut C) {
        let stamp = Stamp::new(self.id.time(), self.id.clone());
        for (index, op) in (0..).zip(&self.ops) {
            state.apply(op, &stamp.of_operation(index));
        }
    }

    pub(crate) fn entry(&self) -> Entry {
        let action = Shared::<C>::new("it", "1").action(&self.ops).unwrap();
        Entry::new(action, Meta::new(self.id.clone()))
    }
}

/// A history as its authors perform it: each has a replica, which has received what the author
/// knew.
pub(crate) struct History<C: Edited> {
    pub(crate) replicas: Vec<C>,
    pub(crate) edits: Vec<Edit<C>>,
    /// Places in the text, which authors have noted.
    pub(crate) anchors: Vec<Anchor>,
    nodes: Vec<NodeId>,
    known: Vec<Vec<usize>>,
    /// The indexes of the edits of each author.
    edits_of: Vec<Vec<usize>>,
}

impl<C: Edited> History<C> {
    pub(crate) fn new(authors: usize) -> Self {
        let node = |author: usize| NodeId::new(format!("{}:a:x", (author + 1) * 10)).unwrap();
        Self {
            replicas: vec![C::default(); authors],
            edits: Vec::new(),
            anchors: Vec::new(),
            nodes: (0..authors).map(node).collect(),
            known: vec![vec![0; authors]; authors],
            edits_of: vec![Vec::new(); authors],
        }
    }

    /// Performs all steps. At the end, all authors have received everything.
    pub(crate) fn of(trace: &Trace) -> Self {
        let mut history = Self::new(trace.authors);
        for (index, step) in trace.steps.iter().enumerate() {
            history.perform(step);
            if index % 50 == 0 {
                history.note(step.author, index);
            }
        }
        (0..trace.authors).for_each(|author| history.receive_all(author));
        history
    }

    pub(crate) fn known(&self, author: usize) -> &[usize] {
        &self.known[author]
    }

    pub(crate) fn receive_all(&mut self, author: usize) {
        let all: Vec<usize> = self.edits_of.iter().map(Vec::len).collect();
        self.receive(author, &all);
    }

    fn receive(&mut self, author: usize, known: &[usize]) {
        let mut missing: Vec<usize> = Vec::new();
        for (other, count) in known.iter().enumerate() {
            let own = &mut self.known[author][other];
            missing.extend(self.edits_of[other].get(*own..*count).unwrap_or_default());
            *own = (*own).max(*count);
        }
        missing.sort_unstable();
        for edit in missing {
            self.edits[edit].apply(&mut self.replicas[author]);
        }
    }

    pub(crate) fn perform(&mut self, step: &Step) {
        let Step { author, known, patches } = step;
        self.receive(*author, known);
        // About six keys a second, one after the other.
        let time = 1_700_000_000_000 + self.edits.len() as i64 * 150;
        let node = self.nodes[*author].clone();
        let id = ActionId::new(WallTime::from_millis(time), node.clone(), 0);
        let mut edit = Edit { id, ops: Vec::new(), author: *author, known: known.clone() };
        let state = &mut self.replicas[*author];
        let stamp = Stamp::new(edit.id.time(), edit.id.clone());
        for patch in patches {
            for op in state.ops(patch, &node) {
                C::check(&op).unwrap();
                let index = u32::try_from(edit.ops.len()).unwrap();
                state.apply(&op, &stamp.of_operation(index));
                edit.ops.push(op);
            }
        }
        self.known[*author][*author] += 1;
        self.edits_of[*author].push(self.edits.len());
        self.edits.push(edit);
    }

    /// Notes a place of an author's text.
    fn note(&mut self, author: usize, number: usize) {
        if let Some(text) = self.replicas[author].as_text() {
            let at = number * 7_919 % (text.len(Unit::Scalars) + 1);
            self.anchors.push(text.anchor_after(at, Unit::Scalars).unwrap());
            self.anchors.push(text.anchor_before(at, Unit::Scalars).unwrap());
        }
    }
}

/// The order in which actions arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Arrival {
    /// That of the trace.
    InOrder,
    /// Each action after those that its author knew.
    Causal(u64),
    Reversed,
    Any(u64),
}

impl Arrival {
    pub(crate) const ALL: [Self; 5] =
        [Self::InOrder, Self::Causal(1), Self::Causal(2), Self::Reversed, Self::Any(3)];

    /// Returns the indexes of edits in this order.
    pub(crate) fn order<C: Crdt>(self, edits: &[Edit<C>]) -> Vec<usize> {
        let mut order: Vec<usize> = (0..edits.len()).collect();
        match self {
            Self::InOrder => {}
            Self::Causal(seed) => return causal(edits, &mut ChaCha8Rng::seed_from_u64(seed)),
            Self::Reversed => order.reverse(),
            Self::Any(seed) => order.shuffle(&mut ChaCha8Rng::seed_from_u64(seed)),
        }
        order
    }
}

/// Lets random authors go as far ahead as causality allows.
fn causal<C: Crdt>(edits: &[Edit<C>], random: &mut ChaCha8Rng) -> Vec<usize> {
    let authors = edits.first().map_or(0, |edit| edit.known.len());
    let mut left: Vec<Vec<usize>> = vec![Vec::new(); authors];
    edits.iter().enumerate().rev().for_each(|(index, edit)| left[edit.author].push(index));
    let mut done = vec![0; authors];
    let mut order = Vec::with_capacity(edits.len());
    let mut author = 0;
    while order.len() < edits.len() {
        let is_ready = |author: usize| {
            let next = left[author].last().map(|index| &edits[*index]);
            next.is_some_and(|edit| edit.known.iter().zip(&done).all(|(known, done)| known <= done))
        };
        let ready: Vec<usize> = (0..authors).filter(|author| is_ready(*author)).collect();
        if !ready.contains(&author) || random.random_ratio(1, 100) {
            author = ready[random.random_range(0..ready.len())];
        }
        order.extend(left[author].pop());
        done[author] += 1;
    }
    order
}
