//! Clients that connect and disconnect, and their subscriptions.
//!
//! A subscription belongs to a connection. If the client has not received the answer, the
//! subscription is processed again in its next connection: the `logux/subscribe` was confirmed by
//! `synced`, so the client does not repeat it. If the client has received the answer, it subscribes
//! again itself. The confirmations of the client, and the number in its `connect`, state what it
//! has received.

use std::{collections::HashMap, sync::Arc};

use super::{Hub, pages::CatchUp, subscription_key};
use crate::{
    action::{NodeId, Subprotocol, logux::UNSUBSCRIBE},
    json::Json,
    log::LogError,
    server::{
        HubEvent, Output, SessionId, inbox::answered_id, pending_request::PendingRequest,
        retention::was_approved, sessions::Session,
    },
    store::{Entry, Store},
    time::WallTime,
};

/// The number of channels that a closed connection is removed from at a time.
const CHANNELS_AT_A_TIME: usize = 256;

/// The number of subscriptions whose confirmation is handled at a time.
const CONFIRMATIONS_AT_A_TIME: usize = 64;

/// The channels that a closed connection has to be removed from.
#[derive(Debug)]
pub(super) struct LeftChannels {
    session: SessionId,
    node: NodeId,
    channels: indexmap::set::IntoIter<Arc<str>>,
}

impl<S: Store> Hub<S> {
    pub(super) fn join(
        &mut self,
        now: WallTime,
        id: SessionId,
        node: &NodeId,
        subprotocol: Subprotocol,
        headers: Option<Json>,
        since: u64,
    ) -> Result<(), LogError<S::Error>> {
        if let Some(previous) = self.sessions.of_client(node.client_id()) {
            self.leave(previous)?;
            self.pending.push_back(Output::Replaced(previous));
        }
        self.log_starts.record(&mut self.log, now)?;
        let is_new = since == 0;
        let (since, added_offset) =
            self.added_offsets.resolve(node.client_id(), since, self.log.last_added()?);
        let last_added = self.log.last_added()?;
        let new_since = is_new.then_some(last_added);
        let mut session =
            Session::new(node.clone(), subprotocol, headers, since, added_offset, new_since);
        // An earlier page of the client had the answers that a node of it has confirmed.
        let answers_after = if is_new { self.inbox.confirmed_by(node.client_id()) } else { since };
        session.catch_up = Some(CatchUp::new(since, answers_after, last_added, is_new));
        let unparked = self.requests.unpark(node.client_id()).into_iter().rev();
        session.unparked = unparked.map(|it| (it.entry.meta.id.clone(), it)).collect();
        self.sessions.insert(id, session);
        self.catch_up(id)?;
        self.receive_held(now, id)
    }

    /// Continues the actions that were not answered before the last stop. `unanswered` also has the
    /// `logux/unsubscribe` actions, which cancel earlier subscriptions. The other subscriptions
    /// wait for their clients.
    pub(super) fn restore_unanswered(
        &mut self,
        unanswered: Vec<Entry>,
    ) -> Result<(), LogError<S::Error>> {
        let mut requests: Vec<PendingRequest> = Vec::new();
        let mut subscriptions: HashMap<_, Vec<usize>> = HashMap::new();
        for entry in unanswered {
            let key =
                subscription_key(&entry.action).map(|key| (entry.meta.id.node().clone(), key));
            if entry.action.kind() == UNSUBSCRIBE {
                let earlier = key.and_then(|key| subscriptions.remove(&key));
                for index in earlier.into_iter().flatten() {
                    requests[index].cancel();
                }
                continue;
            }
            let request = self.client_request(entry, None)?;
            if let (Some(_), Some(key)) = (request.subscription(), key) {
                subscriptions.entry(key).or_default().push(requests.len());
            }
            requests.push(request);
        }
        // A failure undoes later requests of its queue, but not those that may have taken effect
        // already. So approved ones are first. Only those with a retention are known to be
        // approved, because they were added again then. Cancelled subscriptions are last.
        let (cancelled, mut requests): (Vec<PendingRequest>, Vec<PendingRequest>) =
            requests.into_iter().partition(PendingRequest::is_cancelled);
        requests.sort_by_key(|request| !was_approved(&request.entry.meta));
        for request in requests {
            if request.subscription().is_some() {
                self.park(request)?;
            } else {
                self.enqueue(request)?;
            }
        }
        cancelled.into_iter().try_for_each(|request| self.enqueue(request))
    }

    /// Processes a subscription of an earlier connection again if its node has not received the
    /// answer. `since` is the number up to which the node has received everything.
    pub(super) fn return_subscription(
        &mut self,
        session: SessionId,
        node: &NodeId,
        since: u64,
        request: PendingRequest,
    ) -> Result<(), LogError<S::Error>> {
        let id = &request.entry.meta.id;
        let answer = self.inbox.answer_to(&self.log, id)?;
        let has_answer =
            answer.is_some_and(|answer| answer.meta.added.is_some_and(|added| added <= since));
        // Tabs share the connection of one of them. Another node of the client does not return.
        let is_same_node = id.node() == node || request.is_from(node);
        if has_answer || !is_same_node {
            return self.inbox.forget(&mut self.log, id);
        }
        self.inbox.remove_answer(&mut self.log, id)?;
        self.enqueue(request.for_session(Some(session)))
    }

