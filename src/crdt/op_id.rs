//! The ids of operations.

use core::{fmt, str::FromStr};
use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{
    action::{ActionId, IdError, Stamp},
    time::WallTime,
};

/// The unique id of an operation: the id of its action, and its index in the action. It names what
/// the operation creates, such as an item of a list.
///
/// Text form: that of the action's id for the first operation, `1564508138460 380:R7BNGAP5:px3-J3oc
/// 0`, and with the index as a fourth part for the others, `1564508138460 380:R7BNGAP5:px3-J3oc 0
/// 1`. Ids sort by node, then by creation.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpId {
    action: ActionId,
    index: u32,
}

impl OpId {
    /// Creates the id of the operation at an index in an action.
    pub const fn new(action: ActionId, index: u32) -> Self {
        Self { action, index }
    }

    /// Returns the id of the action.
    pub const fn action(&self) -> &ActionId {
        &self.action
    }

    /// Returns the index of the operation in the action.
    pub const fn index(&self) -> u32 {
        self.index
    }

    /// Returns the stamp of the operation, whose action has this corrected time.
    pub(super) fn stamp(&self, time: WallTime) -> Stamp {
        Stamp::new(time, self.action.clone()).of_operation(self.index)
    }
}

impl From<ActionId> for OpId {
    /// Returns the id of the first operation of an action.
    fn from(action: ActionId) -> Self {
        Self::new(action, 0)
    }
}

impl From<&ActionId> for OpId {
    /// Returns the id of the first operation of an action.
    fn from(action: &ActionId) -> Self {
        action.clone().into()
    }
}

impl From<&Self> for OpId {
    fn from(id: &Self) -> Self {
        id.clone()
    }
}

impl From<&Stamp> for OpId {
    fn from(stamp: &Stamp) -> Self {
        Self::new(stamp.id().clone(), stamp.operation())
    }
}

impl FromStr for OpId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        match text.rsplit_once(' ') {
            Some((action, index)) if action.bytes().filter(|byte| *byte == b' ').count() == 2 => {
                let index = index.parse().map_err(|_| IdError::BadSequence(text.into()))?;
                if index == 0 {
                    return Err(IdError::BadSequence(text.into()));
                }
                Ok(Self::new(action.parse()?, index))
            }
            _ => Ok(text.parse::<ActionId>()?.into()),
        }
    }
}

impl fmt::Display for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.action.fmt(f)?;
        if self.index > 0 { write!(f, " {}", self.index) } else { Ok(()) }
    }
}

impl fmt::Debug for OpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for OpId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OpId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip() {
        for text in ["1 10:a:b 0", "1 10:a:b 3 2"] {
            assert_eq!(text.parse::<OpId>().unwrap().to_string(), text);
        }
        for text in ["1 a", "1 a 0 0", "1 a 0 -1", "1 a 0 1 1", ""] {
            assert!(text.parse::<OpId>().is_err(), "{text:?}");
        }
    }
}
