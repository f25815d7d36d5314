//! The messages that two nodes exchange, as types.

use crate::{
    action::{Action, NodeId, Subprotocol},
    json::{Json, JsonObject},
};

/// One message. On the wire it is a JSON array that begins with the name of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// `["connect", PROTOCOL, NODE, SYNCED, {"token":…,"subprotocol":…}]`: let me in.
    Connect(Connect),
    /// `["connected", PROTOCOL, NODE, [RECEIVED, SENT], {…}]`: you are in.
    Connected(Connected),
    /// `["ping", ADDED]`: are you there?
    Ping {
        /// The sender's last `added` number.
        added: u64,
    },
    /// `["pong", ADDED]`: I am.
    Pong {
        /// The sender's last `added` number.
        added: u64,
    },
    /// `["sync", ADDED, ACTION, META, ACTION, META, …]`: take these actions.
    Sync(Sync),
    /// `["synced", ADDED]`: I have them.
    Synced {
        /// The number of the `sync` that is answered.
        added: u64,
    },
    /// `["error", TYPE, OPTIONS]`: I cannot go on with you.
    Error(ErrorMessage),
    /// `["debug", "error", TEXT]`: something for the developer to read.
    Debug {
        /// The text.
        text: String,
    },
    /// `["headers", {…}]`: what the application says about the sender, such as its language.
    Headers {
        /// The whole object; it replaces the one before.
        headers: Json,
    },
}

/// A node asks to be let in.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The highest protocol version that the sender speaks.
    pub protocol: u32,
    /// The sender.
    pub node: NodeId,
    /// The last `added` number of the receiver that the sender has got.
    pub synced: u64,
    /// What proves who the sender is.
    pub token: Option<String>,
    /// The application's protocol version of the sender.
    pub subprotocol: Option<Subprotocol>,
}

/// A node lets the other in.
#[derive(Clone, PartialEq, Eq)]
pub struct Connected {
    /// The protocol version that the sender speaks.
    pub protocol: u32,
    /// The sender.
    pub node: NodeId,
    /// When `connect` was received, by the sender's clock: milliseconds since the epoch.
    pub received: i64,
    /// When this was sent, by the sender's clock. All times on this connection are relative to it.
    pub sent: i64,
    /// What proves who the sender is.
    pub token: Option<String>,
    /// The application's protocol version of the sender.
    pub subprotocol: Option<Subprotocol>,
}

/// Actions on their way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The sender's `added` number of the last of them.
    pub added: u64,
    /// The actions, oldest first.
    pub entries: Vec<SyncEntry>,
}

/// One action on its way. Times are milliseconds relative to [`Connected::sent`], and may be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncEntry {
    /// The action.
    pub action: Action,
    /// Its id, shortened.
    pub id: CompactId,
    /// Its corrected creation time, relative.
    pub time: i64,
    /// The application's protocol version of its creator, if it is not the sender's.
    pub subprotocol: Option<Subprotocol>,
    /// Other keys of its meta.
    pub extra: JsonObject,
}

/// An id without what the receiver knows: the time is relative, the sender's own node id is left out, and so is 0 as
/// its sequence number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompactId {
    /// `TIME`: the sender's own, with sequence number 0.
    Time(i64),
    /// `[TIME, SEQUENCE]`: the sender's own.
    Own(i64, u32),
    /// `[TIME, NODE, SEQUENCE]`.
    Full(i64, NodeId, u32),
}

/// A node says why it cannot go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// What kind of error: `wrong-format`, `unknown-message`, `wrong-protocol`, `wrong-subprotocol`, `wrong-credentials`, `timeout`.
    pub kind: String,
    /// Details, their shape depends on the kind.
    pub options: Option<Json>,
}

// Tokens are secrets: these keep them out of logs.

impl core::fmt::Debug for Connect {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connect")
            .field("protocol", &self.protocol)
            .field("node", &self.node)
            .field("synced", &self.synced)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("subprotocol", &self.subprotocol)
            .finish()
    }
}

impl core::fmt::Debug for Connected {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Connected")
            .field("protocol", &self.protocol)
            .field("node", &self.node)
            .field("received", &self.received)
            .field("sent", &self.sent)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("subprotocol", &self.subprotocol)
            .finish()
    }
}
