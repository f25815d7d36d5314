//! The value of a node, and its fields.

use std::sync::Arc;

use serde_json::Value;

use crate::{
    action::Stamp,
    crdt::{crdt::Crdt, map::Map, path::Path, register::Register, view::View},
    json::Json,
};

/// What was written into a node after its creation. Most nodes have no writes to fields, and need
/// no [`Map`].
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Content {
    /// Writes of the whole value.
    Value(Register),
    /// Also writes of fields.
    Fields(Arc<Map>),
}

impl Content {
    pub(super) const fn empty() -> Self {
        Self::Value(Register::empty())
    }

    /// Writes the whole value, or a field, or deletes a field. Returns `false` if a later write
    /// wins.
    pub(super) fn write(&mut self, path: &Path, value: Option<Json>, stamp: &Stamp) -> bool {
        let is_field = !path.as_str().is_empty();
        if let Self::Value(register) = self
            && is_field
        {
            let mut map = Map::default();
            if let (Some(value), Some(stamp)) = (register.get(), register.stamp()) {
                map.set(&Path::root(), value.clone(), stamp);
            }
            *self = Self::Fields(Arc::new(map));
        }
        match (self, value) {
            (Self::Value(register), Some(value)) => register.set(value, stamp).is_some(),
            (Self::Value(_), None) => false,
            (Self::Fields(map), Some(value)) => Arc::make_mut(map).set(path, value, stamp),
            (Self::Fields(map), None) => Arc::make_mut(map).delete(path, stamp),
        }
    }

    /// Returns the value of a node that was created with the value `initial`.
    pub(super) fn value(&self, initial: Option<&Json>) -> Value {
        let written = match self {
            Self::Value(register) => register.get(),
            Self::Fields(map) => map.get(""),
        };
        let mut value = written.or(initial).map_or(Value::Null, Json::to_value);
        if let Self::Fields(map) = self {
            map.overlay(&Path::root(), &mut value);
        }
        value
    }

    /// Returns the value of a node that was created with the value `initial`, as it was written.
    pub(super) fn view(&self, initial: &Json) -> View {
        match self {
            Self::Value(register) => View::read(register.get().unwrap_or(initial).as_str()),
            Self::Fields(map) => {
                let mut view = View::read(map.get("").unwrap_or(initial).as_str());
                map.overlay_view(&Path::root(), &mut view);
                view
            }
        }
    }

    /// Returns `true` if nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Value(register) if register.is_empty())
    }

    /// Converts the times of the writes.
    pub(super) fn shift_times(&mut self, ms: i64) {
        match self {
            Self::Value(register) => register.shift_time(ms),
            Self::Fields(map) => Arc::make_mut(map).shift_times(ms),
        }
    }
}
