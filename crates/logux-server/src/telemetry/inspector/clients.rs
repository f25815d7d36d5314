//! The list of connected clients, as the hub's thread returns it.

use std::sync::Arc;

use logux::{NodeId, action::Subprotocol, server::SessionId};

/// The connected clients: at most [`MAX_LISTED`], in no particular order.
#[derive(Debug, Default)]
pub(crate) struct ClientList {
    /// The number of connected clients.
    pub(crate) connected: usize,
    pub(crate) clients: Vec<ClientView>,
}

/// The largest number of listed clients.
pub(crate) const MAX_LISTED: usize = 1_000;

/// One connected client.
#[derive(Debug)]
pub(crate) struct ClientView {
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) subprotocol: Subprotocol,
    /// The channels it is subscribed to.
    pub(crate) channels: Vec<Arc<str>>,
    /// The number of its actions that wait for earlier ones.
    pub(crate) waiting: usize,
    /// The number of messages in its outbox, and their approximate size in bytes.
    pub(crate) unread: (usize, usize),
}
