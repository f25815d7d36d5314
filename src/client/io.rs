//! The inputs and outputs of a client.

use std::sync::Arc;

use super::{
    CipherError, CipherToken, DecryptRequest, DeviceEvent, DocumentEvent, EncryptRequest,
    EncryptedAction, EncryptionError, FollowerOutput, IgnoredAction, PresenceEvent, Status,
    StopReason, Subscription, SubscriptionState,
};
use crate::{
    action::{ActionId, NodeId, logux::Undo},
    json::Json,
    store::Entry,
    sync::{Disconnect, State},
    wire::ErrorMessage,
};

/// What happened to a client.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// The connection was opened; frames can be sent and received.
    Opened,
    /// A frame was received.
    Frame(&'a str),
    /// The connection was closed. Commit before it: what was received since the last commit is
    /// sent again in the next connection otherwise.
    Closed,
    /// An attempt to connect has failed.
    ConnectFailed,
    /// Something has happened to the device.
    Device(DeviceEvent),
    /// Time has passed; a deadline may have been reached.
    Wake,
    /// The response to [`Output::Encrypt`].
    Encrypted(CipherToken, Result<&'a EncryptedAction, CipherError>),
    /// The response to [`Output::Decrypt`]: the plaintext, expanded if it was compressed.
    Decrypted(CipherToken, Result<&'a [u8], CipherError>),
}

/// What has become of an own action, in the order in which these follow each other. Some are left
/// out: an answer may arrive before the confirmation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The action is in the log of this device, and was not sent.
    Kept,
    /// The action was undone before it was sent, and left the log. A redo adds it again.
    Dropped,
    /// The action was sent, now or in an earlier connection.
    Sent,
    /// The server has the action.
    Confirmed,
    /// The server has processed the action.
    Processed,
    /// The server has refused the action, or has undone it later. [`Undo::action`] is the own
    /// action if the log still has it, also if the answer leaves it out, so that the user can
    /// try again: after the reason `tooOld`, as a draft. If the action is an undo, what it has
    /// undone has its effect again.
    ///
    /// An undo by another client is not an answer, but [`Output::Added`] like any action.
    Undone(Box<Undo>),
}

/// What the driver of a client has to do.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Send this frame.
    Send(String),
    /// Close the connection, after sending the frames that were returned before, or cancel the
    /// attempt to connect. Then pass [`Input::Closed`].
    Disconnect(Disconnect),
    /// An action of another node was added to the log, such as the server's answer to an own
    /// action, or the undo of an own action by another client.
    Added(Entry),
    /// A received action was not added to the log, because the server is wrong about it. It is
    /// confirmed nevertheless.
    Ignored(IgnoredAction),
    /// What has become of an own action.
    Fate(ActionId, Fate),
    /// What has become of a subscription.
    Subscription(Subscription, SubscriptionState),
    /// What has changed about a [tracked](super::Client::track_document) document, or that an own
    /// edit of any document was refused; with the channel of the document.
    Document(Arc<str>, DocumentEvent),
    /// What has become of presence in a channel.
    Presence(Arc<str>, PresenceEvent),
    /// Something to do for a tab that follows this one: [`handle_follower`].
    ///
    /// [`handle_follower`]: super::Client::handle_follower
    Follower(NodeId, FollowerOutput),
    /// The headers of the server, a JSON object.
    Headers(Json),
    /// The state of the connection has changed.
    State(State),
    /// What an application shows about the connection and the user's actions has changed, or
    /// another action was refused.
    Status(Status),
    /// Begin an attempt to connect. Answer with [`Input::Opened`] or [`Input::ConnectFailed`].
    Connect,
    /// There are no more attempts to connect, until [`resume`](super::Client::resume).
    Stopped(StopReason),
    /// The server reported an error. After `wrong-protocol`, `wrong-subprotocol` and
    /// `wrong-credentials`, connecting again is useless, see [`Stopped`](Self::Stopped).
    Refused(ErrorMessage),
    /// A message of the server for the developer, cut to 4,096 bytes.
    Debug(String),
    /// Encrypt an own action. Only after [`with_encryption`](super::Client::with_encryption).
    Encrypt(EncryptRequest),
    /// Decrypt a received action. Only after [`with_encryption`](super::Client::with_encryption).
    Decrypt(DecryptRequest),
    /// This own action was not encrypted, or this received action was not decrypted.
    EncryptionFailed(ActionId, EncryptionError),
}
