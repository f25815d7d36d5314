//! The actions of Logux itself, `logux/*`, as types.

use serde::{Deserialize, Serialize};

use super::{Action, ActionError};
use crate::json::{Json, JsonObject, write_string};

/// The type of [`Processed`].
pub const PROCESSED: &str = "logux/processed";
/// The type of [`Undo`].
pub const UNDO: &str = "logux/undo";
/// The type of [`Subscribe`].
pub const SUBSCRIBE: &str = "logux/subscribe";
/// The type of [`Subscribed`].
pub const SUBSCRIBED: &str = "logux/subscribed";
/// The type of [`Unsubscribe`].
pub const UNSUBSCRIBE: &str = "logux/unsubscribe";

/// Whether a type belongs to Logux.
pub fn is_logux(kind: &str) -> bool {
    kind.starts_with("logux/")
}

/// `{"type":"logux/processed","id":ID}`: the server has done what the action `id` asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processed {
    /// The text of the action's id.
    pub id: String,
}

impl Processed {
    /// The action with this id. Written at once, without serde: a server says it of every action.
    ///
    /// # Errors
    /// None in practice: a text can always be written as JSON.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        let mut json = String::with_capacity(self.id.len() + 34);
        json.push_str(r#"{"type":"logux/processed","id":"#);
        write_string(&mut json, &self.id);
        json.push('}');
        Action::new(json)
    }
}

/// `{"type":"logux/undo","action":{…},"id":ID,"reason":"denied"}`: take the action `id` back, as if it never was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The text of the action's id.
    pub id: String,
    /// Why: `denied`, `error`, `unknownType`, `wrongChannel`, `notFound`, or a word of the application's own.
    pub reason: String,
    /// The action that is taken back.
    pub action: Option<Action>,
    /// Keys of the application's own.
    pub extra: Vec<(String, Json)>,
}

/// The keys of an undo that are not the application's own.
const RESERVED: [&str; 4] = ["type", "action", "id", "reason"];

impl Undo {
    /// The action with these fields.
    ///
    /// Extra keys that are the undo's own are left out.
    ///
    /// # Errors
    /// None in practice: the fields can always be written as JSON.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        let mut json = String::from("{\"type\":\"logux/undo\"");
        let mut field = |key: &str, value: &str| {
            json.push(',');
            write_string(&mut json, key);
            json.push(':');
            json.push_str(value);
        };
        if let Some(action) = &self.action {
            field("action", action.as_json());
        }
        field("id", Json::from_value(&self.id).map_err(ActionError::Write)?.as_str());
        field("reason", Json::from_value(&self.reason).map_err(ActionError::Write)?.as_str());
        for (key, value) in self.extra.iter().filter(|(key, _)| !RESERVED.contains(&&**key)) {
            field(key, value.as_str());
        }
        json.push('}');
        Action::new(json)
    }

    /// Reads an undo; `None` if the action is something else, or has no id.
    pub fn from_action(action: &Action) -> Option<Self> {
        if action.kind() != UNDO {
            return None;
        }
        let extra = JsonObject::from_json(action.as_json()).ok()?;
        Some(Self {
            id: action.str_field("id")?.into_owned(),
            reason: action.str_field("reason").map(Into::into).unwrap_or_default(),
            action: action.field("action").and_then(|json| Action::new(json).ok()),
            extra: extra
                .iter()
                .filter(|(key, _)| !RESERVED.contains(key))
                .map(|(key, value)| (key.to_owned(), value.clone()))
                .collect(),
        })
    }
}

/// `{"type":"logux/subscribe","channel":"users/10"}`: send me what happens in the channel, from now on or since a moment.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscribe {
    /// The channel.
    pub channel: String,
    /// Send only what comes after this action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// The last action of a channel that a client has got.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The text of the action's id.
    pub id: String,
    /// Its time, in milliseconds since the epoch.
    pub time: i64,
}

/// `{"type":"logux/subscribed","channel":"users/10"}`: the server has subscribed the client by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The channel.
    pub channel: String,
}

/// `{"type":"logux/unsubscribe","channel":"users/10"}`: send me no more of the channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// The channel.
    pub channel: String,
}

macro_rules! to_action {
    ($($type:ty: $kind:expr;)*) => {$(
        impl $type {
            /// The action with these fields.
            ///
            /// # Errors
            /// None in practice: the fields can always be written as JSON.
            pub fn to_action(&self) -> Result<Action, ActionError> {
                Action::typed($kind, self)
            }
        }
    )*};
}

to_action! {
    Subscribe: SUBSCRIBE;
    Subscribed: SUBSCRIBED;
    Unsubscribe: UNSUBSCRIBE;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undo_round_trip() {
        let undo = Undo {
            id: "1 10:a:b 0".into(),
            reason: "denied".into(),
            action: Some(Action::new(r#"{"type":"a"}"#).unwrap()),
            extra: vec![("why".into(), Json::new("[1]").unwrap())],
        };
        let action = undo.to_action().unwrap();
        assert_eq!(
            action.as_json(),
            r#"{"type":"logux/undo","action":{"type":"a"},"id":"1 10:a:b 0","reason":"denied","why":[1]}"#
        );
        assert_eq!(Undo::from_action(&action), Some(undo));
    }
}
