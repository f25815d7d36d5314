//! The server's endpoint of one connection.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use super::{Violation, context::Context};
use crate::{
    action::{
        ActionId, NodeId, Subprotocol,
        logux::{PROCESSED, UNDO},
    },
    server::{Input, SessionId},
    store::Entry,
    sync::{self, AuthToken, BatchToken, Node, State},
    time::Now,
    wire::ErrorMessage,
};

/// The largest number of replayed actions in one message.
const REPLAY_BATCH: usize = 100;

/// A sync node, and the queue of the hub's outputs for it.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) session: SessionId,
    pub(super) node: Node,
    /// A pending login.
    login: Option<Login>,
    /// The time when the login ends, in milliseconds.
    login_ends: Option<u64>,
    /// The client that has sent `connect`.
    client: Option<(NodeId, Subprotocol)>,
    /// Whether the hub has received [`Input::Join`].
    pub(super) has_joined: bool,
    outbox: VecDeque<OutboxItem>,
    /// The time to drain the outbox, in milliseconds.
    drains_at: Option<u64>,
    /// Whether to close the connection when the outbox is empty.
    is_replaced: bool,
    /// For a node that has received nothing: the number that its client had confirmed when it
    /// joined.
    pub(super) confirmed_before: Option<u64>,
    /// The added numbers whose confirmation the hub waits for.
    to_confirm: VecDeque<u64>,
    /// The added number of the last page of missed actions, while there are more.
    catching_up: Option<u64>,
    /// The actions of other clients that were sent since the client last unsubscribed from a
    /// channel.
    sent: BTreeSet<ActionId>,
}

/// A login that the application decides about.
#[derive(Debug)]
struct Login {
    /// The time of the answer in milliseconds.
    answered_at: u64,
    /// Whether the application fails.
    fails: bool,
    /// The time in milliseconds until which the client's token is valid.
    valid_until: u64,
    token: AuthToken,
}

/// An output of the hub for one connection.
#[derive(Debug)]
pub(super) enum OutboxItem {
    /// Send actions that the client missed. `true`: there are more.
    Missed(u64, Vec<Arc<Entry>>, bool),
    /// Confirm a batch.
    Persisted(BatchToken),
    /// Send an action. `true`: the hub waits for its confirmation.
    Deliver(u64, Arc<Entry>, bool),
    /// Send the kept actions of a channel.
    Replay(u64, Vec<Arc<Entry>>),
}

/// What the server has to do for an endpoint.
#[derive(Debug)]
pub(super) enum EndpointOutput {
    /// Pass this input to the hub.
    Hub(Input),
    /// Send a frame.
    Send(String),
    /// Close the connection.
    Close,
}

