//! One item of a list.

use std::sync::LazyLock;

use serde_json::Value;

use crate::{
    action::Stamp,
    crdt::{
        element::ElementId,
        register::Register,
        saving::{LoadError, StateReader, StateWriter},
    },
    json::Json,
};

/// One item of a [`List`](super::List).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Item {
    /// The place of the latest move. `None`: the item is in its first place, which has its name.
    pub(super) position: Register<ElementId>,
    pub(super) value: Register,
    /// The stamp of the insertion. `None` until it is applied.
    pub(super) inserted: Option<Stamp>,
    pub(super) is_removed: bool,
}

/// The value of an item that has none.
static NULL: LazyLock<Json> = LazyLock::new(|| Value::Null.into());

impl Item {
    /// Returns the value.
    pub fn value(&self) -> &Json {
        self.value.get().unwrap_or(&NULL)
    }

    /// Returns the stamp of the operation that inserted the item. `None` until it has arrived.
    pub const fn inserted(&self) -> Option<&Stamp> {
        self.inserted.as_ref()
    }

    /// Returns the stamp of the last write of the value.
    pub(in crate::crdt) const fn written(&self) -> Option<&Stamp> {
        self.value.stamp()
    }

    /// Returns the item's place in the order if the item is visible.
    pub(super) fn place<'a>(
        &'a self,
        id: &'a ElementId,
        floor: Option<&Stamp>,
    ) -> Option<&'a ElementId> {
        let inserted = self.inserted.as_ref().filter(|_| !self.is_removed)?;
        let place = self.position.get().unwrap_or(id);
        Some(place).filter(|_| floor.is_none_or(|floor| inserted > floor))
    }

    pub(super) fn shift_times(&mut self, ms: i64) {
        self.position.shift_time(ms);
        self.value.shift_time(ms);
        self.inserted = self.inserted.as_ref().map(|stamp| stamp.shifted(ms));
    }

    pub(super) fn encode(&self, writer: &mut StateWriter) {
        writer.boolean(self.is_removed);
        writer.optional_stamp(self.inserted.as_ref());
        self.position.encode_with(writer, StateWriter::element_id);
        self.value.encode_with(writer, StateWriter::json);
    }

    pub(super) fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        Ok(Self {
            is_removed: reader.boolean()?,
            inserted: reader.optional_stamp()?,
            position: Register::decode_with(reader, StateReader::element_id)?,
            value: Register::decode_with(reader, StateReader::json)?,
        })
    }
}
