//! Who is connected, as the hub's thread tells it.

use std::sync::Arc;

use logux::{NodeId, action::Subprotocol, server::SessionId};

/// Who is connected: the first [`MAX_LISTED`], in no order.
#[derive(Debug, Default)]
pub(crate) struct ClientList {
    /// How many there are.
    pub(crate) connected: usize,
    pub(crate) clients: Vec<ClientView>,
}

/// How many clients are listed at most.
pub(crate) const MAX_LISTED: usize = 1_000;

/// One client that is connected.
#[derive(Debug)]
pub(crate) struct ClientView {
    pub(crate) session: SessionId,
    pub(crate) node: NodeId,
    pub(crate) subprotocol: Subprotocol,
    /// The channels it is subscribed to.
    pub(crate) channels: Vec<Arc<str>>,
    /// How many of its actions wait for earlier ones.
    pub(crate) waiting: usize,
    /// Messages that wait to be read by it, and about how many bytes they are.
    pub(crate) unread: (usize, usize),
}
