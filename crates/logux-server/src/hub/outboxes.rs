//! The outboxes of all connected clients, filled in rounds.

use std::{collections::VecDeque, sync::Arc};

use logux::server::{SessionId, SessionMap};
use logux_net::CloseReason;

use crate::{
    connection_info::ConnectionInfo,
    hub::{
        application::AuthorConnection,
        outbox::{Outbox, OutboxItem},
        reader::Reader,
    },
};

/// The outboxes of all connected clients.
///
/// The outputs of a round for a client are queued here and pushed to its outbox at the end of the
/// round, so that its connection is woken once and sends them in one write.
#[derive(Default)]
pub(crate) struct Outboxes {
    clients: SessionMap<Client>,
    /// The clients with queued items.
    queued: Vec<SessionId>,
    /// The largest number of items that one client received in the last round.
    usual_len: usize,
}

struct Client {
    outbox: Arc<Outbox>,
    info: Arc<ConnectionInfo>,
    queued: VecDeque<OutboxItem>,
}

impl Outboxes {
    /// Adds a connected client.
    pub(crate) fn insert(
        &mut self,
        session: SessionId,
        outbox: Arc<Outbox>,
        info: Arc<ConnectionInfo>,
    ) {
        let queued = VecDeque::new();
        let client = Client { outbox, info, queued };
        self.clients.insert(session, client);
    }

    /// Removes a client whose connection is closed.
    pub(crate) fn remove(&mut self, session: SessionId) {
        self.clients.swap_remove(&session);
    }

    /// Closes a connection that a new one of the same client replaces, after its queued items.
    pub(crate) fn replace(&mut self, session: SessionId) {
        if let Some(mut client) = self.clients.swap_remove(&session) {
            client.outbox.push(&mut client.queued);
            client.outbox.close(CloseReason::Replaced);
        }
    }

    /// Closes a connection after its queued items.
    pub(crate) fn disconnect(&mut self, session: SessionId) {
        if let Some(client) = self.clients.get_mut(&session) {
            client.outbox.push(&mut client.queued);
            client.outbox.close(CloseReason::LoginEnded);
        }
    }

    /// Removes all clients, and closes their connections.
    pub(crate) fn close_all(&mut self, reason: &CloseReason) {
        self.queued.clear();
        for (_, client) in self.clients.drain(..) {
            client.outbox.close(reason.clone());
        }
    }

    /// Returns the connection of an author; an empty one if it is not connected.
    pub(crate) fn author(&self, session: Option<SessionId>) -> AuthorConnection {
        let client = session.and_then(|session| self.clients.get(&session));
        client.map_or_else(AuthorConnection::none, |client| AuthorConnection {
            info: client.info.clone(),
            reader: Reader::new(Some(client.outbox.clone())),
        })
    }

    /// Ends the waiting of handlers for their readers, because the server stops.
    pub(crate) fn stop_all(&self) {
        self.clients.values().for_each(|client| client.outbox.stop());
    }

    /// Returns the number of items in a client's outbox and their approximate size in bytes.
    pub(crate) fn level(&self, session: SessionId) -> (usize, usize) {
        self.clients.get(&session).map(|client| client.outbox.level()).unwrap_or_default()
    }

    /// Returns the number of items in all outboxes and their approximate size in bytes.
    pub(crate) fn total_level(&self) -> (usize, usize) {
        let levels = self.clients.values().map(|client| client.outbox.level());
        levels.fold((0, 0), |(items, bytes), (more, more_bytes)| (items + more, bytes + more_bytes))
    }

    /// Queues an item for a client.
    pub(crate) fn queue(&mut self, session: SessionId, item: OutboxItem) {
        if let Some(client) = self.clients.get_mut(&session) {
            if client.queued.is_empty() {
                self.queued.push(session);
                client.queued.reserve(self.usual_len);
            }
            client.queued.push_back(item);
        }
    }

    /// Ends a round: pushes the queued items to the outboxes.
    pub(crate) fn flush(&mut self) {
        self.usual_len = 0;
        for session in std::mem::take(&mut self.queued) {
            let Some(client) = self.clients.get_mut(&session) else { continue };
            self.usual_len = self.usual_len.max(client.queued.len());
            client.outbox.push(&mut client.queued);
        }
    }
}
