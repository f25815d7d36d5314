//! Clients coming and going, and what a connection takes with it.
//!
//! A subscription lives with a connection. One that the client has not heard of is done again at its next connection: it was `synced`, so
//! the client will not repeat it. One that it has heard of it repeats by itself. What the client has heard of is told by its confirmations, and
//! by the number in its `connect`.

use std::collections::HashMap;

use super::{Hub, subscribed_to};
use crate::{
    action::{NodeId, Subprotocol, logux::UNSUBSCRIBE},
    json::Json,
    log::LogError,
    server::{
        HubEvent, Output, SessionId, requests::PendingRequest, retention::was_approved,
        sessions::Session,
    },
    store::{Entry, Store},
    time::WallTime,
};

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
        if let Some(zombie) = self.sessions.of_client(node.client_id()) {
            self.leave(now, zombie)?;
            self.pending.push_back(Output::Replaced(zombie));
        }
        let is_new = since == 0;
        let (since, ahead) =
            self.added_offsets.read(node.client_id(), since, self.log.last_added()?);
        self.sessions.insert(id, Session::new(node.clone(), subprotocol, headers, ahead, is_new));
        let again = self.lost_subscriptions(node, since)?;
        let mut missed = self.inbox.missed(&self.log, node, since)?;
        let kept = self.kept_for_user(node, since)?;
        if !kept.is_empty() {
            missed.extend(kept);
            missed.sort_by_key(|entry| entry.meta.added);
        }
        let added = self.log.last_added()? + ahead;
        self.pending.push_back(Output::Joined { session: id, added, missed });
        for request in again {
            self.enqueue(request.for_session(Some(id)));
        }
        Ok(())
    }

    /// Takes up what was not answered before the last stop, given with the ends of subscriptions. Subscriptions wait for their clients, but those that were
    /// ended by then have no effect.
    pub(super) fn take_up(&mut self, unanswered: Vec<Entry>) -> Result<(), LogError<S::Error>> {
        let mut requests: Vec<PendingRequest> = Vec::new();
        let mut subscriptions: HashMap<_, Vec<usize>> = HashMap::new();
        for entry in unanswered {
            let place =
                subscribed_to(&entry.action).map(|place| (entry.meta.id.node().clone(), place));
            if entry.action.kind() == UNSUBSCRIBE {
                for earlier in
                    place.and_then(|place| subscriptions.remove(&place)).into_iter().flatten()
                {
                    requests[earlier].cancel();
                }
                continue;
            }
            let request = self.client_request(entry, None);
            if let (Some(_), Some(place)) = (request.subscription(), place) {
                subscriptions.entry(place).or_default().push(requests.len());
            }
            requests.push(request);
        }
        // If something fails, it may not take along what may have been done already. So what had begun comes first, which is known of what is kept: it was added
        // anew then. What was ended comes last.
        let (ended, mut requests): (Vec<PendingRequest>, Vec<PendingRequest>) =
            requests.into_iter().partition(PendingRequest::is_cancelled);
        requests.sort_by_key(|request| !was_approved(&request.entry.meta));
        for request in requests {
            if request.subscription().is_some() {
                self.park(WallTime::default(), request)?;
            } else {
                self.enqueue(request);
            }
        }
        ended.into_iter().for_each(|request| self.enqueue(request));
        Ok(())
    }

    /// The subscriptions of a node whose answers it has not got, to be done again.
    fn lost_subscriptions(
        &mut self,
        node: &NodeId,
        since: u64,
    ) -> Result<Vec<PendingRequest>, LogError<S::Error>> {
        let mut again = Vec::new();
        for request in self.requests.unpark(node.client_id()) {
            let id = &request.entry.meta.id;
            let answer = self.inbox.answer_to(&self.log, id)?;
            let has_answer =
                answer.is_some_and(|answer| answer.meta.added.is_some_and(|added| added <= since));
            // Tabs share a connection that one of them holds. Any other is gone for good.
            let is_wanted = id.node() == node || request.is_from(node);
            if has_answer || !is_wanted {
                self.inbox.forget(&mut self.log, id)?;
            } else {
                self.inbox.withdraw_answer(&mut self.log, id)?;
                again.push(request);
            }
        }
        Ok(again)
    }

    pub(super) fn leave(&mut self, now: WallTime, id: SessionId) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.remove(id) else { return Ok(()) };
        for channel in session.channels {
            self.channels.leave(&channel, id);
            self.report(HubEvent::Unsubscribed {
                node: session.node.clone(),
                channel: channel.clone(),
            });
            self.pending.push_back(Output::Unsubscribed { node: session.node.clone(), channel });
        }
        for (_, request) in session.unacknowledged {
            self.park(now, request)?;
        }
        Ok(())
    }

    /// Puts a subscription aside until its node comes back. Where that has happened already, while the application was still at work, it is done again.
    pub(super) fn park(
        &mut self,
        now: WallTime,
        request: PendingRequest,
    ) -> Result<(), LogError<S::Error>> {
        let node = request.entry.meta.id.node();
        let current = self.sessions.of_client(node.client_id());
        let is_back = |id: &SessionId| {
            self.sessions
                .get(*id)
                .is_some_and(|session| session.node == *node || request.is_from(&session.node))
        };
        let session = current.filter(is_back);
        let request = request.for_session(session);
        if session.is_some() {
            self.enqueue(request);
            return Ok(());
        }
        if current.is_some() {
            // Another start of the client is there, so this one is gone for good.
            return self.inbox.forget(&mut self.log, &request.entry.meta.id);
        }
        match self.requests.park(request) {
            Some(given_up) => self.give_up(now, &given_up),
            None => Ok(()),
        }
    }

    /// A subscription whose client stays away for too long has failed; if the client comes all the same, it is told.
    fn give_up(
        &mut self,
        now: WallTime,
        request: &PendingRequest,
    ) -> Result<(), LogError<S::Error>> {
        self.inbox.withdraw_answer(&mut self.log, &request.entry.meta.id)?;
        self.undo_request(now, request, "error", Vec::new())
    }

    /// The client has got everything up to a number of ours.
    pub(super) fn acknowledged(
        &mut self,
        id: SessionId,
        added: u64,
    ) -> Result<(), LogError<S::Error>> {
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        let added = added.saturating_sub(session.ahead);
        let known =
            session.unacknowledged.iter().take_while(|(number, _)| *number <= added).count();
        let known: Vec<_> = session.unacknowledged.drain(..known).collect();
        for (_, request) in known {
            self.inbox.acknowledged(&mut self.log, &request.entry.meta.id)?;
        }
        Ok(())
    }

    /// Forgets what is too old.
    pub(super) fn grow_older(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        let Some(old) = self.inbox.grow_older(&mut self.log, now)? else { return Ok(()) };
        for request in self.requests.unpark_old(old) {
            self.give_up(now, &request)?;
        }
        Ok(())
    }
}
