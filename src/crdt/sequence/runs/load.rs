//! The tree of given runs.

use std::sync::Arc;

use super::{
    MAX_CHILDREN, MAX_RUNS, MAX_TEXT, Runs,
    node::{Child, Inner, Leaf, Node},
};
use crate::crdt::sequence::{
    names::Element,
    pages::Pages,
    ranges::Ranges,
    run::{MAX_RUN_BYTES, Run},
};

impl Runs {
    /// Creates the tree of runs, whose visible text is given. Their lengths in bytes are set here.
    /// `None` if the text does not have the length of the visible runs, in scalar values; a list
    /// has no text. O(n).
    pub(in crate::crdt::sequence) fn of(runs: Vec<Run>, text: &str) -> Option<Self> {
        let mut leaves: Vec<Leaf> = Vec::new();
        let mut rest = text;
        let is_ascii = text.is_ascii();
        let mut pieces: Vec<(Run, &str)> = Vec::with_capacity(runs.len());
        for mut run in runs {
            while run.is_visible() && !text.is_empty() {
                let end = if is_ascii {
                    run.len.min(MAX_RUN_BYTES) as usize
                } else {
                    let mut ends = rest.char_indices().map(|(at, scalar)| at + scalar.len_utf8());
                    let in_run = ends.by_ref().take(run.len as usize);
                    in_run.take_while(|end| *end <= MAX_RUN_BYTES as usize).last()?
                };
                let (own, after) = rest.split_at_checked(end)?;
                rest = after;
                let len = if is_ascii { end as u32 } else { own.chars().count() as u32 };
                run.bytes = own.len() as u32;
                if len == run.len {
                    pieces.push((run.clone(), own));
                    break;
                }
                let mut part = run.clone();
                run = part.split_off(len, part.bytes);
                pieces.push((part, own));
            }
            if !run.is_visible() || text.is_empty() {
                pieces.push((run, ""));
            }
        }
        if !rest.is_empty() {
            return None;
        }
        for (run, text) in pieces {
            let is_full = |leaf: &Leaf| {
                leaf.runs.len() >= MAX_RUNS * 3 / 4 || leaf.text.len() + text.len() > MAX_TEXT
            };
            if leaves.last().is_none_or(is_full) {
                leaves.push(Leaf::default());
            }
            let leaf = leaves.last_mut()?;
            leaf.runs.push(run);
            leaf.text.push_str(text);
        }
        Some(Self::of_leaves(leaves))
    }

    fn of_leaves(leaves: Vec<Leaf>) -> Self {
        let count = leaves.len() as u32;
        if count == 0 {
            return Self::default();
        }
        let mut runs = Self { nodes: Pages::default(), ..Self::default() };
        let mut starts: Vec<(Element, u32, u32)> = Vec::new();
        let mut level: Vec<Child> = Vec::new();
        for (node, mut leaf) in (0..).zip(leaves) {
            leaf.previous = u32::checked_sub(node, 1);
            leaf.next = Some(node + 1).filter(|next| *next < count);
            starts.extend(leaf.runs.iter().map(|run| (run.first, run.len, node)));
            level.push(Child { node, sum: leaf.sum() });
            runs.nodes.push(Arc::new(Node::Leaf(leaf)));
        }
        while level.len() > 1 {
            let above = level.chunks(MAX_CHILDREN * 3 / 4).map(|children| {
                let inner = Inner { parent: None, children: children.to_vec() };
                let sum = inner.sum();
                let node = runs.nodes.push(Arc::new(Node::Inner(inner)));
                children.iter().for_each(|child| runs.set_parent(child.node, node));
                Child { node, sum }
            });
            level = above.collect();
        }
        runs.root = level[0].node;
        runs.total = level[0].sum.counts;
        starts.sort_unstable();
        starts.dedup_by(|next, own| next.0.node == own.0.node && next.2 == own.2);
        runs.leaves =
            Ranges::of(starts.into_iter().map(|(first, _, leaf)| (first, leaf)).collect());
        runs
    }
}
