//! The actions of Logux itself, `logux/*`, as types.
//!
//! Read [`Processed`] and [`Undo`], the answers to actions, then [`Subscribe`] and the others.

use serde::{Deserialize, Serialize};

use super::{Action, ActionError, ActionId};
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
/// The type of an action with which an application ends subscriptions of clients.
pub const UNSUBSCRIBED: &str = "logux/unsubscribed";

/// Returns `true` if an action type belongs to Logux.
pub fn is_logux(kind: &str) -> bool {
    kind.starts_with("logux/")
}

/// `{"type":"logux/processed","id":ID}`: the server has processed the action `id`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Processed {
    /// The text of the action's id.
    pub id: String,
}

impl Processed {
    /// Returns the action. It is written without serde, because a server sends one for every
    /// action.
    ///
    /// # Errors
    /// None in practice: a string can always be serialized.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        let mut json = String::with_capacity(self.id.len() + 34);
        json.push_str(r#"{"type":"logux/processed","id":"#);
        write_string(&mut json, &self.id);
        json.push('}');
        Action::new(json)
    }
}

/// `{"type":"logux/undo","action":{…},"id":ID,"reason":"denied"}`: the action `id` has no effect
/// any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undo {
    /// The text of the action's id.
    pub id: String,
    /// The reason: `denied`, `error`, `unknownType`, `wrongChannel`, `notFound`, or a string of the
    /// application.
    pub reason: String,
    /// The undone action.
    pub action: Option<Action>,
    /// Additional keys of the application.
    pub extra: Vec<(String, Json)>,
}

/// The keys that [`Undo::extra`] cannot have.
const RESERVED: [&str; 4] = ["type", "action", "id", "reason"];

/// The size in bytes up to which an undone action is part of its undo.
const MAX_UNDONE_BYTES: usize = 64 * 1024;

impl Undo {
    /// Returns the undo of an action by a user. It contains the undone action, except an undo, for
    /// programs that show it, and for servers that have settled it. A large action is shortened to
    /// its type and its `id`: otherwise the undo could be too large for a server that accepts the
    /// action.
    pub fn of(id: &ActionId, reason: impl Into<String>, undone: Option<Action>) -> Self {
        let is_small = |action: &Action| action.as_json().len() <= MAX_UNDONE_BYTES;
        let action = match undone.filter(|action| action.kind() != UNDO) {
            Some(action) if !is_small(&action) => shortened(&action).filter(is_small),
            action => action,
        };
        Self { id: id.to_string(), reason: reason.into(), action, extra: Vec::new() }
    }

    /// Returns the action with these fields. Leaves out the keys `type`, `action`, `id` and
    /// `reason` of [`extra`](Self::extra), and an undone action that is nested so deep that it
    /// cannot be part of another one.
    ///
    /// # Errors
    /// None in practice: the fields can always be serialized.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        match self.to_action_with(self.action.as_ref()) {
            Err(ActionError::Json(_)) if self.action.is_some() => self.to_action_with(None),
            result => result,
        }
    }

    fn to_action_with(&self, undone: Option<&Action>) -> Result<Action, ActionError> {
        let mut json = String::from("{\"type\":\"logux/undo\"");
        let mut field = |key: &str, value: &str| {
            json.push(',');
            write_string(&mut json, key);
            json.push(':');
            json.push_str(value);
        };
        if let Some(action) = undone {
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

    /// Reads an undo. `None` if the action has another type or no id.
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

/// Returns an action of the same type with nothing but the `id`, which names a document or record.
fn shortened(action: &Action) -> Option<Action> {
    #[derive(Serialize)]
    struct Fields<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<&'a str>,
    }
    let id = action.str_field("id");
    Action::typed(action.kind(), &Fields { id: id.as_deref() }).ok()
}

/// `{"type":"logux/subscribe","channel":"users/10"}`: a request for the state of the channel and
/// its future actions.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Subscribe {
    /// The channel.
    pub channel: String,
    /// The last action of the channel that the client has, to load only later ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Since>,
}

/// The last action of a channel that a client has received.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    /// The text of the action's id.
    pub id: String,
    /// Its time, in milliseconds since the epoch.
    pub time: i64,
    /// The `added` number of the server up to which the client has received everything of the
    /// channel, if `id` is the server's answer to an earlier subscription. Official clients do not
    /// send it, and official servers ignore it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub added: Option<u64>,
}

/// `{"type":"logux/subscribed","channel":"users/10"}`: the server has subscribed the client without
/// a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscribed {
    /// The channel.
    pub channel: String,
}

/// `{"type":"logux/unsubscribe","channel":"users/10"}`: the end of a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unsubscribe {
    /// The channel.
    pub channel: String,
}

macro_rules! to_action {
    ($($type:ty: $kind:expr;)*) => {$(
        impl $type {
            /// Returns the action with these fields.
            ///
            /// # Errors
            /// None in practice: the fields can always be serialized.
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
    fn undos_of_users_contain_small_actions() {
        let id: ActionId = "1 10:a:b 0".parse().unwrap();
        let undo = |json: String| {
            let action = Undo::of(&id, "why", Some(Action::new(json).unwrap())).action;
            action.map(|action| action.as_json().to_owned())
        };
        let edit = |text: String| format!(r#"{{"type":"notes/edit","id":"7","text":"{text}"}}"#);
        assert_eq!(undo(edit("a".into())), Some(edit("a".into())));
        let large = "a".repeat(MAX_UNDONE_BYTES);
        assert_eq!(undo(edit(large.clone())).unwrap(), r#"{"type":"notes/edit","id":"7"}"#);
        assert_eq!(undo(format!(r#"{{"type":"a","b":"{large}"}}"#)).unwrap(), r#"{"type":"a"}"#);
        assert_eq!(undo(format!(r#"{{"type":"{large}"}}"#)), None);
        assert_eq!(undo(r#"{"type":"logux/undo","id":"0 10:a:b 0"}"#.into()), None);
    }

    #[test]
    fn undo_round_trips() {
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
