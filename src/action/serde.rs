//! JSON forms: an id is its text; a stamp is the text of its id, or `[id, time]` if the corrected
//! time differs from the time of the id, or `[id, time, index]` for an operation of an action that
//! is not its first; an action is its unchanged text.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Action, ActionId, NodeId, Stamp};
use crate::{json::serialize_text, time::WallTime};

macro_rules! as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                text.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

as_text!(ActionId, NodeId);

impl Serialize for Stamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.operation() > 0 {
            (self.id(), self.time(), self.operation()).serialize(serializer)
        } else if self.time() == self.id().time() {
            self.id().serialize(serializer)
        } else {
            (self.id(), self.time()).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Stamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum StampJson {
            Id(ActionId),
            Corrected(ActionId, WallTime),
            Operation(ActionId, WallTime, u32),
        }
        Ok(match StampJson::deserialize(deserializer)? {
            StampJson::Id(id) => Self::new(id.time(), id),
            StampJson::Corrected(id, time) => Self::new(time, id),
            StampJson::Operation(id, time, index) => Self::new(time, id).of_operation(index),
        })
    }
}

impl Serialize for Action {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serialize_text(self.as_json(), serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_serialized_unchanged() {
        let text = r#"{"type":"a","n":1.50, "b":[ ]}"#;
        assert_eq!(serde_json::to_string(&Action::new(text).unwrap()).unwrap(), text);
    }

    #[test]
    fn stamps_round_trip() {
        for text in [r#""1 10:a:b 0""#, r#"["1 10:a:b 0",5]"#, r#"["1 10:a:b 0",1,2]"#] {
            let stamp: Stamp = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&stamp).unwrap(), text);
        }
        assert!(serde_json::from_str::<Stamp>(r#"["1 a 0",9e15]"#).is_err());
        assert!(serde_json::from_str::<ActionId>(r#""1 a""#).is_err());
    }
}