    /// Whether an entry is the answer to a subscription of an earlier connection that is processed
    /// again or given up later: its client gets another answer then.
    pub(super) fn is_obsolete_answer(&self, session: &Session, entry: &Entry) -> bool {
        if session.unparked.is_empty() && self.given_up.is_empty() {
            return false;
        }
        answered_id(entry)
            .is_some_and(|id| session.unparked.contains_key(&id) || self.given_up.contains_key(&id))
    }

    pub(super) fn leave(&mut self, id: SessionId) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.remove(id) else { return Ok(()) };
        self.presence.disconnected(id);
        let (node, channels) = (session.node, session.channels.into_iter());
        self.leave_channels(LeftChannels { session: id, node, channels });
        let unparked = session.unparked.into_values().rev();
        for request in unparked.chain(session.unconfirmed.into_requests()) {
            self.park(request)?;
        }
        Ok(())
    }

    /// Removes a connection that is closed from its channels, a part of them at a time: a client
    /// may be subscribed to all records of a large collection.
    pub(super) fn leave_channels(&mut self, mut left: LeftChannels) {
        for channel in left.channels.by_ref().take(CHANNELS_AT_A_TIME) {
            let node = left.node.clone();
            self.presence.left(self.now, &channel, left.session);
            if self.channels.leave(&channel, left.session) {
                let (node, channel) = (node.clone(), channel.clone());
                self.report(HubEvent::Unsubscribed { node, channel });
            }
            self.pending.push_back(Output::Unsubscribed { node, channel });
        }
        if left.channels.len() > 0 {
            self.left_channels.push_back(left);
        }
    }

    /// Parks a subscription until its node reconnects. If the node has reconnected already, while
    /// the application was processing the subscription, it is processed again.
    pub(super) fn park(&mut self, request: PendingRequest) -> Result<(), LogError<S::Error>> {
        let node = request.entry.meta.id.node();
        let current = self.sessions.of_client(node.client_id());
        let is_same_node = |id: &SessionId| {
            self.sessions
                .get(*id)
                .is_some_and(|session| session.node == *node || request.is_from(&session.node))
        };
        let session = current.filter(is_same_node);
        let request = request.for_session(session);
        if session.is_some() {
            return self.enqueue(request);
        }
        if current.is_some() {
            // Another node of the client is connected, so this one does not return.
            return self.inbox.forget(&mut self.log, &request.entry.meta.id);
        }
        let evicted = self.requests.park(request);
        self.give_up_later(evicted);
        Ok(())
    }

    /// Gives up subscriptions in slices. If the server is killed before, they are parked at its
    /// next start.
    pub(super) fn give_up_later(&mut self, requests: impl IntoIterator<Item = PendingRequest>) {
        let by_id = requests.into_iter().map(|request| (request.entry.meta.id.clone(), request));
        self.given_up.extend(by_id);
    }

    /// Undoes a subscription whose client was disconnected for too long. If the client reconnects
    /// later, it receives the undo.
    pub(super) fn give_up(
        &mut self,
        now: WallTime,
        request: &PendingRequest,
    ) -> Result<(), LogError<S::Error>> {
        self.inbox.remove_answer(&mut self.log, &request.entry.meta.id)?;
        self.undo_request(now, request, "error", Vec::new())
    }

    /// Handles the confirmation of a client that it has received everything up to a number.
    pub(super) fn acknowledged(
        &mut self,
        id: SessionId,
        added: u64,
    ) -> Result<(), LogError<S::Error>> {
        self.presence.acknowledged(id);
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        // A client can send any number.
        let added = added.saturating_sub(session.added_offset).min(self.log.last_added()?);
        session.confirmed = session.confirmed.max(added);
        self.inbox.confirm(session.node.client_id(), added);
        self.forget_confirmed(id)
    }

    /// Forgets the next subscriptions whose answers a client has confirmed.
    pub(super) fn forget_confirmed(&mut self, id: SessionId) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        for _ in 0..CONFIRMATIONS_AT_A_TIME {
            let Some(request) = session.unconfirmed.confirm_first(session.confirmed) else {
                return Ok(());
            };
            self.inbox.acknowledged(&mut self.log, &request.entry.meta.id)?;
        }
        self.unfinished.insert(id);
        Ok(())
    }

    /// Forgets expired entries of the inbox, and gives up expired subscriptions.
    pub(super) fn expire_inbox(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        let Some(expired) = self.inbox.expire(&mut self.log, now)? else { return Ok(()) };
        let expired = self.requests.unpark_until(expired);
        self.give_up_later(expired);
        Ok(())
    }
}
