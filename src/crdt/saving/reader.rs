//! Reading a state.

use core::fmt;

use im::OrdMap;

use super::{
    column::ColumnReader,
    error::{LoadError, damaged},
    varint::{Bytes, unzigzag},
};
use crate::{
    action::{ActionId, NodeId, Stamp},
    crdt::{
        element::{ElementId, MAX_COUNTER},
        op_id::OpId,
    },
    json::Json,
    time::WallTime,
};

/// The bytes of a saved state: see [`Crdt::decode`](super::super::Crdt::decode).
///
/// Each method reads what the method of [`StateWriter`](super::StateWriter) with the same name has
/// written. All of them return [`LoadError::Damaged`] if that is not what follows.
pub struct StateReader<'a> {
    text: &'a str,
    nodes: Vec<NodeId>,
    node_uses: ColumnReader<'a>,
    times: Bytes<'a>,
    last_time: i64,
    sequences: ColumnReader<'a>,
    operations: ColumnReader<'a>,
    corrections: ColumnReader<'a>,
    counters: ColumnReader<'a>,
    body: Bytes<'a>,
}

#[allow(clippy::missing_errors_doc, reason = "the documentation of the type describes the error")]
impl<'a> StateReader<'a> {
    /// Reads the table of nodes.
    pub(in crate::crdt) fn new(text: &'a str, content: &'a [u8]) -> Result<Self, LoadError> {
        let mut body = Bytes(content);
        let mut nodes: Vec<NodeId> = Vec::new();
        for _ in 0..body.varint()? {
            let node = NodeId::new(body.string()?).map_err(|_| damaged("a node id"))?;
            if nodes.last().is_some_and(|last| *last >= node) {
                return Err(damaged("sorted node ids"));
            }
            nodes.push(node);
        }
        Ok(Self {
            text,
            nodes,
            node_uses: ColumnReader::new(body.with_length()?),
            times: Bytes(body.with_length()?),
            last_time: 0,
            sequences: ColumnReader::new(body.with_length()?),
            operations: ColumnReader::new(body.with_length()?),
            corrections: ColumnReader::new(body.with_length()?),
            counters: ColumnReader::new(body.with_length()?),
            body,
        })
    }

    /// Returns the next bytes of the text at the beginning of the saved state.
    pub fn text(&mut self, bytes: usize) -> Result<&'a str, LoadError> {
        let (text, rest) =
            self.text.split_at_checked(bytes).ok_or(damaged("more text, in whole characters"))?;
        self.text = rest;
        Ok(text)
    }

    /// Reads an unsigned integer.
    #[inline]
    pub fn unsigned(&mut self) -> Result<u64, LoadError> {
        self.body.varint()
    }

    /// Reads an unsigned integer of 32 bits.
    #[inline]
    pub fn unsigned_u32(&mut self) -> Result<u32, LoadError> {
        u32::try_from(self.unsigned()?).map_err(|_| damaged("an integer of 32 bits"))
    }

    /// Reads a signed integer.
    #[inline]
    pub fn signed(&mut self) -> Result<i64, LoadError> {
        self.body.varint().map(unzigzag)
    }

    /// Reads a boolean.
    pub fn boolean(&mut self) -> Result<bool, LoadError> {
        match self.body.varint()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(damaged("0 or 1")),
        }
    }

    /// Reads a string.
    pub fn string(&mut self) -> Result<&'a str, LoadError> {
        self.body.string()
    }

    /// Reads bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], LoadError> {
        self.body.with_length()
    }

    /// Reads the text of a JSON value.
    pub fn json(&mut self) -> Result<Json, LoadError> {
        self.optional_json()?.ok_or(damaged("a JSON value"))
    }

    /// Reads the text of a JSON value, or an empty string.
    pub fn optional_json(&mut self) -> Result<Option<Json>, LoadError> {
        match self.string()? {
            "" => Ok(None),
            text => Json::new(text).map(Some).map_err(|_| damaged("a JSON value")),
        }
    }

    /// Reads a column. Its values are read apart from what follows it.
    pub fn column(&mut self) -> Result<ColumnReader<'a>, LoadError> {
        self.bytes().map(ColumnReader::new)
    }

    /// Returns the nodes of the state, sorted.
    pub fn nodes(&self) -> &[NodeId] {
        &self.nodes
    }

    /// Reads a node, as its index in [`nodes`](Self::nodes).
    #[inline]
    pub fn node_index(&mut self) -> Result<usize, LoadError> {
        let index = usize::try_from(self.node_uses.next()?).ok();
        index.filter(|index| *index < self.nodes.len()).ok_or(damaged("the number of a node"))
    }

    /// Reads a node id.
    pub fn node(&mut self) -> Result<NodeId, LoadError> {
        self.node_index().map(|index| self.nodes[index].clone())
    }

    /// Reads the id of an action.
    pub fn action_id(&mut self) -> Result<ActionId, LoadError> {
        let node = self.node()?;
        let time = self.last_time.checked_add(unzigzag(self.times.varint()?));
        let time = time.and_then(WallTime::checked_from_millis).ok_or(damaged("a time"))?;
        self.last_time = time.as_millis();
        Ok(ActionId::new(time, node, self.sequences.next_u32()?))
    }

    /// Reads the id of an operation.
    pub fn op_id(&mut self) -> Result<OpId, LoadError> {
        Ok(OpId::new(self.action_id()?, self.operations.next_u32()?))
    }

    /// Reads a stamp.
    pub fn stamp(&mut self) -> Result<Stamp, LoadError> {
        let id = self.op_id()?;
        let time = id.action().time().as_millis().checked_add(self.corrections.next_signed()?);
        let time = time.and_then(WallTime::checked_from_millis).ok_or(damaged("a time"))?;
        Ok(id.stamp(time))
    }

    /// Reads a stamp, or that there is none.
    pub fn optional_stamp(&mut self) -> Result<Option<Stamp>, LoadError> {
        if self.boolean()? { self.stamp().map(Some) } else { Ok(None) }
    }

    /// Reads the name of an element.
    pub fn element_id(&mut self) -> Result<ElementId, LoadError> {
        let node = self.node()?;
        let counter = u32::try_from(self.counters.next_delta()?).ok();
        let counter = counter.filter(|counter| *counter <= MAX_COUNTER);
        Ok(ElementId::new(node, counter.ok_or(damaged("the counter of an element"))?))
    }

    /// Reads a map, whose entries `read` reads one by one. Their keys must ascend.
    pub fn map<K: Ord + Clone, V: Clone>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<(K, V), LoadError>,
    ) -> Result<OrdMap<K, V>, LoadError> {
        let mut map = OrdMap::new();
        let mut last: Option<K> = None;
        for _ in 0..self.unsigned()? {
            let (key, value) = read(self)?;
            if last.is_some_and(|last| last >= key) {
                return Err(damaged("sorted keys"));
            }
            last = Some(key.clone());
            map.insert(key, value);
        }
        Ok(map)
    }

    /// Checks that everything was read.
    pub(in crate::crdt) fn end(&self) -> Result<(), LoadError> {
        if !self.text.is_empty() {
            return Err(damaged("the end of the text"));
        }
        let ids = [&self.node_uses, &self.sequences, &self.operations];
        for column in ids.into_iter().chain([&self.corrections, &self.counters]) {
            column.end()?;
        }
        self.times.end()?;
        self.body.end()
    }
}

impl fmt::Debug for StateReader<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateReader")
            .field("nodes", &self.nodes)
            .field("left", &self.body.0.len())
            .finish_non_exhaustive()
    }
}
