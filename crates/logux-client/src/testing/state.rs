//! What a [`FakeServer`](super::FakeServer) knows: connections, subscriptions, actions, answers.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use logux::{
    Action, ActionId, Entry, Meta, NodeId, Now, WallTime,
    action::{
        IdGenerator,
        logux::{PROCESSED, Processed, SUBSCRIBE, Since, UNDO, UNSUBSCRIBE, Undo},
    },
    sync::{Authentication, RefusedAction},
    wire::ErrorMessage,
};
use logux_net::drive::Clock;
use serde_json::Value;
use tokio::sync::{mpsc, watch};

use crate::testing::rules::{Refusal, Route, Rules};

/// The state of a server, which its connections share.
#[derive(Debug)]
pub(super) struct ServerState {
    pub(super) node: NodeId,
    pub(super) clock: Clock,
    content: Mutex<Content>,
    /// The number of received actions.
    received: watch::Sender<usize>,
}

#[derive(Debug)]
pub(super) struct Content {
    pub(super) rules: Rules,
    /// The generators of ids, by node: the server's and those of other users.
    ids: HashMap<NodeId, IdGenerator>,
    last_added: u64,
    last_connection: u64,
    /// By client id.
    clients: BTreeMap<String, ClientState>,
    /// The actions of clients in the order of arrival.
    pub(super) received: Vec<Entry>,
    /// Received actions that have no answer, because processing is frozen.
    deferred: Vec<Received>,
    /// How many calls have frozen it.
    frozen: usize,
    /// What is known about actions.
    actions: HashMap<ActionId, ActionState>,
    /// The kept actions of channels, in the order of arrival.
    kept: HashMap<String, Vec<KeptAction>>,
}

/// A received action with its author, and where it goes if the test has a rule for its type.
#[derive(Debug)]
struct Received {
    author: NodeId,
    entry: Entry,
    route: Option<Route>,
}

/// An action of a channel, with the time of its arrival.
#[derive(Clone, Debug)]
struct KeptAction {
    arrived: WallTime,
    /// The number of the last delivery before it.
    after: u64,
    entry: Entry,
}

/// What a server knows about a client, also between its connections.
#[derive(Debug, Default)]
struct ClientState {
    connected: Option<Connected>,
    /// What it has not confirmed.
    unconfirmed: Vec<Entry>,
}

#[derive(Debug)]
struct Connected {
    connection: u64,
    node: NodeId,
    /// The actions for the connection's task.
    outgoing: mpsc::UnboundedSender<Entry>,
    /// The subscriptions: channels with filters, in the order of subscribing.
    subscriptions: Vec<(String, Option<Value>)>,
}

/// What is known about an action.
#[derive(Debug, Default)]
struct ActionState {
    /// The answer to its author.
    answer: Option<Action>,
    channels: Vec<String>,
    is_kept: bool,
}

