//! The steps that an undo manager undoes and redoes.

use serde::{Deserialize, Serialize};

use crate::{
    action::{Action, ActionId},
    json::{Json, JsonError},
    time::WallTime,
};

/// The largest selection that a step keeps, in bytes of JSON. A larger one is forgotten.
pub const MAX_SELECTION: usize = 16_384;

/// Edits that are undone and redone together: own actions, or their undos. In JSON, an array of
/// items, or with a selection, an object with the fields `items` and `selection`, which is a string
/// with the text of the value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StepForm", into = "StepForm")]
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

/// An [`UndoStep`] in JSON.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum StepForm {
    Items(Vec<UndoItem>),
    Selected { items: Vec<UndoItem>, selection: String },
}

impl TryFrom<StepForm> for UndoStep {
    type Error = JsonError;

    fn try_from(form: StepForm) -> Result<Self, JsonError> {
        Ok(match form {
            StepForm::Items(items) => Self { items, selection: None },
            StepForm::Selected { items, selection } => {
                Self { items, selection: Some(Json::new(selection)?) }
            }
        })
    }
}

impl From<UndoStep> for StepForm {
    fn from(UndoStep { items, selection }: UndoStep) -> Self {
        match selection {
            Some(selection) => Self::Selected { items, selection: selection.as_str().to_owned() },
            None => Self::Items(items),
        }
    }
}

/// What an [`UndoStep`] undoes or redoes. In JSON, an id or an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
        #[serde(with = "action_text")]
        action: Action,
    },
}

/// An action as a string in JSON.
mod action_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::Action;

    pub(super) fn serialize<S: Serializer>(action: &Action, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(action.as_json())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Action, D::Error> {
        Action::new(String::deserialize(from)?).map_err(D::Error::custom)
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
