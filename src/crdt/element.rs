//! The names of elements of texts, lists and trees.

use core::{fmt, str::FromStr};
use std::borrow::Cow;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::{action::NodeId, replay::Malformed};

/// The name of an element of a text, list or tree: the node that inserted it, and the node's own
/// count of the elements that it has inserted into the document.
///
/// Text form: `@380:R7BNGAP5:px3-J3oc 12`. Names sort by node, then by count.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ElementId {
    node: NodeId,
    counter: u32,
}

/// The maximum counter of an element.
pub const MAX_COUNTER: u32 = u32::MAX - 1;

impl ElementId {
    /// Creates the name of an element.
    pub const fn new(node: NodeId, counter: u32) -> Self {
        Self { node, counter }
    }

    /// Returns the node that inserted the element.
    pub const fn node(&self) -> &NodeId {
        &self.node
    }

    /// Returns the number of elements that the node had inserted into the document before.
    pub const fn counter(&self) -> u32 {
        self.counter
    }
}

/// A string is not the name of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ElementIdError(Box<str>);

impl fmt::Display for ElementIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected the name of an element such as \"@10:a:b 12\", got {:?}", self.0)
    }
}

impl core::error::Error for ElementIdError {}

impl FromStr for ElementId {
    type Err = ElementIdError;

    fn from_str(text: &str) -> Result<Self, ElementIdError> {
        let parts = text.strip_prefix('@').and_then(|text| text.rsplit_once(' '));
        parts
            .and_then(|(node, counter)| {
                let is_canonical = counter == "0" || !counter.starts_with(['0', '+']);
                let counter = counter.parse().ok().filter(|_| is_canonical)?;
                Some(Self { node: NodeId::new(node).ok()?, counter })
            })
            .filter(|id| id.counter <= MAX_COUNTER)
            .ok_or_else(|| ElementIdError(text.into()))
    }
}

impl fmt::Display for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "@{} {}", self.node, self.counter)
    }
}

impl fmt::Debug for ElementId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

impl Serialize for ElementId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ElementId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

/// An element in an operation. In JSON, an element of the operation's own author is its counter,
/// and another one is its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementRef {
    /// An element of the author of the operation.
    Own(u32),
    /// An element of any node.
    Of(ElementId),
}

impl ElementRef {
    /// Refers to an element in an operation of `author`.
    pub fn new(id: ElementId, author: &NodeId) -> Self {
        if id.node == *author { Self::Own(id.counter) } else { Self::Of(id) }
    }

    /// Returns the name of the element, for an operation of `author`.
    pub fn id(&self, author: &NodeId) -> ElementId {
        match self {
            Self::Own(counter) => ElementId::new(author.clone(), *counter),
            Self::Of(id) => id.clone(),
        }
    }

    /// Returns the node and the counter of the element, for an operation of `author`.
    pub(super) const fn parts<'a>(&'a self, author: &'a NodeId) -> (&'a NodeId, u32) {
        match self {
            Self::Own(counter) => (author, *counter),
            Self::Of(id) => (&id.node, id.counter),
        }
    }
}

impl Serialize for ElementRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(counter) => serializer.serialize_u32(*counter),
            Self::Of(id) => id.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ElementRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Own(u32),
            Of(ElementId),
        }
        match Form::deserialize(deserializer)? {
            Form::Own(counter) if counter <= MAX_COUNTER => Ok(Self::Own(counter)),
            Form::Own(counter) => Err(D::Error::custom(format!(
                "expected the counter of an element up to {MAX_COUNTER}, got {counter}"
            ))),
            Form::Of(id) => Ok(Self::Of(id)),
        }
    }
}

/// Checks the names of new elements, and those of the elements beside them.
pub(super) fn check_origins(
    first: u32,
    len: u32,
    origins: [&Option<ElementRef>; 2],
) -> Result<(), Malformed> {
    if first > MAX_COUNTER || MAX_COUNTER - first < len {
        return Err(Malformed::new(format!(
            "expected counters of elements up to {MAX_COUNTER}, got {len} from {first} on"
        )));
    }
    for origin in origins {
        if let Some(ElementRef::Own(counter)) = origin
            && *counter >= first
        {
            return Err(Malformed::new(format!(
                "expected an earlier element beside element {first}, got element {counter}"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip() {
        for text in ["@10:a:b 0", "@a 4294967294"] {
            assert_eq!(text.parse::<ElementId>().unwrap().to_string(), text);
        }
        for text in ["10:a:b 0", "@a", "@ 1", "@a 01", "@a -1", "@a 4294967295", "@a b 1", "@", ""]
        {
            assert!(text.parse::<ElementId>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn own_elements_are_numbers_in_json() {
        let author = NodeId::new("10:a:b").unwrap();
        for (id, json) in [("@10:a:b 7", "7"), ("@20:a:b 7", "\"@20:a:b 7\"")] {
            let id: ElementId = id.parse().unwrap();
            let reference = ElementRef::new(id.clone(), &author);
            assert_eq!(serde_json::to_string(&reference).unwrap(), json);
            let read: ElementRef = serde_json::from_str(json).unwrap();
            assert_eq!(read.id(&author), id);
        }
        assert!(serde_json::from_str::<ElementRef>("4294967295").is_err());
    }
}
