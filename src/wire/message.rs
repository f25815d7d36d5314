//! The messages that two nodes exchange.

use super::ExceededLimit;
use crate::{
    action::{Action, NodeId, Subprotocol},
    json::{Json, JsonObject},
};

/// A message. On the wire, a JSON array that begins with the name of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// `["connect", PROTOCOL, NODE, SYNCED, {"token":…,"subprotocol":…}]`: the client's request to
    /// connect.
    Connect(Connect),
    /// `["connected", PROTOCOL, NODE, [RECEIVED, SENT], {…}]`: the server accepts the client.
    Connected(Connected),
    /// `["ping", ADDED]`: a request for a `pong`, after silence.
    Ping {
        /// The sender's last `added` number.
        added: u64,
    },
    /// `["pong", ADDED]`: the response to a `ping`.
    Pong {
        /// The sender's last `added` number.
        added: u64,
    },
    /// `["sync", ADDED, ACTION, META, ACTION, META, …]`: actions of the sender.
    Sync(Sync),
    /// `["synced", ADDED]`: the confirmation of a `sync` message.
    Synced {
        /// The number of the confirmed `sync` message.
        added: u64,
    },
    /// `["error", TYPE, OPTIONS]`: an error that ends the connection.
    Error(ErrorMessage),
    /// `["debug", "error", TEXT]`: a text for the developer of the receiver.
    Debug {
        /// The text.
        text: String,
    },
    /// `["headers", {…}]`: data of the application about the sender, such as its language.
    Headers {
        /// The JSON object. It replaces the previous one.
        headers: Json,
    },
}

/// The client's request to connect.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The newest protocol version that the sender supports.
    pub protocol: u32,
    /// The sender.
    pub node: NodeId,
    /// The last `added` number of the receiver that the sender has received.
    pub synced: u64,
    /// The sender's credentials. A secret.
    pub token: Option<String>,
    /// The subprotocol of the sender.
    pub subprotocol: Option<Subprotocol>,
}

/// The server's response to [`Connect`], which accepts the client.
#[derive(Clone, PartialEq, Eq)]
pub struct Connected {
    /// The protocol version that the sender uses.
    pub protocol: u32,
    /// The sender.
    pub node: NodeId,
    /// The time at which `connect` was received, by the sender's clock, in milliseconds since the
    /// epoch.
    pub received: i64,
    /// The time at which this message was sent, by the sender's clock, in milliseconds since the
    /// epoch. All times on this connection are relative to it.
    pub sent: i64,
    /// The sender's credentials. A secret.
    pub token: Option<String>,
    /// The subprotocol of the sender.
    pub subprotocol: Option<Subprotocol>,
}

/// A message with actions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sync {
    /// The sender's `added` number of the last action.
    pub added: u64,
    /// The actions, oldest first.
    pub entries: Vec<SyncEntry>,
    /// The actions that exceed a limit. The rest of the message is valid without them. They are not
    /// encoded.
    pub refused: Vec<RefusedEntry>,
}

/// An action in a [`Sync`] message. Times are in milliseconds relative to [`Connected::sent`], and
/// may be negative.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncEntry {
    /// The action.
    pub action: Action,
    /// The id of the action.
    pub id: CompactId,
    /// The corrected creation time.
    pub time: i64,
    /// The subprotocol of the node that created the action, if it is not the sender's.
    pub subprotocol: Option<Subprotocol>,
    /// Additional keys of the meta.
    pub extra: JsonObject,
}

/// An action in a [`Sync`] message that exceeds a limit of one action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEntry {
    /// The id of the action. `None` if it is so long that no answer should repeat it.
    pub id: Option<CompactId>,
    /// The type of the action, cut to 256 bytes.
    pub kind: String,
    /// The corrected creation time.
    pub time: i64,
    /// The limit.
    pub limit: ExceededLimit,
}

/// The short form of an action id: the time is relative to [`Connected::sent`]; the sender's own
/// node id and the sequence number 0 are omitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CompactId {
    /// `TIME`: an id of the sender with the sequence number 0.
    Time(i64),
    /// `[TIME, SEQUENCE]`: an id of the sender.
    Own(i64, u32),
    /// `[TIME, NODE, SEQUENCE]`: an id of any node.
    Full(i64, NodeId, u32),
}

/// An error that ends the connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorMessage {
    /// The kind of the error: `wrong-format`, `unknown-message`, `wrong-protocol`,
    /// `wrong-subprotocol`, `wrong-credentials`, `timeout`.
    pub kind: String,
    /// Details. Their shape depends on the kind.
    pub options: Option<Json>,
}

// Tokens are secrets: these implementations keep them out of logs.

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
