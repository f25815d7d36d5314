//! The list of connected clients, and who shows itself in channels, as the hub's thread returns
//! them.

use std::{collections::BTreeMap, sync::Arc};

use logux::{Json, NodeId, action::Subprotocol, server::SessionId};

/// The connected clients: at most [`MAX_LISTED`], in no particular order.
#[derive(Debug, Default)]
pub(crate) struct ClientList {
    /// The number of connected clients.
    pub(crate) connected: usize,
    pub(crate) clients: Vec<ClientView>,
    /// The number of nodes that show themselves in each channel where some do, of at most
    /// [`MAX_LISTED`] channels.
    pub(crate) present: BTreeMap<Arc<str>, usize>,
}

/// Who shows itself in a channel.
#[derive(Debug, Default)]
pub(crate) struct ChannelPresence {
    /// The number of nodes.
    pub(crate) present: usize,
    /// The states of some of them, as others see them.
    pub(crate) states: Vec<(NodeId, Json)>,
    /// The number of subscribed clients.
    pub(crate) subscribers: usize,
}

/// The largest number of listed clients, and of channels.
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
