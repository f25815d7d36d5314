//! The nodes and the places of a tree, by number.

use core::num::NonZeroU32;
use std::sync::Arc;

use im::OrdMap;

use super::content::Content;
use crate::{
    crdt::sequence::{Element, Pages},
    json::Json,
    time::WallTime,
};

/// Defines an index of [`Pages`] of which an `Option` needs no more space.
macro_rules! index {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) struct $name(NonZeroU32);

        impl $name {
            /// Returns the index after `index` others. There are fewer than 2^32 - 1.
            pub(super) const fn new(index: u32) -> Self {
                Self(NonZeroU32::MIN.saturating_add(index))
            }

            #[inline]
            pub(super) const fn get(self) -> u32 {
                self.0.get() - 1
            }
        }
    };
}

index! {
    /// The number of a node of a tree, also of one that is only named by others. Another replica
    /// may have other numbers.
    NodeIndex
}

index! {
    /// The number of a place that an operation gave to a node.
    PlaceIndex
}

/// The parent of the nodes of the top level.
pub(super) const TOP: NodeIndex = NodeIndex::new(0);

/// What is seldom read of a node. Its place is in [`Links`](super::links::Links).
#[derive(Clone, Debug)]
pub(super) struct Node {
    /// `None` for [`TOP`].
    pub(super) name: Option<Element>,
    /// The value of the creation.
    pub(super) initial: Option<Json>,
    pub(super) content: Content,
    /// The place before the first move of the log.
    pub(super) base: Option<PlaceIndex>,
}

/// Whether a node is visible, and where. Apart from [`Node`], because it is read for each node on
/// the way to the top.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Status {
    /// The creation is known and not undone.
    pub(super) is_created: bool,
    pub(super) is_removed: bool,
    /// The place that is visible in the order of the children.
    pub(super) shown: Option<PlaceIndex>,
}

impl Status {
    pub(super) const fn is_visible(self) -> bool {
        self.is_created && !self.is_removed
    }
}

/// What an operation said about a place: it is a record that never changes, except that another
/// operation may win its name.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) name: Element,
    pub(super) node: NodeIndex,
    pub(super) parent: NodeIndex,
    pub(super) after: Option<Element>,
    pub(super) before: Option<Element>,
    pub(super) order: Order,
    pub(super) effect: Effect,
    /// A snapshot has settled the operation.
    pub(super) is_settled: bool,
    /// The elements beside it are known, so that it has got its position.
    pub(super) is_positioned: bool,
}

/// The stamp of a place, without the node, which is in the name of the place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) time: WallTime,
    pub(super) id_time: WallTime,
    pub(super) sequence: u32,
    pub(super) operation: u32,
}

impl Order {
    /// Returns the part of the operation's id besides its node.
    pub(super) const fn operation_id(&self) -> (WallTime, u32, u32) {
        (self.id_time, self.sequence, self.operation)
    }
}

/// What a place does to its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    /// It is a move of the log.
    Logged,
    /// It is older than the log.
    Settled,
    /// The operation is undone.
    Undone,
    /// The operation is undone for good.
    None,
}

/// What a name stands for: both for the name of a creation.
#[derive(Clone, Copy, Debug, Default)]
struct Named {
    node: Option<NodeIndex>,
    place: Option<PlaceIndex>,
}

/// The number of names of a chunk.
const CHUNK: u32 = 32;

/// What names of one author with neighbouring counters stand for.
type Chunk = Arc<[Named; CHUNK as usize]>;

/// All nodes and places.
#[derive(Clone, Debug)]
pub(super) struct Table {
    nodes: Pages<Node>,
    statuses: Pages<Status>,
    places: Pages<Place>,
    /// Chunks by author and counter.
    names: OrdMap<(u32, u32), Chunk>,
    /// A number above the counters of all places of an author.
    next: Pages<u32>,
}

impl Default for Table {
    fn default() -> Self {
        let mut table = Self {
            nodes: Pages::default(),
            statuses: Pages::default(),
            places: Pages::default(),
            names: OrdMap::new(),
            next: Pages::default(),
        };
        table.push_node(None);
        table
    }
}

