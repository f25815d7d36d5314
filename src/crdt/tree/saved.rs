//! The saved form of a tree.

use super::{
    Tree,
    children::START_NODE,
    content::Content,
    table::{Effect, NodeIndex, Order, Place, PlaceIndex, TOP},
};
use crate::{
    action::{ActionId, Stamp},
    crdt::{
        crdt::Crdt,
        element::{ElementId, MAX_COUNTER},
        map::Map,
        register::Register,
        saving::{ColumnWriter, LoadError, StateReader, StateWriter, damaged},
        sequence::Element,
    },
};

/// The bits of the flags of a place. The lowest two are the effect.
const IS_SETTLED: u64 = 4;
const IS_MOVE: u64 = 8;
const HAS_PARENT: u64 = 16;
const HAS_AFTER: u64 = 32;
const HAS_BEFORE: u64 = 64;
const MAX_PLACE_FLAGS: u64 = 127;

/// The bits of the flags of a node.
const IS_REMOVED: u64 = 1;
const HAS_BASE: u64 = 2;
const HAS_INITIAL: u64 = 4;
const HAS_FIELDS: u64 = 8;
const MAX_NODE_FLAGS: u64 = 15;

impl Effect {
    const fn number(self) -> u64 {
        match self {
            Self::Logged => 0,
            Self::Settled => 1,
            Self::Undone => 2,
            Self::None => 3,
        }
    }

    const fn of(flags: u64) -> Self {
        match flags & 3 {
            0 => Self::Logged,
            1 => Self::Settled,
            2 => Self::Undone,
            _ => Self::None,
        }
    }

    /// Returns `true` if the stamp of the operation is known.
    const fn has_order(self) -> bool {
        matches!(self, Self::Logged | Self::Undone)
    }
}

/// Writing.
impl Tree {
    pub(super) fn write_to(&self, writer: &mut StateWriter) {
        let id = |element: Element| self.children.sequence().id(element);
        let mut places: Vec<(ElementId, PlaceIndex)> =
            self.table.places().map(|index| (id(self.table.place(index).name), index)).collect();
        places.sort();
        writer.unsigned(places.len() as u64);
        places.iter().for_each(|(name, _)| writer.element_id(name));
        let places: Vec<&Place> =
            places.into_iter().map(|(_, index)| self.table.place(index)).collect();
        let mut flags = ColumnWriter::default();
        places.iter().for_each(|place| flags.push(self.place_flags(place)));
        writer.column(flags);
        let moved = places.iter().filter(|place| !self.table.is_creation(place));
        let nodes = moved.filter_map(|place| self.name(place.node));
        nodes.for_each(|node| writer.element_id(&node));
        let parents = places.iter().filter_map(|place| self.name(place.parent));
        parents.for_each(|parent| writer.element_id(&parent));
        let after = places.iter().filter_map(|place| place.after);
        after.for_each(|after| writer.element_id(&id(after)));
        let before = places.iter().filter_map(|place| place.before);
        before.for_each(|before| writer.element_id(&id(before)));
        for place in places.into_iter().filter(|place| place.effect.has_order()) {
            let Order { time, id_time, sequence, operation } = place.order;
            let author = self.children.sequence().node(place.name.node).clone();
            let stamp = Stamp::new(time, ActionId::new(id_time, author, sequence));
            writer.stamp(&stamp.of_operation(operation));
        }
        self.write_nodes(writer);
    }

    fn place_flags(&self, place: &Place) -> u64 {
        let flag = |bit, is_set| if is_set { bit } else { 0 };
        place.effect.number()
            | flag(IS_SETTLED, place.is_settled)
            | flag(IS_MOVE, !self.table.is_creation(place))
            | flag(HAS_PARENT, place.parent != TOP)
            | flag(HAS_AFTER, place.after.is_some())
            | flag(HAS_BEFORE, place.before.is_some())
    }

    /// Writes the nodes of which more is known than their places.
    fn write_nodes(&self, writer: &mut StateWriter) {
        let mut nodes: Vec<(ElementId, NodeIndex)> = self
            .table
            .nodes()
            .filter(|index| {
                let node = self.table.node(*index);
                self.table.status(*index).is_removed
                    || node.base.is_some()
                    || node.initial.is_some()
                    || !node.content.is_empty()
            })
            .filter_map(|index| Some((self.name(index)?, index)))
            .collect();
        nodes.sort();
        writer.unsigned(nodes.len() as u64);
        for (name, index) in nodes {
            let node = self.table.node(index);
            let flag = |bit, is_set| if is_set { bit } else { 0 };
            writer.element_id(&name);
            writer.unsigned(
                flag(IS_REMOVED, self.table.status(index).is_removed)
                    | flag(HAS_BASE, node.base.is_some())
                    | flag(HAS_INITIAL, node.initial.is_some())
                    | flag(HAS_FIELDS, matches!(node.content, Content::Fields(_))),
            );
            if let Some(base) = node.base {
                let name = self.table.place(base).name;
                writer.element_id(&self.children.sequence().id(name));
            }
            if let Some(initial) = &node.initial {
                writer.json(initial);
            }
            match &node.content {
                Content::Value(register) => register.encode(writer),
                Content::Fields(map) => map.encode(writer),
            }
        }
    }
}

/// Reading.
impl Tree {
    pub(super) fn read_from(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        let mut tree = Self::default();
        tree.read_places(reader)?;
        tree.read_nodes(reader)?;
        tree.check_bases()?;
        tree.rebuild();
        let is_positioned = |index| {
            let base: Option<PlaceIndex> = tree.table.node(index).base;
            base.is_none_or(|base| tree.table.place(base).is_positioned)
        };
        if tree.table.nodes().all(is_positioned) { Ok(tree) } else { Err(damaged("a known place")) }
    }

