//! What JavaScript has to do after a call.

use logux::{
    Action, Entry, Json, Meta,
    action::NameList,
    client::{DocumentStatus, Fate, FollowerOutput, Output, PresenceEvent},
    log::LogChange,
    sync::State,
};
use serde::Serialize;

use crate::saved::SavedChange;

/// What JavaScript has to do after a call: first write all `changes` in one transaction, then
/// handle the `events` in their order, and call `wake` at the `deadline`.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Turn {
    /// The answer to the call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Json>,
    /// Why the call had no effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The changes of the store.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<SavedChange>,
    /// What has happened, and what is to be done.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub events: Vec<WebEvent>,
    /// The channels of the open documents, and the plurals of the open records, that show something
    /// else now.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    /// When to call `wake`, in milliseconds of the monotonic clock.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<u64>,
}

/// An output of the client.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum WebEvent {
    /// Send a frame.
    Send {
        /// The frame.
        frame: String,
    },
    /// Open a connection. Call `opened` or `connectFailed`.
    Connect,
    /// Close the connection, or cancel the attempt. Call `closed`.
    Disconnect {
        /// Why.
        reason: String,
        /// Whether the server has violated the protocol.
        is_violation: bool,
    },
    /// There are no more attempts to connect until `resume`.
    Stopped {
        /// Why.
        reason: String,
    },
    /// The state of the connection, in the words of `@logux/client`.
    State {
        /// The state.
        state: &'static str,
    },
    /// What an application shows about the connection, in the words of the `status` of
    /// `@logux/client`.
    Status {
        /// The status.
        status: &'static str,
    },
    /// An action was added to the log, after `observeLog`.
    Added(LoggedAction),
    /// An action was removed from the log, or was not kept.
    Cleaned(LoggedAction),
    /// Send a tab that follows this one a frame.
    FollowerSend {
        /// The node id of the tab.
        tab: String,
        /// The frame.
        frame: String,
    },
    /// Disconnect a tab that follows this one.
    FollowerDisconnect {
        /// The node id of the tab.
        tab: String,
    },
    /// The tab that leads, or the server, has an own action.
    Confirmed {
        /// The text of its id.
        id: String,
    },
    /// The server has processed an own action.
    Processed {
        /// The text of its id.
        id: String,
    },
    /// An own action was undone, or was dropped before it was sent (`reason`: `dropped`).
    Undone {
        /// The text of its id.
        id: String,
        /// The reason.
        reason: String,
        /// The action, as the server names it.
        #[serde(skip_serializing_if = "Option::is_none")]
        action: Option<Json>,
    },
    /// The status of a document, or what the user may do with it, has changed.
    Document {
        /// The channel.
        channel: String,
    },
    /// Who is present in a channel has changed.
    Presence {
        /// The channel.
        channel: String,
        /// Why the server has refused the own state.
        #[serde(skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// The server reports an error of this client.
    ServerError {
        /// Its kind, such as `wrong-credentials`.
        kind: String,
    },
    /// A message of the server for the developer.
    Debug {
        /// The text.
        text: String,
    },
}

/// An action, with its meta in the words of `@logux/core`.
#[derive(Debug, Serialize)]
pub struct LoggedAction {
    /// The action.
    action: Action,
    /// Its meta.
    meta: LoggedMeta,
}

/// The meta of an action in the log.
#[derive(Debug, Serialize)]
pub(crate) struct LoggedMeta {
    id: String,
    /// In milliseconds since the epoch, by the clock of this device.
    time: i64,
    /// The number in the log. `None`: it was not kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    added: Option<u64>,
    reasons: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    indexes: Vec<String>,
    /// Whether it waits for the server's answer.
    #[serde(skip_serializing_if = "is_false")]
    sync: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(value: &bool) -> bool {
    !*value
}

impl From<&Meta> for LoggedMeta {
    fn from(meta: &Meta) -> Self {
        let names = |names: &NameList| names.iter().map(ToString::to_string).collect();
        Self {
            id: meta.id.to_string(),
            time: meta.time.as_millis(),
            added: meta.added,
            reasons: names(&meta.reasons),
            indexes: names(&meta.indexes),
            sync: meta.reasons.iter().any(|reason| &**reason == "syncing"),
        }
    }
}

impl From<LogChange> for WebEvent {
    fn from(change: LogChange) -> Self {
        let logged =
            |Entry { action, meta }| LoggedAction { meta: LoggedMeta::from(&meta), action };
        match change {
            LogChange::Added(entry) => Self::Added(logged(entry)),
            LogChange::Cleaned(entry) => Self::Cleaned(logged(entry)),
        }
    }
}

/// Returns the name of the status of a document or of records: a word of the engine, or the reason
/// of the server.
pub(crate) fn status_name(status: &DocumentStatus) -> &str {
    match status {
        DocumentStatus::Closed(reason) => reason,
        status => status.as_str(),
    }
}

/// Returns the name of a state in `@logux/client`.
const fn state_name(state: State) -> &'static str {
    match state {
        State::Disconnected => "disconnected",
        State::Connecting => "connecting",
        State::Sending => "sending",
        State::Synchronized => "synchronized",
    }
}

impl WebEvent {
    /// Returns the event of an output, unless it is nothing for JavaScript.
    pub(crate) fn of(output: Output) -> Option<Self> {
        Some(match output {
            Output::Send(frame) => Self::Send { frame },
            Output::Connect => Self::Connect,
            Output::Disconnect(reason) => {
                Self::Disconnect { reason: reason.to_string(), is_violation: reason.is_violation() }
            }
            Output::Stopped(reason) => Self::Stopped { reason: reason.to_string() },
            Output::State(state) => Self::State { state: state_name(state) },
            Output::Status(status) => Self::Status { status: status.as_str() },
            Output::Ignored(ignored) => Self::Debug { text: ignored.to_string() },
            Output::Follower(tab, FollowerOutput::Send(frame)) => {
                Self::FollowerSend { tab: tab.as_str().to_owned(), frame }
            }
            Output::Follower(tab, FollowerOutput::Disconnect(_)) => {
                Self::FollowerDisconnect { tab: tab.as_str().to_owned() }
            }
            Output::Fate(id, Fate::Confirmed) => Self::Confirmed { id: id.to_string() },
            Output::Fate(id, Fate::Processed) => Self::Processed { id: id.to_string() },
            Output::Fate(id, Fate::Dropped) => {
                Self::Undone { id: id.to_string(), reason: "dropped".into(), action: None }
            }
            Output::Fate(id, Fate::Undone(undo)) => Self::Undone {
                id: id.to_string(),
                reason: undo.reason,
                action: undo.action.and_then(|action| Json::new(action.as_json()).ok()),
            },
            Output::Document(channel, _) => Self::Document { channel: channel.to_string() },
            Output::Presence(channel, event) => Self::Presence {
                channel: channel.to_string(),
                refused: match event {
                    PresenceEvent::Refused(reason) => Some(reason),
                    PresenceEvent::Changed => None,
                },
            },
            Output::Refused(error) => Self::ServerError { kind: error.kind },
            Output::Debug(text) => Self::Debug { text },
            _ => return None,
        })
    }
}