impl Table {
    fn push_node(&mut self, name: Option<Element>) -> NodeIndex {
        let content = Content::empty();
        self.statuses.push(Status::default());
        NodeIndex::new(self.nodes.push(Node { name, initial: None, content, base: None }))
    }

    #[inline]
    pub(super) fn node(&self, index: NodeIndex) -> &Node {
        self.nodes.get(index.get())
    }

    pub(super) fn node_mut(&mut self, index: NodeIndex) -> &mut Node {
        self.nodes.get_mut(index.get())
    }

    #[inline]
    pub(super) fn status(&self, index: NodeIndex) -> Status {
        *self.statuses.get(index.get())
    }

    pub(super) fn status_mut(&mut self, index: NodeIndex) -> &mut Status {
        self.statuses.get_mut(index.get())
    }

    #[inline]
    pub(super) fn place(&self, index: PlaceIndex) -> &Place {
        self.places.get(index.get())
    }

    pub(super) fn place_mut(&mut self, index: PlaceIndex) -> &mut Place {
        self.places.get_mut(index.get())
    }

    /// Returns the indexes of all nodes, beginning with [`TOP`].
    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<> {
        (0..self.nodes.len() as u32).map(NodeIndex::new)
    }

    /// Returns the indexes of all places.
    pub(super) fn places(&self) -> impl Iterator<Item = PlaceIndex> + use<> {
        (0..self.places.len() as u32).map(PlaceIndex::new)
    }

    /// Returns the node with a name, which gets an index if it has none.
    pub(super) fn node_named(&mut self, name: Element) -> NodeIndex {
        if let Some(node) = self.find_node(name) {
            return node;
        }
        let node = self.push_node(Some(name));
        self.named_mut(name).node = Some(node);
        node
    }

    pub(super) fn find_node(&self, name: Element) -> Option<NodeIndex> {
        self.named(name)?.node
    }

    pub(super) fn find_place(&self, name: Element) -> Option<PlaceIndex> {
        self.named(name)?.place
    }

    #[inline]
    fn named(&self, name: Element) -> Option<Named> {
        let chunk = self.names.get(&(name.node, name.counter / CHUNK))?;
        Some(chunk[(name.counter % CHUNK) as usize])
    }

    fn named_mut(&mut self, name: Element) -> &mut Named {
        let chunk = self.names.entry((name.node, name.counter / CHUNK)).or_default();
        &mut Arc::make_mut(chunk)[(name.counter % CHUNK) as usize]
    }

    pub(super) fn push_place(&mut self, place: Place) -> PlaceIndex {
        let name = place.name;
        let index = PlaceIndex::new(self.places.push(place));
        self.named_mut(name).place = Some(index);
        while self.next.len() as u32 <= name.node {
            self.next.push(0);
        }
        let next = self.next.get_mut(name.node);
        *next = (*next).max(name.counter + 1);
        index
    }

    /// Returns a counter above those of all places of an author.
    pub(super) fn next_counter(&self, author: u32) -> u32 {
        if author < self.next.len() as u32 { *self.next.get(author) } else { 0 }
    }

    /// Returns the name of the node with an index, if there is one.
    pub(super) fn name_at(&self, index: u32) -> Option<Element> {
        if index < self.nodes.len() as u32 { self.nodes.get(index).name } else { None }
    }

    /// Returns the indexes of the nodes that may differ, and some of no node.
    pub(super) fn unshared(&self, other: &Self) -> impl Iterator<Item = u32> {
        self.nodes.unshared(&other.nodes).chain(self.statuses.unshared(&other.statuses))
    }

    /// Returns `true` if one table is an unchanged clone of the other. O(n / 32).
    pub(super) fn is_shared(&self, other: &Self) -> bool {
        let places = self.places.unshared(&other.places);
        self.unshared(other).chain(places).next().is_none()
    }

    /// Returns `true` if the operation of a place has created its node.
    pub(super) fn is_creation(&self, place: &Place) -> bool {
        self.node(place.node).name == Some(place.name)
    }
}