impl Endpoint {
    pub(super) fn new(config: Arc<sync::Config>, now: Now, session: SessionId) -> Self {
        let mut node = Node::new(config, ());
        node.handle(now, sync::Input::Opened);
        Self {
            session,
            node,
            login: None,
            login_ends: None,
            client: None,
            has_joined: false,
            outbox: VecDeque::new(),
            drains_at: None,
            is_replaced: false,
            confirmed_before: None,
            to_confirm: VecDeque::new(),
            catching_up: None,
            sent: BTreeSet::new(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.outbox.is_empty() && self.login.is_none() && self.node.state() == State::Synchronized
    }

    /// Returns the time of the next event, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        let deadline = self.node.next_deadline().map(|deadline| deadline.at.as_millis());
        let login = self.login.as_ref().map(|login| login.answered_at);
        let drains_at = self.drains_at.filter(|_| self.can_send());
        [deadline, login, self.login_ends, drains_at].into_iter().flatten().min()
    }

    /// As in the server, outputs wait until the client has confirmed earlier actions.
    fn can_send(&self) -> bool {
        self.client.is_none() || self.node.can_send()
    }

    /// Returns the id of the client.
    pub(super) fn client_id(&self) -> Option<&str> {
        self.client.as_ref().map(|(node, _)| node.client_id())
    }

    /// Adds an output of the hub to the outbox.
    pub(super) fn push(&mut self, context: &mut Context, item: OutboxItem) {
        if let OutboxItem::Deliver(_, entry, _) = &item
            && !entry.meta.id.node().is_server()
            && !self.sent.insert(entry.meta.id.clone())
        {
            context.report(Violation::SentTwice(self.session.0, entry.meta.id.clone()));
        }
        if let (OutboxItem::Missed(_, missed, _), Some(confirmed)) = (&item, self.confirmed_before)
        {
            let is_answer = |entry: &&Arc<Entry>| {
                matches!(entry.action.kind(), PROCESSED | UNDO)
                    && entry.meta.added <= Some(confirmed)
            };
            if let Some(answer) = missed.iter().find(is_answer) {
                context.report(Violation::AnsweredAgain(answer.meta.id.clone()));
            }
        }
        self.outbox.push_back(item);
        self.drain_soon(context);
    }

    /// Handles a newer connection of the same client.
    pub(super) fn replace(&mut self, context: &mut Context) {
        self.is_replaced = true;
        self.drain_soon(context);
    }

    /// Handles an unsubscription of a client. After subscribing again, the client may receive
    /// actions a second time.
    pub(super) fn forget_sent(&mut self, node: &NodeId) {
        if self.client.as_ref().is_some_and(|(client, _)| client == node) {
            self.sent.clear();
        }
    }

    fn drain_soon(&mut self, context: &mut Context) {
        let at = context.after(|config| &config.round_delay);
        self.drains_at.get_or_insert(at);
    }

    /// Executes what is due.
    pub(super) fn wake(&mut self, context: &mut Context) -> Vec<EndpointOutput> {
        let (now, now_ms) = (context.now(), context.now_ms);
        if self.node.next_deadline().is_some_and(|deadline| deadline.at.as_millis() <= now_ms) {
            self.node.handle(now, sync::Input::Wake);
        }
        if let Some(login) = self.login.take_if(|login| login.answered_at <= now_ms) {
            if login.fails {
                context.record(|| format!("the login at connection {} fails", self.session.0));
                return vec![EndpointOutput::Close];
            }
            if login.valid_until < now_ms {
                let error = ErrorMessage::wrong_credentials();
                self.node.handle(now, sync::Input::Refuse(login.token, error));
                return self.poll_node(context);
            }
            self.node.handle(now, sync::Input::Allow(login.token));
            self.login_ends = Some(context.after(|config| &config.login_duration));
        }
        if self.login_ends.is_some_and(|at| at <= now_ms) {
            context.record(|| format!("the login at connection {} ends", self.session.0));
            context.counts.logins_ended += 1;
            return vec![EndpointOutput::Close];
        }
        let mut outputs = self.poll_node(context);
        if self.drains_at.is_some_and(|at| at <= now_ms) {
            while self.can_send()
                && let Some(item) = self.outbox.pop_front()
            {
                let is_page = matches!(item, OutboxItem::Missed(..));
                self.execute(now, item);
                if is_page && self.catching_up.is_some() {
                    outputs.push(EndpointOutput::Hub(Input::CatchUp(self.session)));
                }
            }
            if self.outbox.is_empty() {
                self.drains_at = None;
            }
            outputs.extend(self.poll_node(context));
            if self.is_replaced && self.outbox.is_empty() {
                outputs.push(EndpointOutput::Close);
            }
        }
        outputs
    }

    fn execute(&mut self, now: Now, item: OutboxItem) {
        match item {
            OutboxItem::Missed(added, missed, has_more) => {
                self.catching_up = has_more.then_some(added);
                self.to_confirm.extend((!missed.is_empty()).then_some(added));
                self.node.send(now.mono, added, missed.iter().map(|entry| &**entry))
            }
            OutboxItem::Persisted(batch) => self.node.handle(now, sync::Input::Persisted(batch)),
            OutboxItem::Deliver(added, entry, confirm) => {
                self.to_confirm.extend(confirm.then_some(added));
                self.node.send(now.mono, self.covered(added), [&*entry]);
            }
            OutboxItem::Replay(added, entries) => {
                for batch in entries.chunks(REPLAY_BATCH) {
                    let added = self.covered(added);
                    self.node.send(now.mono, added, batch.iter().map(|entry| &**entry));
                }
            }
        }
    }

    /// Returns the `added` number of a message: none that the client has not caught up to.
    fn covered(&self, added: u64) -> u64 {
        self.catching_up.map_or(added, |covered| covered.min(added))
    }

    /// Handles a received frame.
    pub(super) fn receive(&mut self, context: &mut Context, frame: &str) -> Vec<EndpointOutput> {
        self.node.handle(context.now(), sync::Input::Frame(frame));
        self.poll_node(context)
    }

    /// Returns what the outputs of the node require.
    fn poll_node(&mut self, context: &mut Context) -> Vec<EndpointOutput> {
        let (mut outputs, session) = (Vec::new(), self.session);
        while let Some(output) = self.node.poll_output() {
            match output {
                sync::Output::Send(frame) => outputs.push(EndpointOutput::Send(frame)),
                sync::Output::Authenticate(request) => {
                    let fails = context.fails(context.config.errors_once_in);
                    let answered_at = context.after(|config| &config.handler_delay);
                    let secret = request.secret.and_then(|secret| secret.parse().ok());
                    self.login = Some(Login {
                        answered_at,
                        fails,
                        valid_until: secret.unwrap_or_default(),
                        token: request.token,
                    });
                    self.client = Some((request.node, request.subprotocol));
                }
                sync::Output::Connected { since, .. } => {
                    let Some((node, subprotocol)) = self.client.clone() else { continue };
                    let (headers, since) = (None, since.unwrap_or_default());
                    self.has_joined = true;
                    outputs.push(EndpointOutput::Hub(Input::Join {
                        session,
                        node,
                        subprotocol,
                        headers,
                        since,
                    }));
                }
                sync::Output::Received { batch, entries, refused, .. } => {
                    if !refused.is_empty() {
                        let actions = refused;
                        outputs.push(EndpointOutput::Hub(Input::Refused { session, actions }));
                    }
                    outputs.push(EndpointOutput::Hub(Input::Received { session, batch, entries }));
                }
                sync::Output::SentUpTo(added) => {
                    let confirmed =
                        self.to_confirm.iter().take_while(|number| **number <= added).count();
                    if confirmed > 0 {
                        self.to_confirm.drain(..confirmed);
                        outputs.push(EndpointOutput::Hub(Input::Acknowledged { session, added }));
                    }
                }
                sync::Output::Disconnect(reason) => {
                    context
                        .record(|| format!("the server closes connection {}: {reason}", session.0));
                    outputs.push(EndpointOutput::Close);
                }
                _ => {}
            }
        }
        outputs
    }
}
