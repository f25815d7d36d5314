//! What the types share that make the operations from one state to another.

use core::fmt;
use std::borrow::Cow;

use super::{crdt::Crdt, list::ListError, path::PathError, text::TextError, tree::TreeError};
use crate::{
    action::{ActionId, NodeId, Stamp},
    time::WallTime,
};

/// The reason why the operations of [`Crdt::restore_ops`] cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RestoreError {
    /// An operation on a list cannot be made: the author has inserted too many elements.
    List(ListError),
    /// An operation on a text cannot be made: the author has inserted too many elements.
    Text(TextError),
    /// An operation on a tree cannot be made: the author has inserted too many elements, or a node
    /// has too many nodes above it.
    Tree(TreeError),
    /// A part cannot have a path: the names of new items and nodes are longer than the old ones.
    Path(PathError),
}

impl fmt::Display for RestoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::List(error) => error.fmt(f),
            Self::Text(error) => error.fmt(f),
            Self::Tree(error) => error.fmt(f),
            Self::Path(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for RestoreError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(match self {
            Self::List(error) => error,
            Self::Text(error) => error,
            Self::Tree(error) => error,
            Self::Path(error) => error,
        })
    }
}

macro_rules! from {
    ($($variant:ident: $error:ident),*) => {$(
        impl From<$error> for RestoreError {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        }
    )*};
}

from!(List: ListError, Text: TextError, Tree: TreeError, Path: PathError);

/// A list or tree, of which the operations are made one after the other.
pub(super) trait PartEditor<C: Crdt, E> {
    /// Returns the state with the operations so far.
    fn part(&self) -> Cow<'_, C>;

    /// Adds the operation that `make` returns for the state and the author.
    fn edit(
        &mut self,
        make: impl FnOnce(&C, &NodeId) -> Result<C::Op, E>,
    ) -> Result<(), RestoreError>;
}

/// Collects operations, and applies them to a copy of the state.
pub(super) struct OpCollector<C: Crdt> {
    pub(super) state: C,
    pub(super) author: NodeId,
    pub(super) ops: Vec<C::Op>,
    stamp: Stamp,
}

impl<C: Crdt> OpCollector<C> {
    /// Copies a state. The operations are later than all in it.
    pub(super) fn new(state: &C, author: &NodeId) -> Self {
        let time = WallTime::MAX;
        let stamp = Stamp::new(time, ActionId::new(time, author.clone(), 0));
        Self { state: state.clone(), author: author.clone(), ops: Vec::new(), stamp }
    }

    /// Adds an operation.
    pub(super) fn push(&mut self, op: C::Op) {
        let index = u32::try_from(self.ops.len()).unwrap_or(u32::MAX);
        self.state.apply(&op, &self.stamp.of_operation(index));
        self.ops.push(op);
    }
}

impl<C: Crdt, E: Into<RestoreError>> PartEditor<C, E> for OpCollector<C> {
    fn part(&self) -> Cow<'_, C> {
        Cow::Borrowed(&self.state)
    }

    fn edit(
        &mut self,
        make: impl FnOnce(&C, &NodeId) -> Result<C::Op, E>,
    ) -> Result<(), RestoreError> {
        let op = make(&self.state, &self.author).map_err(Into::into)?;
        self.push(op);
        Ok(())
    }
}

/// Returns which of these different numbers are in a longest increasing subsequence: those that
/// need not be moved to sort them. O(n log n): Fredman, "On computing the length of longest
/// increasing subsequences" (1975).
pub(super) fn longest_increasing(numbers: &[usize]) -> Vec<bool> {
    // The index of the smallest last number of a subsequence, for each length.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous = vec![None; numbers.len()];
    for (index, number) in numbers.iter().enumerate() {
        let len = ends.partition_point(|end| numbers[*end] < *number);
        previous[index] = len.checked_sub(1).map(|shorter| ends[shorter]);
        if len == ends.len() {
            ends.push(index);
        } else {
            ends[len] = index;
        }
    }
    let mut is_in = vec![false; numbers.len()];
    let mut next = ends.last().copied();
    while let Some(index) = next {
        is_in[index] = true;
        next = previous[index];
    }
    is_in
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_increasing_subsequence_stays() {
        let staying = |numbers: &[usize]| {
            let is_in = longest_increasing(numbers);
            numbers
                .iter()
                .zip(is_in)
                .filter_map(|(n, is_in)| is_in.then_some(*n))
                .collect::<Vec<_>>()
        };
        let none: Vec<usize> = Vec::new();
        assert_eq!(staying(&[]), none);
        assert_eq!(staying(&[0, 1, 2]), [0, 1, 2]);
        assert_eq!(staying(&[3, 0, 1, 2]), [0, 1, 2]);
        assert_eq!(staying(&[1, 2, 3, 0]), [1, 2, 3]);
        assert_eq!(staying(&[2, 5, 3, 7, 11, 8, 10, 13, 6]), [2, 3, 7, 8, 10, 13]);
    }
}
