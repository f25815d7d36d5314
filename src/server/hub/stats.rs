//! What is in a hub, to be counted and looked at.

use std::sync::Arc;

use indexmap::IndexSet;

use super::Hub;
use crate::{
    action::{NodeId, Subprotocol},
    log::LogError,
    server::SessionId,
    store::Store,
};

/// How much there is of everything in a hub.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HubStats {
    /// Clients that are connected.
    pub clients: usize,
    /// Channels that somebody is subscribed to.
    pub channels: usize,
    /// Subscriptions, one for each client and channel.
    pub subscriptions: usize,
    /// Actions that the application was asked about and has not answered to the end.
    pub running: usize,
    /// Actions that wait for earlier ones of their clients.
    pub waiting: usize,
    /// Subscriptions that wait for their clients to come back.
    pub parked: usize,
    /// Subscriptions that were answered, where the client has not confirmed that it knows.
    pub unconfirmed: usize,
    /// Actions and answers in the log that are remembered so that they are done and answered once. Those that a [`Retention`](crate::server::Retention) holds as well are
    /// not counted.
    pub remembered: usize,
    /// Bytes of their JSON.
    pub remembered_bytes: usize,
    /// The number of the last action that was kept.
    pub added: u64,
}

/// One client that is connected.
#[derive(Clone, Copy, Debug)]
pub struct ConnectedClient<'a> {
    /// Its connection.
    pub session: SessionId,
    /// Its node.
    pub node: &'a NodeId,
    /// The application's protocol version it speaks.
    pub subprotocol: &'a Subprotocol,
    channels: &'a IndexSet<Arc<str>>,
    /// How many of its actions wait for earlier ones.
    pub waiting: usize,
}

impl<'a> ConnectedClient<'a> {
    /// The channels it is subscribed to.
    pub fn channels(&self) -> impl Iterator<Item = &'a Arc<str>> + use<'a> {
        self.channels.iter()
    }
}

impl<S: Store> Hub<S> {
    /// Counts everything. O(connected clients and those whose actions wait).
    ///
    /// # Errors
    /// When the store fails.
    pub fn stats(&self) -> Result<HubStats, LogError<S::Error>> {
        let usage = self.log.observer().inbox_usage;
        Ok(HubStats {
            clients: self.sessions.len(),
            channels: self.channels.len(),
            subscriptions: self.sessions.iter().map(|(_, session)| session.channels.len()).sum(),
            running: self.requests.all_running(),
            waiting: self.requests.all_waiting(),
            parked: self.requests.all_parked(),
            unconfirmed: self
                .sessions
                .iter()
                .map(|(_, session)| session.unacknowledged.len())
                .sum(),
            remembered: usage.entries,
            remembered_bytes: usage.bytes,
            added: self.log.last_added()?,
        })
    }

    /// Returns the connected clients, in an order that only depends on the inputs.
    pub fn clients(&self) -> impl Iterator<Item = ConnectedClient<'_>> {
        self.sessions.iter().map(|(session, client)| ConnectedClient {
            session,
            node: &client.node,
            subprotocol: &client.subprotocol,
            channels: &client.channels,
            waiting: self.requests.waiting(client.node.client_id()),
        })
    }
}
