//! The actions of presence, `presence/*`, as types: who is in a channel, and what each shows of
//! itself to the others, such as a name, a colour and cursors.

use core::time::Duration;

use super::{Action, ActionError, NodeId};
use crate::json::{Json, write_string};

/// The type of [`PresenceSet`].
pub const PRESENCE_SET: &str = "presence/set";
/// The type of [`PresenceChanged`].
pub const PRESENCE_CHANGED: &str = "presence/changed";

/// The time after which a node that has not sent its state again is not in the channel any more.
/// Clients repeat it after half of this time.
pub const PRESENCE_TIMEOUT: Duration = Duration::from_secs(30);

/// `{"type":"presence/set","channel":"notes/7","state":{"name":"Ada","cursors":[…]}}`: what a node
/// shows of itself in a channel. With the state `null`, the node is not in the channel any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceSet {
    /// The channel.
    pub channel: String,
    /// The state. `None` for `null`.
    pub state: Option<Json>,
}

impl PresenceSet {
    /// Reads the action. `None` if it has another type, no `channel` that is a string, or no
    /// `state`.
    pub fn from_action(action: &Action) -> Option<Self> {
        if action.kind() != PRESENCE_SET {
            return None;
        }
        let channel = action.str_field("channel")?.into_owned();
        let state = action.field("state")?;
        Some(Self { channel, state: (state != "null").then(|| Json::checked(state)) })
    }

    /// Returns the action with these fields.
    ///
    /// # Errors
    /// If the state is nested so deep that it cannot be part of an action.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        let mut json = String::from(r#"{"type":"presence/set","channel":"#);
        write_string(&mut json, &self.channel);
        json.push_str(r#","state":"#);
        json.push_str(self.state.as_ref().map_or("null", Json::as_str));
        json.push('}');
        Action::new(json)
    }
}

/// `{"type":"presence/changed","channel":"notes/7","states":{"10:a:b":{…},"20:c:d":null}}`: the
/// states that have changed, by node. `null`: the node is not in the channel any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresenceChanged {
    /// The channel.
    pub channel: String,
    /// The nodes with their states.
    pub states: Vec<(NodeId, Option<Json>)>,
}

impl PresenceChanged {
    /// Reads the action. `None` if it has another type, or a field is not as described. States of
    /// nodes with malformed ids are left out.
    pub fn from_action(action: &Action) -> Option<Self> {
        if action.kind() != PRESENCE_CHANGED {
            return None;
        }
        let channel = action.str_field("channel")?.into_owned();
        let states = crate::json::JsonObject::from_json(action.field("states")?).ok()?;
        let read = |(node, state): (&str, &Json)| {
            let state = (state.as_str() != "null").then(|| state.clone());
            Some((NodeId::new(node).ok()?, state))
        };
        Some(Self { channel, states: states.iter().filter_map(read).collect() })
    }

    /// Returns the action with these fields.
    ///
    /// # Errors
    /// If a state is nested so deep that it cannot be part of an action.
    pub fn to_action(&self) -> Result<Action, ActionError> {
        let mut json = String::from(r#"{"type":"presence/changed","channel":"#);
        write_string(&mut json, &self.channel);
        json.push_str(r#","states":{"#);
        for (index, (node, state)) in self.states.iter().enumerate() {
            if index > 0 {
                json.push(',');
            }
            write_string(&mut json, node.as_str());
            json.push(':');
            json.push_str(state.as_ref().map_or("null", Json::as_str));
        }
        json.push_str("}}");
        Action::new(json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_round_trip() {
        let state = |text: &str| Some(Json::new(text).unwrap());
        for state in [None, state(r#"{"name":"A\"da"}"#), state("7")] {
            let set = PresenceSet { channel: "notes/\"7".into(), state };
            assert_eq!(PresenceSet::from_action(&set.to_action().unwrap()), Some(set));
        }
        let node = |id: &str| NodeId::new(id).unwrap();
        let states = vec![(node("10:a:b"), state("{}")), (node("20:c:d"), None)];
        let changed = PresenceChanged { channel: "notes/7".into(), states };
        let action = changed.to_action().unwrap();
        assert_eq!(
            action.as_json(),
            r#"{"type":"presence/changed","channel":"notes/7","states":{"10:a:b":{},"20:c:d":null}}"#
        );
        assert_eq!(PresenceChanged::from_action(&action), Some(changed));
    }

    #[test]
    fn malformed_actions_are_not_read() {
        for json in [
            r#"{"type":"presence/set","channel":"a"}"#,
            r#"{"type":"presence/set","channel":1,"state":null}"#,
            r#"{"type":"presence/changed","channel":"a","states":[]}"#,
            r#"{"type":"other","channel":"a","state":1,"states":{}}"#,
        ] {
            let action = Action::new(json).unwrap();
            assert_eq!(PresenceSet::from_action(&action), None);
            assert_eq!(PresenceChanged::from_action(&action), None);
        }
    }
}
