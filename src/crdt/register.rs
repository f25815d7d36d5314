//! One value; the last write wins.

use core::mem;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    crdt::Crdt,
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, base64::impl_serde},
};
use crate::{
    action::{NodeId, Stamp},
    json::Json,
    replay::{Coverage, Malformed},
};

/// A value with the stamp of its last write: the LWW-Register of Shapiro et al. (2011,
/// specification 8), and of RFC 677 (1975).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register<T = Json> {
    written: Option<(Stamp, T)>,
}

impl<T> Default for Register<T> {
    fn default() -> Self {
        Self::empty()
    }
}

impl<T> Register<T> {
    /// Creates a register that was never written.
    pub(super) const fn empty() -> Self {
        Self { written: None }
    }

    /// Returns the value, or `None` if it was never written.
    pub const fn get(&self) -> Option<&T> {
        match &self.written {
            Some((_, value)) => Some(value),
            None => None,
        }
    }

    /// Returns `true` if the register was never written.
    pub const fn is_empty(&self) -> bool {
        self.written.is_none()
    }

    /// Returns the stamp of the last write.
    pub const fn stamp(&self) -> Option<&Stamp> {
        match &self.written {
            Some((stamp, _)) => Some(stamp),
            None => None,
        }
    }

    /// Writes the stamp, and the value by `write`.
    pub(super) fn encode_with(
        &self,
        writer: &mut StateWriter,
        write: impl FnOnce(&mut StateWriter, &T),
    ) {
        writer.optional_stamp(self.stamp());
        if let Some(value) = self.get() {
            write(writer, value);
        }
    }

    /// Reads the stamp, and the value by `read`.
    pub(super) fn decode_with<'a>(
        reader: &mut StateReader<'a>,
        read: impl FnOnce(&mut StateReader<'a>) -> Result<T, LoadError>,
    ) -> Result<Self, LoadError> {
        let Some(stamp) = reader.optional_stamp()? else { return Ok(Self::default()) };
        Ok(Self { written: Some((stamp, read(reader)?)) })
    }

    /// Converts the time of the last write.
    pub(super) fn shift_time(&mut self, ms: i64) {
        if let Some((stamp, _)) = &mut self.written {
            *stamp = stamp.shifted(ms);
        }
    }

    /// Writes the value and returns the previous one. Returns `None`, and changes nothing, if the
    /// last write is not earlier than `stamp`.
    #[inline]
    pub fn set(&mut self, value: T, stamp: &Stamp) -> Option<Option<T>> {
        match &mut self.written {
            Some((last, _)) if *last >= *stamp => None,
            Some((last, old)) => {
                last.clone_from(stamp);
                Some(Some(mem::replace(old, value)))
            }
            None => {
                self.written = Some((stamp.clone(), value));
                Some(None)
            }
        }
    }
}

impl Register {
    /// Makes the operation that writes the value.
    pub fn set_op(&self, value: impl Into<Json>) -> RegisterOp {
        RegisterOp::Set { value: value.into() }
    }
}

/// An operation on a [`Register`]: `{"op":"set","value":…}`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "camelCase", from = "OpFields")]
pub enum RegisterOp {
    /// Writes the value.
    Set {
        /// The new value.
        value: Json,
    },
}

/// The fields of a [`RegisterOp`]. An enum with a tag could not keep the text of the value.
#[derive(Deserialize)]
struct OpFields {
    #[serde(rename = "op")]
    _op: OpName,
    value: Json,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum OpName {
    Set,
}

impl From<OpFields> for RegisterOp {
    fn from(fields: OpFields) -> Self {
        Self::Set { value: fields.value }
    }
}

impl Crdt for Register {
    type Op = RegisterOp;
    type Event = Json;
    type Part = ();

    const NAME: &'static str = "register";
    const VERSION: u32 = 2;

    fn check(_: &RegisterOp) -> Result<(), Malformed> {
        Ok(())
    }

    fn apply(&mut self, op: &RegisterOp, stamp: &Stamp) -> Option<Json> {
        let RegisterOp::Set { value } = op;
        self.set(value.clone(), stamp).map(|_| value.clone())
    }

    fn to_json(&self) -> Value {
        self.get().map_or(Value::Null, Json::to_value)
    }

    fn diff(&self, after: &Self, part: &mut dyn FnMut(())) {
        if self != after {
            part(());
        }
    }

    fn restore_ops(&self, target: &Self, _: &NodeId) -> Result<Vec<RegisterOp>, RestoreError> {
        if self.to_json() == target.to_json() {
            return Ok(Vec::new());
        }
        let value = target.get().cloned().unwrap_or_else(|| Value::Null.into());
        Ok(vec![self.set_op(value)])
    }

    fn settle(&mut self, _: &Coverage) {}

    fn shift_times(&mut self, ms: i64) {
        self.shift_time(ms);
    }

    fn encode(&self, writer: &mut StateWriter) {
        self.encode_with(writer, StateWriter::json);
    }

    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError> {
        Self::decode_with(reader, StateReader::json)
    }
}

impl_serde!(Register);