impl ServerState {
    pub(super) fn new(node: NodeId, clock: Clock) -> Self {
        let content = Content {
            rules: Rules::default(),
            ids: HashMap::new(),
            last_added: 0,
            last_connection: 0,
            clients: BTreeMap::new(),
            received: Vec::new(),
            deferred: Vec::new(),
            frozen: 0,
            actions: HashMap::new(),
            kept: HashMap::new(),
        };
        Self { node, clock, content: Mutex::new(content), received: watch::Sender::new(0) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of received actions, as it changes.
    pub(super) fn received(&self) -> watch::Receiver<usize> {
        self.received.subscribe()
    }

    /// Decides whether a client may connect.
    pub(super) fn authenticate(&self, login: &Authentication) -> Result<(), ErrorMessage> {
        let auth = self.lock().rules.auth.clone();
        auth.map_or(Ok(()), |auth| auth(login))
    }

    /// Adds a connection of a client, in place of its former one. Returns its number, the last
    /// added number, the actions that the client has missed, and the later ones.
    pub(super) fn join(&self, node: &NodeId, since: u64) -> Joined {
        let mut content = self.lock();
        content.last_connection += 1;
        let (connection, last_added) = (content.last_connection, content.last_added);
        let client = content.clients.entry(node.client_id().to_owned()).or_default();
        client.confirm(since);
        let (sender, outgoing) = mpsc::unbounded_channel();
        client.connected = Some(Connected {
            connection,
            node: node.clone(),
            outgoing: sender,
            subscriptions: Vec::new(),
        });
        Joined { connection, last_added, missed: client.unconfirmed.clone(), outgoing }
    }

    /// Removes a connection, unless a later one has replaced it.
    pub(super) fn leave(&self, node: &NodeId, connection: u64) {
        if let Some(client) = self.lock().clients.get_mut(node.client_id()) {
            client.connected.take_if(|connected| connected.connection == connection);
        }
    }

    /// Records that a client has what it was sent up to this number.
    pub(super) fn confirmed(&self, node: &NodeId, added: u64) {
        if let Some(client) = self.lock().clients.get_mut(node.client_id()) {
            client.confirm(added);
        }
    }

    /// Answers the received actions of a client.
    pub(super) fn receive(&self, author: &NodeId, entries: Vec<Entry>, refused: &[RefusedAction]) {
        let now = self.clock.now();
        for RefusedAction { id, limit, .. } in refused {
            let Some(id) = id else { continue };
            let (id, reason) = (id.to_string(), limit.undo_reason().to_owned());
            let undo = Undo { id, reason, action: None, extra: Vec::new() };
            self.lock().deliver_new(&self.node, now.wall, author, undo.to_action().ok());
        }
        for entry in entries {
            let route = self.resend_route(&entry.action);
            let mut content = self.lock();
            if let Some(known) = content.actions.get(&entry.meta.id) {
                // Sent again, because the answer or the confirmation was lost.
                let answer = known.answer.clone();
                let is_processed = answer.as_ref().is_some_and(|answer| answer.kind() == PROCESSED);
                if is_processed && entry.action.kind() == SUBSCRIBE {
                    // The subscription has ended with the connection.
                    content.subscribe(&self.node, now.wall, author, &entry.action);
                }
                content.deliver_new(&self.node, now.wall, author, answer);
                continue;
            }
            content.actions.insert(entry.meta.id.clone(), ActionState::default());
            content.received.push(entry.clone());
            let received = Received { author: author.clone(), entry, route };
            if content.frozen > 0 {
                content.deferred.push(received);
            } else {
                content.process(&self.node, now, received);
            }
        }
        let received = self.lock().received.len();
        self.received.send_replace(received);
    }

    /// Returns where an action goes by a rule of [`FakeServer::resend`]. `None` without one. The
    /// function of the test may use the server.
    ///
    /// [`FakeServer::resend`]: super::FakeServer::resend
    fn resend_route(&self, action: &Action) -> Option<Route> {
        let (channels, is_kept) = {
            let content = self.lock();
            (content.rules.channels_of(action.kind())?, content.rules.keeps_all)
        };
        Some(Route { channels: channels(action), is_kept })
    }

    /// Stops the answers, until the result is dropped.
    pub(super) fn freeze(self: &Arc<Self>) -> Frozen {
        self.lock().frozen += 1;
        Frozen(self.clone())
    }

    /// Sends a new action of a node to the subscribers of its channels, or to all clients.
    pub(super) fn send(&self, node: &NodeId, action: Action, to_all: bool) -> ActionId {
        let now = self.clock.now();
        let route = self.resend_route(&action);
        let mut content = self.lock();
        let entry = content.entry(node, now.wall, action);
        let id = entry.meta.id.clone();
        let route = route.or_else(|| content.route(&entry.action));
        let recipients: Vec<String> = match &route {
            Some(route) if !to_all => content.subscribers(&route.channels),
            _ => content.connected_clients(),
        };
        content.keep(now.wall, &entry, route.unwrap_or_default());
        for client in recipients {
            content.deliver(&client, &entry);
        }
        id
    }

    /// Returns the nodes that are subscribed to a channel.
    pub(super) fn subscribers(&self, channel: &str) -> Vec<NodeId> {
        let content = self.lock();
        let connected = content.clients.values().filter_map(|client| client.connected.as_ref());
        let subscribed = connected.filter(|connected| connected.is_subscribed(channel));
        let mut nodes: Vec<NodeId> = subscribed.map(|connected| connected.node.clone()).collect();
        nodes.sort();
        nodes
    }
}

/// A connection that was added.
pub(super) struct Joined {
    pub(super) connection: u64,
    pub(super) last_added: u64,
    pub(super) missed: Vec<Entry>,
    pub(super) outgoing: mpsc::UnboundedReceiver<Entry>,
}

/// While it exists, received actions get no answer.
pub(super) struct Frozen(Arc<ServerState>);

impl Drop for Frozen {
    fn drop(&mut self) {
        let now = self.0.clock.now();
        let mut content = self.0.lock();
        content.frozen -= 1;
        if content.frozen > 0 {
            return;
        }
        for received in core::mem::take(&mut content.deferred) {
            content.process(&self.0.node, now, received);
        }
    }
}

impl Content {
    /// Answers an action, and passes it on.
    fn process(&mut self, server: &NodeId, now: Now, received: Received) {
        let Received { author, entry, route } = received;
        let (author, id) = (&author, &entry.meta.id);
        let refusal = self.rules.refusal(&entry.action).or_else(|| self.missing(&entry.action));
        let answer = match refusal {
            Some(refusal) => refusal.undo(id, &entry.action).to_action(),
            None => {
                match entry.action.kind() {
                    SUBSCRIBE => self.subscribe(server, now.wall, author, &entry.action),
                    UNSUBSCRIBE => self.unsubscribe(author, &entry.action),
                    _ => self.resend(now.wall, author, &entry, route),
                }
                Processed { id: id.to_string() }.to_action()
            }
        }
        .ok();
        if let Some(state) = self.actions.get_mut(id) {
            state.answer.clone_from(&answer);
        }
        self.deliver_new(server, now.wall, author, answer);
    }

    /// Returns the answer to an undo of an unknown action.
    fn missing(&self, action: &Action) -> Option<Refusal> {
        let undone = action.str_field("id").filter(|_| action.kind() == UNDO)?;
        let is_known = undone.parse().is_ok_and(|id: ActionId| self.actions.contains_key(&id));
        (!is_known).then(|| Refusal::new("notFound"))
    }

    fn subscribe(&mut self, server: &NodeId, now: WallTime, author: &NodeId, action: &Action) {
        let Some((channel, filter)) = subscription(action) else { return };
        let responses = self.rules.responses.get(&channel).cloned().unwrap_or_default();
        for response in responses {
            self.deliver_new(server, now, author, Some(response));
        }
        let since = action.field("since").and_then(|json| serde_json::from_str::<Since>(json).ok());
        for entry in self.missed(&channel, since.as_ref(), author) {
            self.deliver(author.client_id(), &entry);
        }
        if let Some(connected) = self.connected(author)
            && !connected.subscriptions.contains(&(channel.clone(), filter.clone()))
        {
            connected.subscriptions.push((channel, filter));
        }
    }

    /// Returns the kept actions of a channel that a subscriber does not have. With `since`, it has
    /// its own ones.
    fn missed(&self, channel: &str, since: Option<&Since>, author: &NodeId) -> Vec<Entry> {
        let kept = self.kept.get(channel).map(Vec::as_slice).unwrap_or_default();
        let Some(since) = since else {
            return kept.iter().map(|kept| kept.entry.clone()).collect();
        };
        let known = kept.iter().position(|kept| kept.entry.meta.id.to_string() == since.id);
        // Of the answer that ended a subscription, the time counts. Of actions in the same
        // millisecond, some may be sent again, but none is lost.
        let is_new = |kept: &&KeptAction| match since.added {
            Some(added) => kept.after >= added,
            None => known.is_some() || kept.arrived >= WallTime::from_millis(since.time),
        };
        let later = kept.iter().skip(known.map_or(0, |known| known + 1)).filter(is_new);
        let of_others = later.filter(|kept| kept.entry.meta.id.node() != author);
        of_others.map(|kept| kept.entry.clone()).collect()
    }

    fn unsubscribe(&mut self, author: &NodeId, action: &Action) {
        let Some(left) = subscription(action) else { return };
        if let Some(connected) = self.connected(author) {
            connected.subscriptions.retain(|subscribed| *subscribed != left);
        }
    }

    /// Passes an action to the other subscribers of its channels.
    fn resend(&mut self, now: WallTime, author: &NodeId, entry: &Entry, route: Option<Route>) {
        let route = route.or_else(|| self.route(&entry.action)).unwrap_or_default();
        let subscribers = self.subscribers(&route.channels);
        self.keep(now, entry, route);
        for client in subscribers.iter().filter(|client| *client != author.client_id()) {
            self.deliver(client, entry);
        }
    }

    /// Returns where an action goes without a rule of the test: an undo goes where the undone
    /// action went.
    fn route(&self, action: &Action) -> Option<Route> {
        if action.kind() != UNDO {
            return self.rules.shared_route(action);
        }
        let undone: ActionId = action.str_field("id")?.parse().ok()?;
        let ActionState { channels, is_kept, .. } = self.actions.get(&undone)?;
        Some(Route { channels: channels.clone(), is_kept: *is_kept })
    }

    /// Records where an action went.
    fn keep(&mut self, arrived: WallTime, entry: &Entry, Route { channels, is_kept }: Route) {
        if is_kept {
            for channel in &channels {
                let (after, entry) = (self.last_added, entry.clone());
                let kept = KeptAction { arrived, after, entry };
                self.kept.entry(channel.clone()).or_default().push(kept);
            }
        }
        let state = self.actions.entry(entry.meta.id.clone()).or_default();
        (state.channels, state.is_kept) = (channels, is_kept);
    }

    /// Returns the ids of the clients that are subscribed to one of the channels.
    fn subscribers(&self, channels: &[String]) -> Vec<String> {
        let is_subscriber = |client: &ClientState| {
            client.connected.as_ref().is_some_and(|connected| {
                channels.iter().any(|channel| connected.is_subscribed(channel))
            })
        };
        let subscribers = self.clients.iter().filter(|(_, client)| is_subscriber(client));
        subscribers.map(|(id, _)| id.clone()).collect()
    }

    fn connected_clients(&self) -> Vec<String> {
        let connected = self.clients.iter().filter(|(_, client)| client.connected.is_some());
        connected.map(|(id, _)| id.clone()).collect()
    }

    fn connected(&mut self, node: &NodeId) -> Option<&mut Connected> {
        let connected = self.clients.get_mut(node.client_id())?.connected.as_mut();
        // The subscriptions of an earlier connection are over.
        connected.filter(|connected| connected.node == *node)
    }

    /// Sends a new action of the server to a client, now or when it connects.
    fn deliver_new(&mut self, server: &NodeId, now: WallTime, to: &NodeId, action: Option<Action>) {
        if let Some(action) = action {
            let entry = self.entry(server, now, action);
            self.deliver(to.client_id(), &entry);
        }
    }

    fn deliver(&mut self, client: &str, entry: &Entry) {
        let Some(client) = self.clients.get_mut(client) else { return };
        self.last_added += 1;
        let mut entry = entry.clone();
        entry.meta.added = Some(self.last_added);
        if let Some(connected) = &client.connected {
            let _ = connected.outgoing.send(entry.clone());
        }
        client.unconfirmed.push(entry);
    }

    /// Returns a new entry of a node.
    fn entry(&mut self, node: &NodeId, now: WallTime, action: Action) -> Entry {
        let ids = self.ids.entry(node.clone()).or_insert_with(|| IdGenerator::new(node.clone()));
        Entry::new(action, Meta::new(ids.next(now)))
    }
}

impl ClientState {
    fn confirm(&mut self, added: u64) {
        self.unconfirmed.retain(|entry| entry.meta.added > Some(added));
    }
}

impl Connected {
    fn is_subscribed(&self, channel: &str) -> bool {
        self.subscriptions.iter().any(|(subscribed, _)| subscribed == channel)
    }
}

/// Returns what a `logux/subscribe` or `logux/unsubscribe` names.
fn subscription(action: &Action) -> Option<(String, Option<Value>)> {
    let channel = action.str_field("channel")?.into_owned();
    let filter = action.field("filter").and_then(|json| serde_json::from_str(json).ok());
    Some((channel, filter))
}
