//! Conversion between action ids and their short forms on the wire.

use super::CompactId;
use crate::{
    action::{ActionId, NodeId},
    time::WallTime,
};

impl CompactId {
    /// Creates the short form of an id in a message from `sender`, with a time relative to `base`.
    pub fn of(id: &ActionId, base: WallTime, sender: &NodeId) -> Self {
        let time = id.time().since(base);
        match id.sequence() {
            0 if id.node() == sender => Self::Time(time),
            sequence if id.node() == sender => Self::Own(time, sequence),
            sequence => Self::Full(time, id.node().clone(), sequence),
        }
    }

    /// Returns the full id. `None` if its time is outside of the range of a JavaScript `Date`.
    pub fn expand(self, base: WallTime, sender: &NodeId) -> Option<ActionId> {
        let (time, node, sequence) = match self {
            Self::Time(time) => (time, sender.clone(), 0),
            Self::Own(time, sequence) => (time, sender.clone(), sequence),
            Self::Full(time, node, sequence) => (time, node, sequence),
        };
        let time = WallTime::checked_from_millis(time.checked_add(base.as_millis())?)?;
        Some(ActionId::new(time, node, sequence))
    }
}
