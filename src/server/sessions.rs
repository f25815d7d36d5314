//! The connected clients, by connection, client, node and user.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    vec,
};

use indexmap::{IndexMap, IndexSet};

use super::{
    SessionId, SessionMap, hub::CatchUp, pending_request::PendingRequest, unconfirmed::Unconfirmed,
};
use crate::{
    action::{ActionId, NodeId, Subprotocol},
    json::Json,
    store::Entry,
    sync::{BatchToken, RefusedAction},
};

/// One connected client.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) node: NodeId,
    pub(super) subprotocol: Subprotocol,
    pub(super) headers: Option<Json>,
    /// The channels that it is subscribed to.
    pub(super) channels: IndexSet<Arc<str>>,
    /// The ids of the `logux/subscribe` actions of its subscriptions, by channel and filter key.
    /// Those that the application has made have none.
    pub(super) subscription_ids: BTreeMap<(Arc<str>, Arc<str>), ActionId>,
    /// The filters of these subscriptions that the client has requested itself.
    pub(super) filters: FilterUsage,
    /// Received batches that are not completely handled: they wait until fewer actions of the
    /// client, its user and all users wait, and large ones are handled in slices.
    pub(super) held_batches: VecDeque<HeldBatch>,
    /// Whether the connection is in the list of those with held batches.
    pub(super) is_listed_as_held: bool,
    pub(super) unconfirmed: Unconfirmed,
    /// The highest number of the log that the client has confirmed.
    pub(super) confirmed: u64,
    /// The subscriptions of earlier connections that are not looked at yet, latest first: they may
    /// have to be processed again. They precede the refused actions, and these the batches.
    pub(super) unparked: IndexMap<ActionId, PendingRequest>,
    /// The received actions that exceed a limit and are not answered yet.
    pub(super) refused: VecDeque<RefusedAction>,
    /// The number of the log up to which the node had received everything when it connected.
    pub(super) since: u64,
    /// The difference between the `added` numbers that the client is sent and those of the log.
    pub(super) added_offset: u64,
    /// The progress of sending the actions that it missed, if some are left.
    pub(super) catch_up: Option<CatchUp>,
    /// For a node that had received nothing when it connected: the last `added` number at that
    /// time. Undos up to it are of actions that the node does not have.
    pub(super) new_since: Option<u64>,
    /// The number of the last delivery to this client, so that it does not receive an action
    /// twice.
    last_delivery: u64,
}

impl Session {
    pub(super) fn new(
        node: NodeId,
        subprotocol: Subprotocol,
        headers: Option<Json>,
        since: u64,
        added_offset: u64,
        new_since: Option<u64>,
    ) -> Self {
        Self {
            node,
            subprotocol,
            headers,
            channels: IndexSet::new(),
            subscription_ids: BTreeMap::new(),
            filters: FilterUsage::default(),
            held_batches: VecDeque::new(),
            is_listed_as_held: false,
            unconfirmed: Unconfirmed::default(),
            confirmed: 0,
            unparked: IndexMap::new(),
            refused: VecDeque::new(),
            since,
            added_offset,
            catch_up: None,
            new_since,
            last_delivery: 0,
        }
    }
}

impl Session {
    /// Returns the ids of its subscriptions to a channel. O(log `n` + `m`), where `n` is the number
    /// of all its subscriptions and `m` of those to the channel.
    pub(super) fn subscriptions_to(&self, channel: &str) -> Vec<ActionId> {
        let first: (Arc<str>, Arc<str>) = (channel.into(), "".into());
        let of_channel = self.subscription_ids.range(first..);
        let of_channel = of_channel.take_while(|((other, _), _)| **other == *channel);
        of_channel.map(|(_, id)| id.clone()).collect()
    }

    /// Returns the channel and the filter key of a subscription. O(`n`).
    pub(super) fn subscription(&self, id: &ActionId) -> Option<(Arc<str>, Arc<str>)> {
        let mut all = self.subscription_ids.iter();
        all.find(|(_, other)| *other == id).map(|(key, _)| key.clone())
    }
}

/// A received batch that is not completely handled.
#[derive(Debug)]
pub(super) struct HeldBatch {
    pub(super) token: BatchToken,
    /// The rest of its actions.
    pub(super) entries: vec::IntoIter<Entry>,
    /// Whether some of its actions were handled. The others do not wait then.
    pub(super) has_begun: bool,
    /// Whether all of its handled actions were states of presence, which need no write.
    pub(super) is_only_presence: bool,
}

/// The number of filters of a client, one for each subscription that it has requested, and the size
/// of their JSON in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct FilterUsage {
    pub(super) count: usize,
    pub(super) bytes: usize,
}

impl FilterUsage {
    /// Returns the usage with another filter.
    #[must_use]
    pub(super) fn with(self, key: &str) -> Self {
        Self { count: self.count + 1, bytes: self.bytes + key.len() }
    }

    /// Returns the usage without one of the filters.
    #[must_use]
    pub(super) fn without(self, key: &str) -> Self {
        Self { count: self.count.saturating_sub(1), bytes: self.bytes.saturating_sub(key.len()) }
    }
}

/// All connected clients.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    all: SessionMap<Session>,
    clients: HashMap<Arc<str>, SessionId>,
    users: HashMap<Arc<str>, Vec<SessionId>>,
    delivery: u64,
}

impl Sessions {
    /// Adds a client. Its previous connection, if any, remains until it is removed by
    /// [`remove`](Self::remove).
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

    /// Returns the connection of a node. A client has one connection at a time.
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

    /// Begins a delivery, in which no connection is marked as reached.
    pub(super) fn begin_delivery(&mut self) {
        self.delivery += 1;
    }

    /// Marks a connection as reached by this delivery. Returns the offset of its `added` numbers,
    /// or `None` if it was marked already.
    pub(super) fn mark_reached(&mut self, id: SessionId) -> Option<u64> {
        let session = self.all.get_mut(&id)?;
        (core::mem::replace(&mut session.last_delivery, self.delivery) != self.delivery)
            .then_some(session.added_offset)
    }
}
