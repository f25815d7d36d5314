//! A sorted sequence with indexes.

use core::mem;
use std::sync::Arc;

/// Sorted items in a B+ tree whose nodes store the number of items below them: insertion, removal,
/// the index of an item and the item at an index are O(log n). Clones share nodes. (`im::OrdMap`
/// has no indexes, and insertion into `im::Vector` is slow.)
#[derive(Clone, Debug)]
pub(super) struct Sequence<T> {
    root: Arc<Node<T>>,
}

/// A leaf with items, or an inner node with children.
#[derive(Clone, Debug)]
enum Node<T> {
    Leaf(Vec<T>),
    Inner(Vec<Child<T>>),
}

/// A child of an inner node, with its first item and its number of items.
#[derive(Clone, Debug)]
struct Child<T> {
    first: T,
    count: usize,
    node: Arc<Node<T>>,
}

/// The maximum number of items or children of a node.
const WIDTH: usize = 48;

impl<T> Default for Sequence<T> {
    fn default() -> Self {
        Self { root: Arc::new(Node::Leaf(Vec::new())) }
    }
}

impl<T: Ord + Clone> Sequence<T> {
    pub(super) fn len(&self) -> usize {
        self.root.count()
    }

    /// Inserts an item, unless the sequence contains it.
    pub(super) fn insert(&mut self, item: T) {
        if let Some(right) = Arc::make_mut(&mut self.root).insert(item) {
            let left = mem::replace(&mut self.root, Arc::new(Node::Inner(Vec::new())));
            let children = [left, Arc::new(right)].into_iter().filter_map(Child::of).collect();
            self.root = Arc::new(Node::Inner(children));
        }
    }

    /// Removes an item.
    pub(super) fn remove(&mut self, item: &T) {
        Arc::make_mut(&mut self.root).remove(item);
        while let Node::Inner(children) = &*self.root
            && children.len() <= 1
        {
            self.root = children
                .first()
                .map_or_else(|| Arc::new(Node::Leaf(Vec::new())), |child| child.node.clone());
        }
    }

    /// Returns the number of items before this one.
    pub(super) fn index_of(&self, item: &T) -> usize {
        let mut node = &*self.root;
        let mut before = 0;
        loop {
            match node {
                Node::Leaf(items) => return before + items.partition_point(|other| other < item),
                Node::Inner(children) => {
                    let at = child_index(children, item);
                    before += children[..at].iter().map(|child| child.count).sum::<usize>();
                    let Some(child) = children.get(at) else { return before };
                    node = &child.node;
                }
            }
        }
    }

    /// Returns the item at an index.
    pub(super) fn get(&self, index: usize) -> Option<&T> {
        let mut node = &*self.root;
        let mut index = index;
        loop {
            match node {
                Node::Leaf(items) => return items.get(index),
                Node::Inner(children) => {
                    let child = children.iter().find(|child| {
                        let here = index < child.count;
                        if !here {
                            index -= child.count;
                        }
                        here
                    })?;
                    node = &child.node;
                }
            }
        }
    }

    /// Returns all items in order.
    pub(super) fn iter(&self) -> Iter<'_, T> {
        Iter { stack: vec![(&self.root, 0)] }
    }

    /// Checks the order, the counts and the sizes. O(n).
    #[cfg(test)]
    fn assert_invariants(&self) {
        assert!(self.iter().is_sorted_by(|a, b| a < b), "items are sorted and distinct");
        assert_eq!(self.iter().count(), self.len(), "the length is the number of items");
        self.root.assert_invariants();
    }
}

/// Returns the index of the child that an item belongs to.
fn child_index<T: Ord>(children: &[Child<T>], item: &T) -> usize {
    children.partition_point(|child| child.first <= *item).saturating_sub(1)
}

impl<T: Clone> Child<T> {
    fn of(node: Arc<Node<T>>) -> Option<Self> {
        let first = match &*node {
            Node::Leaf(items) => items.first()?.clone(),
            Node::Inner(children) => children.first()?.first.clone(),
        };
        Some(Self { first, count: node.count(), node })
    }
}

impl<T> Node<T> {
    fn count(&self) -> usize {
        match self {
            Self::Leaf(items) => items.len(),
            Self::Inner(children) => children.iter().map(|child| child.count).sum(),
        }
    }
}

