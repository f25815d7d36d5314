//! The changes of a store in the form in which a database keeps them.

use logux::{
    Action, ActionId, Entry, Json, Meta, WallTime,
    action::Subprotocol,
    json::JsonObject,
    store::{StoreChange, Synced},
};
use serde::Serialize;

use crate::{
    call::CallError,
    fields::{FieldError, Fields},
};

/// A [`StoreChange`] as JSON, which IndexedDB keeps by the key `id` or `name`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "change", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum SavedChange {
    /// Remove everything.
    Clean,
    /// Write an entry.
    Put {
        /// The text of the id.
        id: String,
        /// The JSON of the action, as a text.
        action: String,
        /// The corrected time, in milliseconds since the epoch.
        time: i64,
        /// The number in the order of arrival.
        added: u64,
        /// The version of the application's protocol.
        #[serde(skip_serializing_if = "Option::is_none")]
        subprotocol: Option<Subprotocol>,
        /// Why the entry is kept.
        reasons: Vec<String>,
        /// Under which names it is found.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        indexes: Vec<String>,
        /// The other keys of the meta, as JSON.
        #[serde(skip_serializing_if = "Option::is_none")]
        extra: Option<String>,
    },
    /// Remove an entry.
    Remove {
        /// The text of the id.
        id: String,
    },
    /// Set a value, or remove it.
    Value {
        /// Its name.
        name: String,
        /// The value. `null`: remove it.
        value: Option<String>,
    },
    /// Write the numbers of the log.
    Numbers {
        /// The highest number that was assigned.
        last_added: u64,
        /// The last own entry that the server has confirmed.
        sent: u64,
        /// The last entry of the server that was received.
        received: u64,
    },
}

impl SavedChange {
    /// Reads what a database has.
    ///
    /// # Errors
    /// If it is not an object with the fields of a change.
    pub fn read(json: &Json) -> Result<Self, CallError> {
        let fields = Fields::new(json.as_str())?;
        let change: String = fields.read("change")?;
        Self::of(&change, &fields)?.ok_or(CallError::Unknown(change))
    }

    fn of(change: &str, fields: &Fields) -> Result<Option<Self>, FieldError> {
        let text = |name: &str| fields.read::<String>(name);
        let list = |name: &str| fields.optional::<Vec<String>>(name).map(Option::unwrap_or_default);
        Ok(Some(match change {
            "clean" => Self::Clean,
            "put" => Self::Put {
                id: text("id")?,
                action: text("action")?,
                time: fields.read("time")?,
                added: fields.read("added")?,
                subprotocol: fields.optional("subprotocol")?,
                reasons: list("reasons")?,
                indexes: list("indexes")?,
                extra: fields.optional("extra")?,
            },
            "remove" => Self::Remove { id: text("id")? },
            "value" => Self::Value { name: text("name")?, value: fields.optional("value")? },
            "numbers" => Self::Numbers {
                last_added: fields.read("lastAdded")?,
                sent: fields.read("sent")?,
                received: fields.read("received")?,
            },
            _ => return Ok(None),
        }))
    }
}

/// What a database has cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the entry {id} of the database cannot be read: {problem}")]
pub struct SavedChangeError {
    id: String,
    problem: String,
}

impl From<StoreChange> for SavedChange {
    fn from(change: StoreChange) -> Self {
        match change {
            StoreChange::Clean => Self::Clean,
            StoreChange::Put(Entry { action, meta }) => Self::Put {
                id: meta.id.to_string(),
                action: action.as_json().to_owned(),
                time: meta.time.as_millis(),
                added: meta.added.unwrap_or_default(),
                subprotocol: meta.subprotocol,
                reasons: meta.reasons.iter().map(ToString::to_string).collect(),
                indexes: meta.indexes.iter().map(ToString::to_string).collect(),
                extra: (!meta.extra.is_empty()).then(|| meta.extra.to_json()),
            },
            StoreChange::Remove(id) => Self::Remove { id: id.to_string() },
            StoreChange::Value(name, value) => Self::Value { name, value },
            StoreChange::Numbers { last_added, synced } => {
                Self::Numbers { last_added, sent: synced.sent, received: synced.received }
            }
        }
    }
}

impl TryFrom<SavedChange> for StoreChange {
    type Error = SavedChangeError;

    fn try_from(saved: SavedChange) -> Result<Self, SavedChangeError> {
        Ok(match saved {
            SavedChange::Clean => Self::Clean,
            SavedChange::Put {
                id: text,
                action,
                time,
                added,
                subprotocol,
                reasons,
                indexes,
                extra,
            } => {
                let unreadable = |problem: String| SavedChangeError { id: text.clone(), problem };
                let id = parse_id(&text)?;
                let action = Action::new(action).map_err(|error| unreadable(error.to_string()))?;
                let extra = match extra {
                    Some(json) => {
                        let json =
                            Json::new(json).map_err(|error| unreadable(error.to_string()))?;
                        JsonObject::from_json(json.as_str())
                            .map_err(|error| unreadable(error.to_string()))?
                    }
                    None => JsonObject::default(),
                };
                let meta = Meta {
                    time: WallTime::from_millis(time),
                    added: Some(added),
                    subprotocol,
                    reasons: reasons.into_iter().map(Into::into).collect(),
                    indexes: indexes.into_iter().map(Into::into).collect(),
                    extra,
                    ..Meta::new(id)
                };
                Self::Put(Entry::new(action, meta))
            }
            SavedChange::Remove { id } => Self::Remove(parse_id(&id)?),
            SavedChange::Value { name, value } => Self::Value(name, value),
            SavedChange::Numbers { last_added, sent, received } => {
                Self::Numbers { last_added, synced: Synced { sent, received } }
            }
        })
    }
}

fn parse_id(text: &str) -> Result<ActionId, SavedChangeError> {
    text.parse::<ActionId>()
        .map_err(|error| SavedChangeError { id: text.to_owned(), problem: error.to_string() })
}
