//! The calls of JavaScript.

use core::convert::Infallible;

use logux::{
    Json, WallTime,
    client::DeviceEvent,
    crdt::{ElementId, JsonOp, JsonOpError, PathError, TextError},
    json::JsonError,
    log::{Draft, LogError},
};

use crate::{fields::FieldError, saved::SavedChange};

/// What a client starts with: a JSON object with these fields. All but `node` may be missing.
#[derive(Debug)]
pub struct Start {
    /// The node id, such as `10:phone:tab`.
    pub node: String,
    /// The credentials for the first connection.
    pub token: Option<String>,
    /// The version of the application's protocol.
    pub subprotocol: u32,
    /// What the database has.
    pub saved: Vec<SavedChange>,
    /// Whether another tab leads. Then the connection is one to this tab.
    pub follows: bool,
}

/// A call of JavaScript, such as `"resume"` or `{"get":{"channel":"notes/7","path":"/title"}}`.
#[derive(Debug)]
pub enum Call {
    /// Begins to connect.
    Resume,
    /// Ends the connection, and makes no attempts.
    Pause,
    /// The connection was opened.
    Opened,
    /// The connection was closed.
    Closed,
    /// An attempt to connect has failed.
    ConnectFailed,
    /// A frame was received.
    Frame {
        /// The frame.
        frame: String,
    },
    /// The deadline was reached.
    Wake,
    /// A tab that follows this one has connected.
    FollowerOpened {
        /// The node id of the tab.
        tab: String,
    },
    /// A tab that follows this one has sent a frame.
    FollowerFrame {
        /// The node id of the tab.
        tab: String,
        /// The frame.
        frame: String,
    },
    /// A tab that follows this one has disconnected, or is gone.
    FollowerClosed {
        /// The node id of the tab.
        tab: String,
    },
    /// Leads from now on, because the tab that led is gone.
    Lead {
        /// The credentials for the first connection.
        token: Option<String>,
        /// What the database has.
        saved: Vec<SavedChange>,
    },
    /// Something has happened to the device.
    Device {
        /// What.
        device: Device,
    },
    /// Sets the credentials for the next connection.
    SetToken {
        /// The credentials.
        token: Option<String>,
    },
    /// Adds an action and sends it. Returns its id.
    Sync {
        /// The action.
        action: Json,
        /// Its meta.
        meta: ActionMeta,
    },
    /// Adds an action that stays on this device. Returns its meta, or `null` if the log has its id.
    Add {
        /// The action.
        action: Json,
        /// Its meta. Without a reason, the action is not kept.
        meta: ActionMeta,
    },
    /// Returns a new id, for the meta of an action.
    GenerateId,
    /// Tells all actions that are added to the log, and removed from it, from now on.
    ObserveLog,
    /// Returns the node id of the server. `null`: there was no connection yet.
    Server,
    /// Opens a document.
    Open {
        /// The kind, such as `notes`.
        kind: String,
        /// The id.
        id: String,
    },
    /// Closes a document.
    Close {
        /// The channel, such as `notes/7`.
        channel: String,
    },
    /// Opens the records of a kind that match a filter. Returns the number of the list.
    OpenRecords {
        /// The plural, such as `tasks`.
        plural: String,
        /// The filter, an object. Empty: all records.
        filter: Json,
    },
    /// Opens one record. Returns the number of its list.
    OpenRecord {
        /// The plural.
        plural: String,
        /// The id of the record.
        id: String,
    },
    /// Returns what has changed in a list since the last call:
    /// `{"status","changed":[{"id",…}],"removed":["7"]}`.
    ListChanges {
        /// The number.
        list: u32,
    },
    /// Closes a list.
    CloseList {
        /// The number.
        list: u32,
    },
    /// Adds an action on a record of a kind that is open, as a step of undo. Returns its id.
    EditRecord {
        /// The plural.
        plural: String,
        /// The action: `tasks/create`, `tasks/change` or `tasks/delete`.
        action: Json,
    },
    /// Returns the value at a path of an open document. `null`: there is none.
    Get {
        /// The channel.
        channel: String,
        /// A JSON Pointer.
        path: String,
    },
    /// Returns the status of an open document: `{"status","may","canUndo","canRedo"}`.
    Info {
        /// The channel of a document. For the plural of records, only the steps of undo matter.
        channel: String,
    },
    /// Changes an open document by one action. Returns its id, or `null` if nothing changes.
    Edit {
        /// The channel.
        channel: String,
        /// The operations, as in `KIND/change`.
        ops: Vec<JsonOp>,
        /// The number of a watched text whose reader makes the edit: `textChanges` has nothing of
        /// it.
        watch: Option<u32>,
    },
    /// Creates a document. Returns the id of the action.
    Create {
        /// The channel.
        channel: String,
    },
    /// Deletes a document. Returns the id of the action.
    Delete {
        /// The channel.
        channel: String,
    },
    /// Undoes the latest step of edits. Returns the selection from before it.
    Undo {
        /// The channel of a document, or the plural of records.
        channel: String,
    },
    /// Redoes the latest undo.
    Redo {
        /// The channel of a document, or the plural of records.
        channel: String,
    },
    /// Ends the current step, so that the next edit begins another one.
    CloseStep {
        /// The channel of a document, or the plural of records.
        channel: String,
    },
    /// Records what the user has selected: any JSON, such as the anchors of a cursor. The step that
    /// the next edit begins keeps it, and `undo` returns it.
    Select {
        /// The channel.
        channel: String,
        /// The selection. `null`: none.
        selection: Option<Json>,
    },
    /// Sets what this device shows of itself in a channel.
    SetPresence {
        /// The channel.
        channel: String,
        /// The state. `null`: none.
        state: Option<Json>,
    },
    /// Returns the others in a channel: `{nodeId: state}`.
    Presence {
        /// The channel.
        channel: String,
    },
    /// Returns the anchor of an index of a text, which stays at its letter.
    Anchor {
        /// The channel.
        channel: String,
        /// Where the text is.
        path: String,
        /// The index.
        index: usize,
    },
    /// Returns the index of an anchor now. `null`: its letter is not known.
    AnchorIndex {
        /// The channel.
        channel: String,
        /// Where the text is.
        path: String,
        /// The anchor.
        anchor: Json,
    },
    /// Begins to watch a text. Returns its number for the next two calls.
    WatchText {
        /// The channel.
        channel: String,
        /// Where the text is. It may not be there yet.
        path: String,
    },
    /// Returns the changes of a watched text since the last call: `[{"from","to","insert"}]`.
    TextChanges {
        /// The number.
        watch: u32,
    },
    /// Ends to watch a text.
    UnwatchText {
        /// The number.
        watch: u32,
    },
    /// Returns who has written a text: `[{"from","to","author","time"}]`.
    Authors {
        /// The channel.
        channel: String,
        /// Where the text is.
        path: String,
    },
    /// Returns the children of a node of a tree: `[{"id","value"}]`.
    Children {
        /// The channel.
        channel: String,
        /// Where the tree is. It may not be there yet.
        path: String,
        /// The node. `None`: the top level.
        parent: Option<ElementId>,
    },
    /// Returns the positions to which this device can go back: `[{"id","time","isUndone"}]`.
    History {
        /// The channel.
        channel: String,
    },
    /// Returns the JSON of a document right after an action. `null`: it is not in the history.
    StateAt {
        /// The channel.
        channel: String,
        /// The id of the action.
        id: String,
    },
    /// Returns all entries of the log in their order.
    Entries,
    /// Returns the number of own actions that the server has not confirmed.
    Unconfirmed,
}

