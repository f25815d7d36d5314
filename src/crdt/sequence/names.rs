//! The nodes that have inserted elements, by number.

use im::OrdMap;

use super::{Placed, Sequence, Standing, pages::Pages};
use crate::{action::NodeId, crdt::element::ElementId};

/// The name of an element, with the number of its node in [`Names`]. Smaller and faster than an
/// [`ElementId`]; another replica may have other numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::crdt) struct Element {
    pub(in crate::crdt) node: u32,
    pub(in crate::crdt) counter: u32,
}

impl Element {
    /// Not after any other.
    pub(in crate::crdt) const MIN: Self = Self { node: 0, counter: 0 };

    /// Returns the element of the same node that was inserted `count` elements later.
    pub(in crate::crdt) const fn plus(self, count: u32) -> Self {
        Self { counter: self.counter + count, ..self }
    }
}

/// The nodes that operations have named, with numbers in the order of their arrival.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    nodes: Pages<Node>,
    numbers: OrdMap<NodeId, u32>,
    /// The number of the node that was looked up last.
    last: u32,
}

#[derive(Clone, Debug)]
struct Node {
    id: NodeId,
    /// A number above the counters of all known elements of the node.
    next: u32,
}

impl Names {
    /// Returns the number of a node, which gets one if it has none.
    #[inline]
    pub(super) fn number(&mut self, node: &NodeId) -> u32 {
        if self.nodes.len() > 0 && self.nodes.get(self.last).id == *node {
            return self.last;
        }
        self.last = match self.numbers.get(node) {
            Some(number) => *number,
            None => {
                let number = self.nodes.push(Node { id: node.clone(), next: 0 });
                self.numbers.insert(node.clone(), number);
                number
            }
        };
        self.last
    }

    /// Returns the number of a node that has one.
    pub(super) fn get(&self, node: &NodeId) -> Option<u32> {
        self.numbers.get(node).copied()
    }

    /// Returns the element with a name, if the node has a number.
    pub(super) fn element(&self, id: &ElementId) -> Option<Element> {
        Some(Element { node: self.get(id.node())?, counter: id.counter() })
    }

    pub(super) fn node(&self, number: u32) -> &NodeId {
        &self.nodes.get(number).id
    }

    pub(super) fn id(&self, element: Element) -> ElementId {
        ElementId::new(self.node(element.node).clone(), element.counter)
    }

    /// Returns the counter of the next new element of a node.
    pub(super) fn next(&self, number: u32) -> u32 {
        self.nodes.get(number).next
    }

    pub(super) fn set_next(&mut self, number: u32, next: u32) {
        if self.next(number) < next {
            self.nodes.get_mut(number).next = next;
        }
    }

    /// Sets the counter of the next new element of a node, also to a lower one.
    pub(super) fn force_next(&mut self, number: u32, next: u32) {
        self.nodes.get_mut(number).next = next;
    }

    /// Returns the nodes by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &NodeId> {
        self.nodes.iter().map(|node| &node.id)
    }
}

impl Sequence {
    /// Returns the number of a node, which gets one if it has none.
    pub(in crate::crdt) fn number(&mut self, node: &NodeId) -> u32 {
        self.names.number(node)
    }

    /// Returns the node with a number.
    pub(in crate::crdt) fn node(&self, number: u32) -> &NodeId {
        self.names.node(number)
    }

    /// Inserts an element of a tree, whose origins have a place. The caller knows its operation,
    /// and inserts no element a second time.
    pub(in crate::crdt) fn insert_element(
        &mut self,
        element: Element,
        origins: (Option<Element>, Option<Element>),
        standing: Standing,
    ) {
        let is_last = element.counter >= self.names.next(element.node);
        self.names.set_next(element.node, element.counter + 1);
        self.add(element, 1, "", origins, standing, is_last, &mut Placed::new());
    }

    /// Removes all elements. The nodes keep their numbers.
    pub(in crate::crdt) fn clear(&mut self) {
        *self = Self { names: core::mem::take(&mut self.names), ..Self::default() };
    }
}
