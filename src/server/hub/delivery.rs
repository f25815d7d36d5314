//! Actions of the application, and the delivery of actions to their recipients.

use std::sync::Arc;

use super::{Hub, NO_FILTER, handler_request};
use crate::{
    action::{Action, ActionError, NodeId, Subprotocol, logux::Subscribed},
    log::{Draft, LogError},
    server::{
        AddAction, FateKey, HubEvent, Output, Recipients, RequestKind, SessionId,
        channels::Origin,
        inbox::remembered_for,
        pending_request::{PendingRequest, Subject},
        sessions::Sessions,
    },
    store::{Entry, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    pub(super) fn add(
        &mut self,
        now: WallTime,
        addition: AddAction,
    ) -> Result<(), LogError<S::Error>> {
        let AddAction { action, mut draft, to, process, ticket } = addition;
        if !process && self.apply_own(now, &action, draft.id.as_ref(), &to)? {
            self.pending.extend(ticket.map(|ticket| Output::Done(ticket, Ok(()))));
            return Ok(());
        }
        draft.subprotocol = draft.subprotocol.or(self.own_draft().subprotocol);
        let mut retention = None;
        if !process {
            (draft, retention) = self.retain_own(now, &action, draft, &to);
        }
        let Some(entry) = self.log.add(now, action, draft)? else {
            // The log has an action with this id already.
            self.pending.extend(ticket.map(|ticket| Output::Done(ticket, Ok(()))));
            return Ok(());
        };
        let entry = Arc::new(entry);
        self.report(HubEvent::Added(entry.clone()));
        if process {
            let request = PendingRequest {
                subject: Subject::OwnAction { ticket },
                recipients: to,
                is_approved: false,
                sender: self.config.node.clone(),
                queue: self.queue_of(&entry.action),
                entry,
                fate_key: FateKey::none(),
            };
            let (request_id, request) = self.requests.start_unqueued(request);
            let handler_request = handler_request(&self.sessions, request_id, request);
            return self.request(handler_request);
        }
        if to == Recipients::default() && entry.meta.added.is_none() {
            self.report(HubEvent::Useless(entry.clone()));
        }
        if let Some(retention) = retention {
            self.apply_count_bound(now, &retention)?;
            self.remove_superseded(&retention, &entry)?;
            self.push_recorded(&entry, &entry.action)?;
        }
        self.deliver(&entry, &to, None)?;
        if let Some(ticket) = ticket {
            self.pending.push_back(Output::Done(ticket, Ok(())));
        }
        Ok(())
    }

    pub(super) fn own_draft(&self) -> Draft {
        Draft {
            subprotocol: Some(Subprotocol::Number(self.config.subprotocol)),
            ..Draft::default()
        }
    }

    pub(super) fn send_to_session(
        &mut self,
        now: WallTime,
        id: SessionId,
        action: Result<Action, ActionError>,
    ) -> Result<(), LogError<S::Error>> {
        let Ok(action) = action else { return Ok(()) };
        match self.log.add(now, action, self.own_draft())? {
            Some(entry) => self.deliver_to(id, Arc::new(entry), false),
            None => Ok(()),
        }
    }

    /// Sends an action of the application to one connection.
    pub(super) fn send(
        &mut self,
        now: WallTime,
        id: SessionId,
        action: Action,
        mut draft: Draft,
    ) -> Result<(), LogError<S::Error>> {
        draft.subprotocol = draft.subprotocol.or(self.own_draft().subprotocol);
        let Some(entry) = self.log.add(now, action, draft)?.map(Arc::new) else { return Ok(()) };
        self.report(HubEvent::Added(entry.clone()));
        self.deliver_to(id, entry, false)
    }

    /// Sends an action to one connection. With `confirm`, the hub requires the confirmation of the
    /// client.
    pub(super) fn deliver_to(
        &mut self,
        id: SessionId,
        entry: Arc<Entry>,
        confirm: bool,
    ) -> Result<(), LogError<S::Error>> {
        if self.push_requested(id, entry.clone(), confirm)? {
            self.report(HubEvent::Sent(entry, 1));
        }
        Ok(())
    }

    /// Sends an action that a connection has requested. Returns `false` if it is closed.
    pub(super) fn push_requested(
        &mut self,
        id: SessionId,
        entry: Arc<Entry>,
        confirm: bool,
    ) -> Result<bool, LogError<S::Error>> {
        let Some(session) = self.sessions.get(id) else { return Ok(false) };
        let added = self.log.last_added()? + session.added_offset;
        let confirm = confirm || remembered_for(&entry).contains(session.node.client_id());
        self.pending.push_back(Output::Deliver {
            session: id,
            added,
            entry,
            confirm,
            is_requested: true,
        });
        Ok(true)
    }

    /// Sends an action to each recipient once. The `holders` are the nodes that have the action
    /// already: they receive it only if they are named by client or node.
    pub(super) fn deliver(
        &mut self,
        entry: &Arc<Entry>,
        to: &Recipients,
        holders: Option<[&NodeId; 2]>,
    ) -> Result<(), LogError<S::Error>> {
        self.deliver_with_client(None, entry, to, holders)
    }

    /// Sends an action to each recipient and to `client`, which has requested it, once, as
    /// [`deliver`](Self::deliver).
    pub(super) fn deliver_with_client(
        &mut self,
        client: Option<&str>,
        entry: &Arc<Entry>,
        to: &Recipients,
        holders: Option<[&NodeId; 2]>,
    ) -> Result<(), LogError<S::Error>> {
        self.deliver_filtered(client, entry, entry, to, holders)
    }

    /// Sends an action as [`deliver_with_client`](Self::deliver_with_client). The filters of
    /// subscribers decide by another action, `filtered`.
    pub(super) fn deliver_filtered(
        &mut self,
        client: Option<&str>,
        entry: &Arc<Entry>,
        filtered: &Entry,
        to: &Recipients,
        holders: Option<[&NodeId; 2]>,
    ) -> Result<(), LogError<S::Error>> {
        let added = self.log.last_added()?;
        let remembered_for = remembered_for(entry);
        self.sessions.begin_delivery();
        let (sessions, channels, pending) = (&mut self.sessions, &self.channels, &mut self.pending);
        let mut sent = 0;
        // The client that is named first has requested the action.
        let requester = client.and_then(|client| sessions.of_client(client));
        let mut send = |sessions: &mut Sessions, id: SessionId| {
            if let Some(offset) = sessions.mark_reached(id) {
                sent += 1;
                let (added, entry) = (added + offset, entry.clone());
                let confirm = !remembered_for.is_empty()
                    && sessions
                        .get(id)
                        .is_some_and(|session| remembered_for.contains(session.node.client_id()));
                let is_requested = requester == Some(id);
                pending.push_back(Output::Deliver {
                    session: id,
                    added,
                    entry,
                    confirm,
                    is_requested,
                });
            }
        };
        if let Some(id) = client.and_then(|client| sessions.of_client(client)) {
            send(sessions, id);
        }
        // Clients that receive nothing more are marked as reached.
        for client in &to.exclude_clients {
            if let Some(id) = sessions.of_client(client) {
                sessions.mark_reached(id);
            }
        }
        for node in &to.nodes {
            if let Some(id) =
                NodeId::new(node.clone()).ok().and_then(|node| sessions.of_node(&node))
            {
                send(sessions, id);
            }
        }
        for client in &to.clients {
            if let Some(id) = sessions.of_client(client) {
                send(sessions, id);
            }
        }
        for node in holders.into_iter().flatten() {
            if let Some(id) = sessions.of_node(node) {
                sessions.mark_reached(id);
            }
        }
        for user in &to.users {
            for id in sessions.of_user(user).to_vec() {
                send(sessions, id);
            }
        }
        for channel in &to.channels {
            for id in channels.receivers(channel, filtered, to.only_filtered) {
                send(sessions, id);
            }
        }
        self.report(HubEvent::Sent(entry.clone(), sent));
        Ok(())
    }

    /// Returns the actions in progress that were sent to a channel and that a new subscriber has
    /// not received. It would miss them otherwise: they were resent before it subscribed, and may
    /// change the database after its load.
    pub(super) fn in_progress(&self, channel: &str, id: SessionId) -> Vec<Arc<Entry>> {
        let requests =
            self.requests.in_channel(channel).filter(|request| self.may_miss(request, id));
        requests.map(|request| request.entry.clone()).collect()
    }

    /// Whether a client is neither the author of an action that was sent, nor excluded, nor has
    /// received it.
    fn may_miss(&self, request: &PendingRequest, id: SessionId) -> bool {
        let Some(session) = self.sessions.get(id) else { return false };
        let (client, to) = (session.node.client_id(), &request.recipients);
        let is_author = request.kind() == RequestKind::Action
            && request.entry.meta.id.node().client_id() == client
            && !request.is_replaced()
            && request.holders().contains(&&session.node);
        let is_client = |recipient: &Arc<str>| **recipient == *client;
        let is_user = |user: &Arc<str>| session.node.user_id() == Some(user);
        !(is_author
            || to.exclude_clients.iter().chain(&to.clients).any(is_client)
            || to.users.iter().any(is_user)
            || to.nodes.iter().any(|node| **node == *session.node.as_str())
            || to.channels.iter().any(|channel| self.channels.accepts(channel, id, &request.entry)))
    }

    pub(super) fn unsubscribe_session(&mut self, id: SessionId, channel: &str, filter: &str) {
        let Some(session) = self.sessions.get_mut(id) else { return };
        session.subscription_ids.remove(&(channel.into(), filter.into()));
        let Some(removed) = self.channels.unsubscribe(channel, id, filter) else { return };
        if removed.origin == Origin::Client {
            session.filters = session.filters.without(filter);
        }
        if removed.was_last
            && let Some(channel) = session.channels.swap_take(channel)
        {
            let node = session.node.clone();
            self.presence.left(self.now, &channel, id);
            if removed.origin != Origin::Load {
                let (node, channel) = (node.clone(), channel.clone());
                self.report(HubEvent::Unsubscribed { node, channel });
            }
            self.pending.push_back(Output::Unsubscribed { node, channel });
        }
    }

    pub(super) fn subscribe_node(
        &mut self,
        now: WallTime,
        node: &NodeId,
        channel: &Arc<str>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(id) = self.sessions.of_node(node) else { return Ok(()) };
        if self.channels.is_subscribed(channel, id) {
            return Ok(());
        }
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        session.channels.insert(channel.clone());
        self.channels.subscribe_by_server(channel, id, NO_FILTER, Origin::Application);
        self.presence.subscribed(self.now, channel);
        self.report(HubEvent::Subscribed {
            id: None,
            node: node.clone(),
            channel: channel.clone(),
        });
        self.send_to_session(now, id, Subscribed { channel: channel.to_string() }.to_action())
    }
}
