//! The id of an action, and a generator of strictly increasing ids.

use core::{cmp::Ordering, fmt, str::FromStr};

use super::{IdError, NodeId};
use crate::{json::write_integer, time::WallTime};

/// The unique id of an action: the creation time, the node that created it, a sequence number.
///
/// Text form: `1564508138460 380:R7BNGAP5:px3-J3oc 0`, with the time in milliseconds. This time is
/// from the clock of the creating node; actions are ordered by the corrected time, the `time` of
/// [`Meta`](super::Meta).
///
/// ```
/// use logux::action::ActionId;
/// let id: ActionId = "1564508138460 380:R7BNGAP5:px3-J3oc 0".parse()?;
/// assert_eq!(id.node().client_id(), "380:R7BNGAP5");
/// assert_eq!(id.to_string(), "1564508138460 380:R7BNGAP5:px3-J3oc 0");
/// # Ok::<(), logux::action::IdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ActionId {
    time: WallTime,
    node: NodeId,
    sequence: u32,
}

impl ActionId {
    /// Creates an id from its parts.
    pub const fn new(time: WallTime, node: NodeId, sequence: u32) -> Self {
        Self { time, node, sequence }
    }

    /// Returns the creation time by the clock of the creating node.
    pub const fn time(&self) -> WallTime {
        self.time
    }

    /// Returns the node that created the action.
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// Returns the sequence number, which distinguishes actions that one node created in the same
    /// millisecond.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Appends the text form to `out`, without `core::fmt`.
    pub(crate) fn write_to(&self, out: &mut String) {
        // At most 17 bytes for the time, 10 for the sequence number and 2 for the spaces.
        out.reserve(self.node.as_str().len() + 29);
        write_integer(out, self.time.as_millis());
        out.push(' ');
        out.push_str(self.node.as_str());
        out.push(' ');
        write_integer(out, self.sequence);
    }

    /// Returns the text form, as written by [`Display`](fmt::Display).
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_to(&mut text);
        text
    }
}

/// Sorts ids by node, and the ids of one node by creation. The order of actions is that of
/// [`Stamp`](super::Stamp), not this one.
impl Ord for ActionId {
    fn cmp(&self, other: &Self) -> Ordering {
        let creation = |id: &Self| (id.time, id.sequence);
        self.node.cmp(&other.node).then_with(|| creation(self).cmp(&creation(other)))
    }
}

impl AsRef<NodeId> for ActionId {
    /// Returns the node.
    fn as_ref(&self) -> &NodeId {
        self.node()
    }
}

impl PartialOrd for ActionId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl FromStr for ActionId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let not_three_parts = || IdError::NotThreeParts(text.into());
        let (time, rest) = text.split_once(' ').ok_or_else(not_three_parts)?;
        let (node, sequence) = rest.split_once(' ').ok_or_else(not_three_parts)?;
        if sequence.contains(' ') {
            return Err(not_three_parts());
        }
        let time = time
            .parse()
            .ok()
            .and_then(WallTime::checked_from_millis)
            .ok_or_else(|| IdError::BadTime(text.into()))?;
        let sequence = sequence.parse().map_err(|_| IdError::BadSequence(text.into()))?;
        Ok(Self { time, node: NodeId::new(node)?, sequence })
    }
}

/// Generates the ids of one node. Ids increase strictly, even when the clock goes backwards.
///
/// As in the reference, an id has the time of the previous id and the next sequence number while
/// the clock is not later than that time.
#[derive(Clone, Debug)]
pub struct IdGenerator {
    node: NodeId,
    last: Option<(WallTime, u32)>,
}

impl IdGenerator {
    /// Creates a generator of ids of `node`.
    pub const fn new(node: NodeId) -> Self {
        Self { node, last: None }
    }

    /// Returns the node of the ids.
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// Makes all next ids later than `id`, if `id` is of this node. To be called with the last id
    /// of the node in a store.
    pub fn observe(&mut self, id: &ActionId) {
        if id.node == self.node && self.last < Some((id.time, id.sequence)) {
            self.last = Some((id.time, id.sequence));
        }
    }

    /// Returns the next id.
    pub fn next(&mut self, now: WallTime) -> ActionId {
        let (time, sequence) = match self.last {
            Some((last, u32::MAX)) if now <= last => (last.shifted(1), 0),
            Some((last, sequence)) if now <= last => (last, sequence + 1),
            _ => (now, 0),
        };
        self.last = Some((time, sequence));
        ActionId { time, node: self.node.clone(), sequence }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_invalid_ids() {
        for text in [
            "",
            "1",
            "1 a",
            "1 a 0 0",
            "x a 0",
            "1  0",
            "1 a -1",
            "1 a 4294967296",
            "9e9 a 0",
            "1.5 a 0",
        ] {
            assert!(text.parse::<ActionId>().is_err(), "{text:?}");
        }
        assert!("-1 a 0".parse::<ActionId>().is_ok());
    }

    #[test]
    fn ids_increase_when_the_clock_goes_backwards() {
        let mut ids = IdGenerator::new(NodeId::new("a").unwrap());
        let generated: Vec<String> =
            [5, 5, 3, 6, 6].map(|ms| ids.next(WallTime::from_millis(ms)).to_string()).into();
        assert_eq!(generated, ["5 a 0", "5 a 1", "5 a 2", "6 a 0", "6 a 1"]);
    }

    #[test]
    fn continues_after_an_observed_id() {
        let mut ids = IdGenerator::new(NodeId::new("a").unwrap());
        ids.observe(&"9 a 4".parse().unwrap());
        ids.observe(&"99 b 0".parse().unwrap());
        assert_eq!(ids.next(WallTime::from_millis(7)).to_string(), "9 a 5");
    }
}