    fn read_places(&mut self, reader: &mut StateReader<'_>) -> Result<(), LoadError> {
        let count = reader.unsigned()?;
        let mut names: Vec<ElementId> = Vec::new();
        for _ in 0..count {
            let name = reader.element_id()?;
            if names.last().is_some_and(|last| *last >= name)
                || name.counter() >= MAX_COUNTER
                || name.node().as_str() == START_NODE
            {
                return Err(damaged("sorted names of places"));
            }
            names.push(name);
        }
        let mut column = reader.column()?;
        let mut flags: Vec<u64> = Vec::new();
        for _ in &names {
            let own = column.next()?;
            if own > MAX_PLACE_FLAGS {
                return Err(damaged("the flags of a place"));
            }
            flags.push(own);
        }
        column.end()?;
        let nodes = self.read_elements(reader, &flags, IS_MOVE)?;
        let parents = self.read_elements(reader, &flags, HAS_PARENT)?;
        let after = self.read_elements(reader, &flags, HAS_AFTER)?;
        let before = self.read_elements(reader, &flags, HAS_BEFORE)?;
        for (index, id) in names.into_iter().enumerate() {
            let name = self.named(&id);
            let effect = Effect::of(flags[index]);
            let order =
                if effect.has_order() { read_order(reader, &id)? } else { Order::default() };
            if nodes[index] == Some(name) {
                return Err(damaged("another node of a move"));
            }
            let place = Place {
                name,
                node: self.table.node_named(nodes[index].unwrap_or(name)),
                parent: parents[index].map_or(TOP, |parent| self.table.node_named(parent)),
                after: after[index],
                before: before[index],
                order,
                effect,
                is_settled: flags[index] & IS_SETTLED != 0,
                is_positioned: false,
            };
            if self.table.is_creation(&place) {
                let is_created = matches!(effect, Effect::Logged | Effect::Settled);
                self.table.status_mut(place.node).is_created = is_created;
            }
            self.table.push_place(place);
        }
        Ok(())
    }

    /// Reads an element for each place with a flag.
    fn read_elements(
        &mut self,
        reader: &mut StateReader<'_>,
        flags: &[u64],
        flag: u64,
    ) -> Result<Vec<Option<Element>>, LoadError> {
        let mut read = |flags: &u64| {
            if flags & flag == 0 {
                return Ok(None);
            }
            reader.element_id().map(|id| Some(self.named(&id)))
        };
        flags.iter().map(&mut read).collect()
    }

    fn read_nodes(&mut self, reader: &mut StateReader<'_>) -> Result<(), LoadError> {
        let mut last: Option<ElementId> = None;
        for _ in 0..reader.unsigned()? {
            let id = reader.element_id()?;
            if last.is_some_and(|last| last >= id) {
                return Err(damaged("sorted names of nodes"));
            }
            let name = self.named(&id);
            let index = self.table.node_named(name);
            let flags = reader.unsigned()?;
            if flags > MAX_NODE_FLAGS {
                return Err(damaged("the flags of a node"));
            }
            let base =
                if flags & HAS_BASE == 0 { None } else { Some(self.read_base(reader, index)?) };
            let initial = if flags & HAS_INITIAL == 0 { None } else { Some(reader.json()?) };
            self.table.status_mut(index).is_removed = flags & IS_REMOVED != 0;
            let node = self.table.node_mut(index);
            node.base = base;
            node.initial = initial;
            node.content = if flags & HAS_FIELDS == 0 {
                Content::Value(Register::decode(reader)?)
            } else {
                Content::Fields(Map::decode(reader)?.into())
            };
            last = Some(id);
        }
        Ok(())
    }

    /// Reads the settled place of a node.
    fn read_base(
        &mut self,
        reader: &mut StateReader<'_>,
        node: NodeIndex,
    ) -> Result<PlaceIndex, LoadError> {
        let name = reader.element_id()?;
        let name = self.named(&name);
        let base = self.table.find_place(name).filter(|base| {
            let place = self.table.place(*base);
            place.effect == Effect::Settled && place.node == node
        });
        base.ok_or(damaged("a settled place of a node"))
    }

    fn named(&mut self, id: &ElementId) -> Element {
        let node = self.children.sequence_mut().number(id.node());
        Element { node, counter: id.counter() }
    }

    /// Checks that the settled places have no cycle. O(n).
    fn check_bases(&self) -> Result<(), LoadError> {
        let above =
            |node: NodeIndex| self.table.node(node).base.map(|base| self.table.place(base).parent);
        // The walk in which a node was seen.
        let mut seen: Vec<Option<NodeIndex>> = self.table.nodes().map(|_| None).collect();
        for start in self.table.nodes() {
            let mut next = Some(start);
            while let Some(node) = next {
                match &mut seen[node.get() as usize] {
                    Some(walk) if *walk == start => return Err(damaged("places without a cycle")),
                    Some(_) => break,
                    unseen => *unseen = Some(start),
                }
                next = above(node);
            }
        }
        Ok(())
    }
}

fn read_order(reader: &mut StateReader<'_>, name: &ElementId) -> Result<Order, LoadError> {
    let stamp = reader.stamp()?;
    if stamp.id().node() != name.node() {
        return Err(damaged("a stamp of the author of a place"));
    }
    Ok(Order {
        time: stamp.time(),
        id_time: stamp.id().time(),
        sequence: stamp.id().sequence(),
        operation: stamp.operation(),
    })
}
