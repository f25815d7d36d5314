//! The nodes of the tree.

use crate::crdt::sequence::run::{Counts, Run, Sum, range};

/// A node of the tree. Its parent, neighbours and children are numbers of nodes.
#[derive(Clone, Debug)]
pub(super) enum Node {
    Leaf(Leaf),
    Inner(Inner),
}

#[derive(Clone, Debug, Default)]
pub(super) struct Leaf {
    pub(super) parent: Option<u32>,
    pub(super) previous: Option<u32>,
    pub(super) next: Option<u32>,
    pub(super) runs: Vec<Run>,
    /// The text of the visible runs.
    pub(super) text: String,
}

#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) parent: Option<u32>,
    pub(super) children: Vec<Child>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) node: u32,
    pub(super) sum: Sum,
}

impl Leaf {
    /// Returns the length of the text before a run.
    pub(super) fn bytes_before(&self, run: usize) -> u32 {
        self.runs[..run].iter().map(|run| run.bytes).sum()
    }

    pub(super) fn text_of(&self, run: usize) -> &str {
        &self.text[range(self.bytes_before(run), &self.runs[run])]
    }

    /// Returns the runs with their text.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Run, &str)> {
        let mut before = 0;
        self.runs.iter().map(move |run| {
            let text = &self.text[range(before, run)];
            before += run.bytes;
            (run, text)
        })
    }

    pub(super) fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        self.iter().for_each(|(run, text)| sum.add_run(run, Counts::of(run, text)));
        sum
    }

    /// Splits a run before the element at an offset. Returns the index of the second part.
    pub(super) fn split_run(&mut self, run: usize, offset: u32) -> usize {
        if offset == 0 {
            return run;
        }
        if offset < self.runs[run].len {
            let bytes = self.runs[run].bytes_until(offset, self.text_of(run));
            let rest = self.runs[run].split_off(offset, bytes);
            self.runs.insert(run + 1, rest);
        }
        run + 1
    }

    /// Makes the run after an index a part of the run at this index, if possible.
    pub(super) fn merge_with_next(&mut self, run: usize) {
        if let [own, next, ..] = &mut self.runs[run..]
            && own.accepts(next)
        {
            own.len += next.len;
            own.bytes += next.bytes;
            self.runs.remove(run + 1);
        }
    }
}

impl Inner {
    pub(super) fn index_of(&self, node: u32) -> usize {
        self.children.iter().position(|child| child.node == node).unwrap_or(0)
    }

    pub(super) fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        self.children.iter().for_each(|child| sum.add(&child.sum));
        sum
    }
}
