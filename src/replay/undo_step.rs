//! The steps that an undo manager undoes and redoes.

use core::fmt;

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
    ser::SerializeStruct as _,
};

use crate::{
    action::{Action, ActionId},
    json::Json,
    time::WallTime,
};

/// The largest selection that a step keeps, in bytes of JSON. A larger one is forgotten.
pub const MAX_SELECTION: usize = 16_384;

/// Edits that are undone and redone together: own actions, or their undos. In JSON, an array of
/// items, or with a selection, an object with the fields `items` and `selection`, which is a string
/// with the text of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UndoStep {
    /// What is undone or redone, in the order in which it was done.
    pub items: Vec<UndoItem>,
    /// What was selected before, for the user who undoes or redoes the step: any JSON value, such
    /// as a [`Selection`](crate::crdt::Selection).
    pub selection: Option<Json>,
}

/// What a manager has undone or redone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RevertedStep {
    /// The selection to show: of an undo, the one before the first edit of the step; of a redo, the
    /// one before the undo. `None` if there was none.
    pub selection: Option<Json>,
}

/// What an [`UndoStep`] undoes or redoes. In JSON, an id or an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum UndoItem {
    /// An action in the log, also an undo.
    Action(ActionId),
    /// An action that is not in the log any more, because it was undone before it was sent to the
    /// server. Only in steps of a [`Client`](crate::client::Client).
    Dropped {
        /// The id that the action gets again.
        id: ActionId,
        /// The time that the action gets again, in milliseconds.
        time: WallTime,
        /// The action. In JSON, a string with its text.
        #[serde(serialize_with = "write_action")]
        action: Action,
    },
}

/// Writes an action as a string in JSON.
fn write_action<S: Serializer>(action: &Action, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(action.as_json())
}

impl Serialize for UndoStep {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Some(selection) = &self.selection else { return self.items.serialize(to) };
        let mut step = to.serialize_struct("UndoStep", 2)?;
        step.serialize_field("items", &self.items)?;
        step.serialize_field("selection", selection.as_str())?;
        step.end()
    }
}

// An untagged enum would read everything into a buffer first.

impl<'de> Deserialize<'de> for UndoStep {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(StepVisitor)
    }
}

struct StepVisitor;

impl<'de> Visitor<'de> for StepVisitor {
    type Value = UndoStep;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of items, or an object with items and a selection")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<UndoStep, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = array.next_element()? {
            items.push(item);
        }
        Ok(UndoStep { items, selection: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UndoStep, A::Error> {
        #[derive(Deserialize)]
        struct Selected {
            items: Vec<UndoItem>,
            selection: String,
        }
        let Selected { items, selection } = Selected::deserialize(MapAccessDeserializer::new(map))?;
        let selection = Json::new(selection).map_err(A::Error::custom)?;
        Ok(UndoStep { items, selection: Some(selection) })
    }
}

impl<'de> Deserialize<'de> for UndoItem {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ItemVisitor)
    }
}

struct ItemVisitor;

impl<'de> Visitor<'de> for ItemVisitor {
    type Value = UndoItem;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the id of an action, or an object with an id, a time and an action")
    }

    fn visit_str<E: Error>(self, id: &str) -> Result<UndoItem, E> {
        id.parse().map(UndoItem::Action).map_err(E::custom)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<UndoItem, A::Error> {
        #[derive(Deserialize)]
        struct Dropped {
            id: ActionId,
            time: WallTime,
            action: String,
        }
        let Dropped { id, time, action } = Dropped::deserialize(MapAccessDeserializer::new(map))?;
        let action = Action::new(action).map_err(A::Error::custom)?;
        Ok(UndoItem::Dropped { id, time, action })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stores have steps without a selection as arrays.
    #[test]
    fn steps_round_trip() {
        let dropped = r#"{"id":"2 10:a:b 0","time":2,"action":"{\"type\":\"a\"}"}"#;
        for json in [
            "[]".to_owned(),
            format!(r#"["1 10:a:b 0",{dropped}]"#),
            format!(r#"{{"items":["1 10:a:b 0",{dropped}],"selection":"{{\"head\": 1e2}}"}}"#),
            r#"{"items":["1 10:a:b 0"],"selection":"null"}"#.to_owned(),
        ] {
            let step: UndoStep = serde_json::from_str(&json).unwrap();
            assert_eq!(serde_json::to_string(&step).unwrap(), json);
        }
        for json in [r#"{"items":[]}"#, r#"{"items":[],"selection":"{"}"#, r#"["1 a"]"#] {
            assert!(serde_json::from_str::<UndoStep>(json).is_err(), "{json}");
        }
    }
}
