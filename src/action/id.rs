//! The id of an action, and the generator of ids that only grow.

use core::{cmp::Ordering, fmt, str::FromStr};

use super::{IdError, NodeId};
use crate::{
    json::{write_count, write_integer},
    time::WallTime,
};

/// Name of one action, unique for ever: the time on the creating node, that node, a sequence number.
///
/// Text form: `1564508138460 380:R7BNGAP5:px3-J3oc 0`. The time inside is what the creating node's own clock said; the
/// corrected time, by which actions are ordered, is the `time` of [`Meta`](super::Meta).
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
    /// Puts an id together.
    pub const fn new(time: WallTime, node: NodeId, sequence: u32) -> Self {
        Self { time, node, sequence }
    }

    /// When the creating node's own clock said the action was made.
    pub const fn time(&self) -> WallTime {
        self.time
    }

    /// The node that made the action.
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// Tells actions apart that one node made within one millisecond.
    pub const fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Writes the text form behind what is in `out`, without the formatter of the standard library.
    pub(crate) fn write_to(&self, out: &mut String) {
        // The longest time has 17 bytes, the longest number 10.
        out.reserve(self.node.as_str().len() + 29);
        write_integer(out, self.time.as_millis());
        out.push(' ');
        out.push_str(self.node.as_str());
        out.push(' ');
        write_count(out, self.sequence.into());
    }

    /// The text form, as [`Display`](fmt::Display) writes it.
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::new();
        self.write_to(&mut text);
        text
    }
}

/// Groups ids by node, and those of a node in the order in which it made them. The order of actions is [`Stamp`](super::Stamp)'s.
impl Ord for ActionId {
    fn cmp(&self, other: &Self) -> Ordering {
        let within = |id: &Self| (id.time, id.sequence);
        self.node.cmp(&other.node).then_with(|| within(self).cmp(&within(other)))
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
        let wrong = || IdError::NotThreeParts(text.into());
        let (time, rest) = text.split_once(' ').ok_or_else(wrong)?;
        let (node, sequence) = rest.split_once(' ').ok_or_else(wrong)?;
        if sequence.contains(' ') {
            return Err(wrong());
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

/// Makes ids of one node. Each id is later than the one before, also when the clock steps back.
///
/// As the reference does, the time of the last id is used again with the next sequence number while the clock is not
/// beyond it.
#[derive(Clone, Debug)]
pub struct IdGenerator {
    node: NodeId,
    last: Option<(WallTime, u32)>,
}

impl IdGenerator {
    /// A generator for `node` that has made no ids yet.
    pub const fn new(node: NodeId) -> Self {
        Self { node, last: None }
    }

    /// The node whose ids are made.
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// Makes sure that ids to come are later than `id`, if it is of this node: call it with the last id found in a store.
    pub fn observe(&mut self, id: &ActionId) {
        if id.node == self.node && self.last < Some((id.time, id.sequence)) {
            self.last = Some((id.time, id.sequence));
        }
    }

    /// The next id.
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
    fn refuses_what_is_not_an_id() {
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
    fn ids_grow_when_the_clock_steps_back() {
        let mut ids = IdGenerator::new(NodeId::new("a").unwrap());
        let made: Vec<String> =
            [5, 5, 3, 6, 6].map(|ms| ids.next(WallTime::from_millis(ms)).to_string()).into();
        assert_eq!(made, ["5 a 0", "5 a 1", "5 a 2", "6 a 0", "6 a 1"]);
    }

    #[test]
    fn continues_after_an_observed_id() {
        let mut ids = IdGenerator::new(NodeId::new("a").unwrap());
        ids.observe(&"9 a 4".parse().unwrap());
        ids.observe(&"99 b 0".parse().unwrap());
        assert_eq!(ids.next(WallTime::from_millis(7)).to_string(), "9 a 5");
    }
}
