//! Who is connected, found by client, node and user.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexSet;

use super::{SessionId, SessionMap, requests::PendingRequest};
use crate::{
    action::{NodeId, Subprotocol},
    json::Json,
    store::Entry,
    sync::BatchToken,
};

/// One client that was let in.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) node: NodeId,
    pub(super) subprotocol: Subprotocol,
    pub(super) headers: Option<Json>,
    /// The channels it is subscribed to.
    pub(super) channels: IndexSet<Arc<str>>,
    /// Batches that wait until the client's queue has room.
    pub(super) held: VecDeque<(BatchToken, Vec<Entry>)>,
    /// Subscriptions whose answers it has not confirmed, with the numbers of the answers, lowest first. Not more than a connection may have
    /// unconfirmed and waiting: one that confirms nothing is closed.
    pub(super) unacknowledged: VecDeque<(u64, PendingRequest)>,
    /// How much higher than ours the numbers are that it is told.
    pub(super) ahead: u64,
    /// Whether it has got nothing yet, neither here nor at another connection.
    pub(super) is_new: bool,
    /// The number of the last delivery that reached it, so that nobody gets an action twice.
    reached: u64,
}

impl Session {
    pub(super) fn new(
        node: NodeId,
        subprotocol: Subprotocol,
        headers: Option<Json>,
        ahead: u64,
        is_new: bool,
    ) -> Self {
        Self {
            node,
            subprotocol,
            headers,
            channels: IndexSet::new(),
            held: VecDeque::new(),
            unacknowledged: VecDeque::new(),
            ahead,
            is_new,
            reached: 0,
        }
    }
}

/// All clients that were let in.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: SessionMap<Session>,
    clients: HashMap<Arc<str>, SessionId>,
    users: HashMap<Arc<str>, Vec<SessionId>>,
    delivery: u64,
}

impl Sessions {
    /// Lets a client in. The connection that it had before, if any, stays until it is [`remove`](Self::remove)d.
    pub(super) fn insert(&mut self, id: SessionId, session: Session) {
        let node = &session.node;
        self.clients.insert(node.client_id().into(), id);
        if let Some(user) = node.user_id() {
            self.users.entry(user.into()).or_default().push(id);
        }
        self.all.insert(id, session);
    }

    pub(super) fn remove(&mut self, id: SessionId) -> Option<Session> {
        let session = self.all.swap_remove(&id)?;
        let client = session.node.client_id();
        if self.clients.get(client) == Some(&id) {
            self.clients.remove(client);
        }
        if let Some(user) = session.node.user_id()
            && let Some(of_user) = self.users.get_mut(user)
        {
            of_user.retain(|other| *other != id);
            if of_user.is_empty() {
                self.users.remove(user);
            }
        }
        Some(session)
    }

    pub(super) fn get(&self, id: SessionId) -> Option<&Session> {
        self.all.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: SessionId) -> Option<&mut Session> {
        self.all.get_mut(&id)
    }

    pub(super) fn of_client(&self, client: &str) -> Option<SessionId> {
        self.clients.get(client).copied()
    }

    /// The connection of a node: one client has one connection at a time.
    pub(super) fn of_node(&self, node: &NodeId) -> Option<SessionId> {
        self.of_client(node.client_id())
            .filter(|id| self.all.get(id).is_some_and(|session| session.node == *node))
    }

    pub(super) fn of_user(&self, user: &str) -> &[SessionId] {
        self.users.get(user).map_or(&[], Vec::as_slice)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (SessionId, &Session)> {
        self.all.iter().map(|(id, session)| (*id, session))
    }

    /// Begins a delivery: nobody is reached by it yet.
    pub(super) fn begin_delivery(&mut self) {
        self.delivery += 1;
    }

    /// Marks a connection as reached by this delivery, and gives by how much its numbers are higher; `None` if it was reached already.
    pub(super) fn reach(&mut self, id: SessionId) -> Option<u64> {
        let session = self.all.get_mut(&id)?;
        (core::mem::replace(&mut session.reached, self.delivery) != self.delivery)
            .then_some(session.ahead)
    }
}