impl<T: Ord + Clone> Node<T> {
    /// Inserts an item. Returns the right part if the node was split.
    fn insert(&mut self, item: T) -> Option<Self> {
        match self {
            Self::Leaf(items) => {
                let at = items.partition_point(|other| *other < item);
                if items.get(at) != Some(&item) {
                    items.insert(at, item);
                }
                (items.len() > WIDTH).then(|| Self::Leaf(split(items, at)))
            }
            Self::Inner(children) => {
                let at = child_index(children, &item);
                let child = &mut children[at];
                if item < child.first {
                    child.first = item.clone();
                }
                let right = Arc::make_mut(&mut child.node).insert(item);
                child.count = child.node.count();
                if let Some(right) = right.and_then(|right| Child::of(Arc::new(right))) {
                    children.insert(at + 1, right);
                }
                (children.len() > WIDTH).then(|| Self::Inner(split(children, at)))
            }
        }
    }

    fn remove(&mut self, item: &T) {
        match self {
            Self::Leaf(items) => {
                if let Ok(at) = items.binary_search(item) {
                    items.remove(at);
                }
            }
            Self::Inner(children) => {
                let at = child_index(children, item);
                Arc::make_mut(&mut children[at].node).remove(item);
                // Only empty nodes are removed, because lists grow more than they shrink.
                match Child::of(children[at].node.clone()) {
                    Some(child) => children[at] = child,
                    None => drop(children.remove(at)),
                }
            }
        }
    }

    #[cfg(test)]
    fn assert_invariants(&self) {
        if let Self::Inner(children) = self {
            assert!(
                !children.is_empty() && children.len() <= WIDTH,
                "an inner node has 1 to {WIDTH} children"
            );
            for child in children {
                assert_eq!(
                    child.count,
                    child.node.count(),
                    "the count of a child is its number of items"
                );
                assert!(child.count > 0, "a child is not empty");
                assert!(
                    Child::of(child.node.clone()).unwrap().first == child.first,
                    "the first item of a child is stored"
                );
                child.node.assert_invariants();
            }
        }
    }
}

/// Splits off the right half; after an insertion at an end, only two items stay there, so that the
/// nodes of a sequence that grows at one end are full.
fn split<T>(items: &mut Vec<T>, at: usize) -> Vec<T> {
    let middle = match at {
        0 => 2,
        at if at + 1 >= items.len() => items.len() - 2,
        _ => items.len() / 2,
    };
    items.split_off(middle)
}

/// An iterator over the items in order.
pub(super) struct Iter<'a, T> {
    stack: Vec<(&'a Node<T>, usize)>,
}

impl<'a, T> Iterator for Iter<'a, T> {
    type Item = &'a T;

    fn next(&mut self) -> Option<&'a T> {
        loop {
            let (node, at) = self.stack.last_mut()?;
            let index = *at;
            *at += 1;
            match node {
                Node::Leaf(items) => match items.get(index) {
                    Some(item) => return Some(item),
                    None => drop(self.stack.pop()),
                },
                Node::Inner(children) => match children.get(index) {
                    Some(child) => self.stack.push((&child.node, 0)),
                    None => drop(self.stack.pop()),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_like_a_sorted_set(
            ops in proptest::collection::vec((any::<bool>(), 0..3_000_u32), 0..3_000),
            reversed: bool,
        ) {
            let mut sequence = Sequence::default();
            let mut model = BTreeSet::new();
            for number in 0..2_000 {
                let number = if reversed { 2_000 - number } else { number };
                sequence.insert(number);
                model.insert(number);
            }
            let before = sequence.clone();
            for (insert, number) in ops {
                if insert {
                    sequence.insert(number);
                    model.insert(number);
                } else {
                    sequence.remove(&number);
                    model.remove(&number);
                }
            }
            sequence.assert_invariants();
            prop_assert!(sequence.iter().eq(model.iter()));
            for (index, number) in model.iter().enumerate().step_by(37) {
                prop_assert_eq!(sequence.get(index), Some(number));
                prop_assert_eq!(sequence.index_of(number), index);
            }
            prop_assert_eq!(sequence.get(model.len()), None);
            prop_assert_eq!(before.len(), 2_000, "a clone is unchanged");
        }
    }
}