/// The meta of an action of JavaScript. All fields may be missing.
#[derive(Debug, Default)]
pub struct ActionMeta {
    /// The text of the id, of `GenerateId`.
    pub id: Option<String>,
    /// The time, in milliseconds since the epoch.
    pub time: Option<i64>,
    /// Why the action is kept.
    pub reasons: Vec<String>,
    /// Under which names it is found.
    pub indexes: Vec<String>,
    /// A reason that only the latest action with it has.
    pub keep_last: Option<String>,
}

/// What has happened to the device.
#[derive(Clone, Copy, Debug)]
pub enum Device {
    /// There may be a network again.
    Online,
    /// The page is frozen.
    Asleep,
    /// The user sees the page again.
    Visible,
}

impl ActionMeta {
    /// Returns the meta for the engine.
    pub(crate) fn draft(self) -> Result<Draft, CallError> {
        let id = self.id.map(|id| id.parse().map_err(|_| CallError::ActionId(id)));
        // Actions that are sent get this reason from the engine.
        let reasons = self.reasons.into_iter().filter(|reason| reason != "syncing");
        Ok(Draft {
            id: id.transpose()?,
            time: self.time.map(WallTime::from_millis),
            reasons: reasons.map(Into::into).collect(),
            indexes: self.indexes.into_iter().map(Into::into).collect(),
            keep_last: self.keep_last.map(Into::into),
            ..Draft::default()
        })
    }
}

impl From<Device> for DeviceEvent {
    fn from(device: Device) -> Self {
        match device {
            Device::Online => Self::Online,
            Device::Asleep => Self::Asleep,
            Device::Visible => Self::Visible,
        }
    }
}

/// A call had no effect.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The JSON of the call cannot be read.
    #[error("the call cannot be read: {0}")]
    Malformed(#[from] JsonError),
    /// A field of the call cannot be read.
    #[error("the call cannot be read: {0}")]
    Field(#[from] FieldError),
    /// There is no such call.
    #[error("the call cannot be read: there is no {0:?}")]
    Unknown(String),
    /// A value cannot be written as JSON, or an anchor cannot be read.
    #[error(transparent)]
    Value(#[from] serde_json::Error),
    /// The node id is not valid.
    #[error("{0:?} is not a node id such as \"10:phone:tab\"")]
    NodeId(String),
    /// The id of an action is not valid.
    #[error("{0:?} is not the id of an action")]
    ActionId(String),
    /// The database has something that cannot be read.
    #[error(transparent)]
    Saved(#[from] crate::saved::SavedChangeError),
    /// The document is not open.
    #[error("the document {0} is not open: call `document` first")]
    NotOpen(String),
    /// No list of records has this number.
    #[error("no list of records has the number {0}")]
    NoList(u32),
    /// A filter of records is not an object.
    #[error("the filter is not an object: {0}")]
    Filter(#[source] JsonError),
    /// A path is not a JSON Pointer.
    #[error(transparent)]
    Path(#[from] PathError),
    /// An operation cannot be made.
    #[error(transparent)]
    Op(#[from] JsonOpError),
    /// There is no text at the path.
    #[error("expected a text at {0}")]
    NoText(String),
    /// No text is watched with this number.
    #[error("no text is watched with the number {0}")]
    NotWatched(u32),
    /// An index is outside of the text.
    #[error(transparent)]
    Text(#[from] TextError),
    /// The server is sure to refuse the edit.
    #[error("the server refuses edits of this document: {0}")]
    Refused(&'static str),
    /// The log refuses a change.
    #[error(transparent)]
    Log(#[from] LogError<Infallible>),
    /// The action is not valid.
    #[error("the action is not valid: {0}")]
    Action(#[from] logux::action::ActionError),
}
