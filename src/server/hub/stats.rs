//! The sizes of a hub's state, and its connected clients.

use std::sync::Arc;

use indexmap::IndexSet;

use super::Hub;
use crate::{
    action::{NodeId, Subprotocol},
    log::LogError,
    server::{Author, SessionId},
    store::Store,
};

/// The sizes of a hub's state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// The connected clients.
    pub clients: usize,
    /// The channels with subscribers.
    pub channels: usize,
    /// The subscriptions, one for each client and channel.
    pub subscriptions: usize,
    /// The requests to the application that have not ended.
    pub running: usize,
    /// The actions that wait for earlier actions of their client.
    pub waiting: usize,
    /// The memory of the actions of clients that run or wait, in bytes. The JSON of each, and 512
    /// bytes.
    pub pending_bytes: usize,
    /// The connections with batches that are not confirmed because their client, their user or all
    /// users together have too many actions that wait.
    pub held: usize,
    /// The subscriptions that wait until their client reconnects.
    pub parked: usize,
    /// The subscriptions whose answer the client has not confirmed.
    pub unconfirmed: usize,
    /// The actions and answers in the log that are remembered for exactly once. Those that also
    /// have a [`Retention`](crate::server::Retention) are not counted.
    pub remembered: usize,
    /// The size of the JSON of the remembered actions and answers, in bytes.
    pub remembered_bytes: usize,
    /// The last `added` number of the log.
    pub added: u64,
    /// The nodes that show themselves in channels, one for each node and channel.
    pub present: usize,
    /// The actions with states of nodes that were sent since the start of the hub, each to one or
    /// more clients.
    pub presence_batches: u64,
    /// The states of nodes since the start of the hub that nobody was sent, because a later one of
    /// the same node came first.
    pub presence_replaced: u64,
}

/// One connected client.
#[derive(Clone, Copy, Debug)]
pub struct ConnectedClient<'a> {
    /// The connection.
    pub session: SessionId,
    /// The node.
    pub node: &'a NodeId,
    /// The application's protocol version of the client.
    pub subprotocol: &'a Subprotocol,
    channels: &'a IndexSet<Arc<str>>,
    /// The number of its actions that wait for earlier ones.
    pub waiting: usize,
}

impl<'a> ConnectedClient<'a> {
    /// Returns the channels that the client is subscribed to.
    pub fn channels(&self) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.channels.iter()
    }
}

impl<S: Store> Hub<S> {
    /// Returns the sizes of the hub's state. O(connected clients + clients with actions in queues +
    /// channels with nodes).
    ///
    /// # Errors
    /// If the store fails.
    pub fn stats(&self) -> Result<HubStats, LogError<S::Error>> {
        let usage = &self.log.observer().inbox_usage;
        let presence = self.presence.totals();
        Ok(HubStats {
            clients: self.sessions.len(),
            channels: self.channels.len(),
            subscriptions: self.sessions.iter().map(|(_, session)| session.channels.len()).sum(),
            running: self.requests.running_count(),
            waiting: self.requests.waiting_count(),
            pending_bytes: self.requests.pending_bytes().total(),
            held: self.held.len(),
            parked: self.requests.parked_count(),
            unconfirmed: self.sessions.iter().map(|(_, session)| session.unconfirmed.len()).sum(),
            remembered: usage.entries,
            remembered_bytes: usage.bytes,
            added: self.log.last_added()?,
            present: self.presence.channels().map(|(_, present)| present).sum(),
            presence_batches: presence.batches,
            presence_replaced: presence.replaced,
        })
    }

    /// Returns the clients that are subscribed to a channel, as authors of subscriptions. O(log n +
    /// subscribers).
    pub fn subscribers(&self, channel: &str) -> impl Iterator<Item = Author> {
        self.channels.subscribers(channel).filter_map(|id| {
            let session = self.sessions.get(id)?;
            Some(Author {
                node: session.node.clone(),
                subprotocol: Some(session.subprotocol.clone()),
                headers: session.headers.clone(),
                session: Some(id),
            })
        })
    }

    /// Returns the connected clients, in an order that depends on the inputs alone.
    pub fn clients(&self) -> impl Iterator<Item = ConnectedClient<'_>> {
        self.sessions.iter().map(|(session, client)| ConnectedClient {
            session,
            node: &client.node,
            subprotocol: &client.subprotocol,
            channels: &client.channels,
            waiting: self.requests.waiting_of_client(client.node.client_id()),
        })
    }
}
