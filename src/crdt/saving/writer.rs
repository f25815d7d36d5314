//! Writing a state.

use im::OrdMap;
use indexmap::IndexSet;

use super::{
    column::ColumnWriter,
    varint::{self, zigzag},
};
use crate::{
    action::{ActionId, NodeId, Stamp},
    crdt::{element::ElementId, op_id::OpId},
    json::Json,
};

/// The bytes of a state that is saved: see [`Crdt::encode`](super::super::Crdt::encode).
///
/// A method that has a name of a type appends a value of it; the method of [`StateReader`] with
/// the same name reads it. States that are equal must make the same calls.
///
/// [`StateReader`]: super::StateReader
#[derive(Debug, Default)]
pub struct StateWriter {
    text: String,
    body: Vec<u8>,
    /// The nodes in the order of their first use, and the uses of them.
    nodes: IndexSet<NodeId>,
    node_uses: Vec<u32>,
    /// Not a column with run lengths: an id takes at least a byte, so that a state has no more ids
    /// than bytes.
    times: Vec<u8>,
    last_time: i64,
    sequences: ColumnWriter,
    operations: ColumnWriter,
    corrections: ColumnWriter,
    counters: ColumnWriter,
}

/// The number of a node in a [`StateWriter`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeNumber(u32);

/// What a writer has written.
pub(in crate::crdt) struct Written {
    /// The text that a reader shows first.
    pub(in crate::crdt) text: String,
    /// Everything else.
    pub(in crate::crdt) content: Vec<u8>,
}

impl StateWriter {
    /// Appends to the text at the beginning of the saved state, which a reader can show before it
    /// reads the rest.
    pub fn text(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Appends an unsigned integer, in 1 to 10 bytes.
    #[inline]
    pub fn unsigned(&mut self, number: u64) {
        varint::write(&mut self.body, number);
    }

    /// Appends a signed integer, in 1 to 10 bytes.
    #[inline]
    pub fn signed(&mut self, number: i64) {
        varint::write(&mut self.body, zigzag(number));
    }

    /// Appends a boolean, in one byte.
    pub fn boolean(&mut self, is_true: bool) {
        self.body.push(u8::from(is_true));
    }

    /// Appends a string.
    pub fn string(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    /// Appends bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.unsigned(bytes.len() as u64);
        self.body.extend_from_slice(bytes);
    }

    /// Appends the text of a JSON value.
    pub fn json(&mut self, json: &Json) {
        self.string(json.as_str());
    }

    /// Appends the text of a JSON value, or an empty string.
    pub fn optional_json(&mut self, json: Option<&Json>) {
        self.string(json.map_or("", Json::as_str));
    }

    /// Appends a column.
    pub fn column(&mut self, column: ColumnWriter) {
        self.bytes(&column.finish());
    }

    /// Returns the number of a node, for [`numbered_node`](Self::numbered_node).
    pub fn node_number(&mut self, node: &NodeId) -> NodeNumber {
        // Most ids are of the node of the id before.
        if let Some(last) = self.node_uses.last()
            && self.nodes.get_index(*last as usize) == Some(node)
        {
            return NodeNumber(*last);
        }
        let index = self.nodes.get_index_of(node);
        let index = index.unwrap_or_else(|| self.nodes.insert_full(node.clone()).0);
        // A state with 2^32 nodes does not fit into memory.
        NodeNumber(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Appends a node.
    #[inline]
    pub fn numbered_node(&mut self, NodeNumber(number): NodeNumber) {
        self.node_uses.push(number);
    }

    /// Appends a node id.
    #[inline]
    pub fn node(&mut self, node: &NodeId) {
        let number = self.node_number(node);
        self.numbered_node(number);
    }

    /// Appends the id of an action.
    pub fn action_id(&mut self, id: &ActionId) {
        self.node(id.node());
        let time = id.time().as_millis();
        varint::write(&mut self.times, zigzag(time.wrapping_sub(self.last_time)));
        self.last_time = time;
        self.sequences.push(id.sequence().into());
    }

    /// Appends the id of an operation.
    pub fn op_id(&mut self, id: &OpId) {
        self.action_id(id.action());
        self.operations.push(id.index().into());
    }

    /// Appends a stamp. To append the id of an operation with the corrected time of its action,
    /// append its stamp.
    pub fn stamp(&mut self, stamp: &Stamp) {
        self.action_id(stamp.id());
        self.operations.push(stamp.operation().into());
        self.corrections.push_signed(stamp.time().since(stamp.id().time()));
    }

    /// Appends a stamp, or that there is none.
    pub fn optional_stamp(&mut self, stamp: Option<&Stamp>) {
        self.boolean(stamp.is_some());
        if let Some(stamp) = stamp {
            self.stamp(stamp);
        }
    }

    /// Appends the name of an element.
    pub fn element_id(&mut self, id: &ElementId) {
        self.node(id.node());
        self.counters.push_delta(id.counter().into());
    }

    /// Appends the number of entries of a map, and calls `write` for each entry, in their order.
    pub fn map<K: Ord, V>(&mut self, map: &OrdMap<K, V>, mut write: impl FnMut(&mut Self, &K, &V)) {
        self.unsigned(map.len() as u64);
        map.iter().for_each(|(key, value)| write(self, key, value));
    }

    /// Returns what was written, with the nodes sorted.
    pub(in crate::crdt) fn finish(mut self) -> Written {
        let mut sorted: Vec<usize> = (0..self.nodes.len()).collect();
        sorted.sort_by(|one, other| self.nodes[*one].cmp(&self.nodes[*other]));
        let mut ranks = vec![0_u64; sorted.len()];
        let mut content = Vec::with_capacity(self.body.len() + self.times.len() + 64);
        varint::write(&mut content, sorted.len() as u64);
        for (rank, index) in (0..).zip(sorted) {
            ranks[index] = rank;
            write_bytes(&mut content, self.nodes[index].as_str().as_bytes());
        }
        let mut nodes = ColumnWriter::default();
        self.node_uses.iter().for_each(|node| nodes.push(ranks[*node as usize]));
        write_bytes(&mut content, &nodes.finish());
        write_bytes(&mut content, &self.times);
        for column in [self.sequences, self.operations, self.corrections, self.counters] {
            write_bytes(&mut content, &column.finish());
        }
        content.append(&mut self.body);
        Written { text: self.text, content }
    }
}

/// Appends bytes with their length.
pub(super) fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    varint::write(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
