//! The state of a channel that is sent to a new subscriber, in pages at the pace of its client.
//!
//! The application sends actions of its own, and the log sends those that it has kept. The driver
//! responds with the next page when the client has read the previous one, so a state of any size
//! needs the memory of a page. What other clients send in the meantime is delivered between the
//! pages; the time of an action decides which of two writes is later.

use std::{collections::HashSet, sync::Arc};

use super::{
    Hub, NO_FILTER,
    client_undo::is_by_client,
    filter_key,
    pages::Page,
    retention::{Received, since},
};
use crate::{
    action::{Action, logux::Subscribed},
    log::{Draft, LogError},
    server::{
        HubEvent, Output, RequestId, SessionId,
        channels::Origin,
        pending_request::PendingRequest,
        replay::Replay,
        retention::{approved_at, channel_index, is_retained},
    },
    store::{Entry, Store},
    time::WallTime,
};

impl<S: Store> Hub<S> {
    /// Sends an action of the application to a new subscriber, as a part of the channel's state.
    pub(super) fn load(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        action: Action,
        mut draft: Draft,
    ) -> Result<(), LogError<S::Error>> {
        draft.subprotocol = draft.subprotocol.or(self.own_draft().subprotocol);
        let Some(entry) = self.log.add(now, action, draft)? else { return Ok(()) };
        self.push_loaded(request_id, Arc::new(entry))
    }

    /// Subscribes a new subscriber to another channel too, whose state is a part of the loaded one.
    pub(super) fn subscribe_loaded(
        &mut self,
        now: WallTime,
        request_id: RequestId,
        channel: &Arc<str>,
    ) -> Result<(), LogError<S::Error>> {
        let session_id = self.requests.running(request_id).and_then(|request| request.session());
        let Some(id) = session_id else { return Ok(()) };
        let Some(session) = self.sessions.get_mut(id) else { return Ok(()) };
        if !session.channels.insert(channel.clone()) {
            return Ok(());
        }
        let subscribed = Subscribed { channel: channel.to_string() }.to_action();
        self.channels.subscribe_by_server(channel, id, NO_FILTER, Origin::Load);
        self.presence.subscribed(self.now, channel);
        // A string can always be written as JSON.
        let Ok(action) = subscribed else { return Ok(()) };
        let Some(entry) = self.log.add(now, action, self.own_draft())? else { return Ok(()) };
        self.push_requested(id, Arc::new(entry), false).map(drop)
    }

    fn push_loaded(
        &mut self,
        request_id: RequestId,
        entry: Arc<Entry>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(id) = self.loads_for(request_id) else { return Ok(()) };
        if self.push_requested(id, entry, false)? {
            self.count_loaded(request_id, 1);
        }
        Ok(())
    }

    /// Returns the connection that a subscription is loaded for, if it is still needed.
    fn loads_for(&mut self, request_id: RequestId) -> Option<SessionId> {
        let request = self.requests.running(request_id)?;
        request.session().filter(|_| !request.is_cancelled())
    }

    fn count_loaded(&mut self, request_id: RequestId, actions: usize) {
        let request = self.requests.running(request_id);
        if let Some(subscription) = request.and_then(PendingRequest::subscription_mut) {
            subscription.loaded += actions;
        }
    }

    /// Reports what was sent to a subscriber when its subscription ends.
    pub(super) fn report_loaded(&mut self, request: &PendingRequest) {
        let loaded = request.subscription().map_or(0, |subscription| subscription.loaded);
        if loaded > 0 {
            self.report(HubEvent::Loaded { entry: request.entry.clone(), actions: loaded });
        }
    }

    /// Returns `true` if responses to a request still have an effect: it has not ended, and is not
    /// a subscription that its client has cancelled.
    pub fn is_awaited(&self, request_id: RequestId) -> bool {
        self.requests.is_awaited(request_id)
    }

    /// Sends the next page of the kept actions of a channel to a new subscriber.
    pub(super) fn replay(&mut self, request_id: RequestId) -> Result<(), LogError<S::Error>> {
        let has_more = self.send_replay_page(request_id)?;
        self.pending.push_back(Output::Replayed { request: request_id, has_more });
        Ok(())
    }

    /// Sends a page of a replay. Returns whether there may be more.
    fn send_replay_page(&mut self, request_id: RequestId) -> Result<bool, LogError<S::Error>> {
        let Some(session) = self.loads_for(request_id) else { return Ok(false) };
        let Some(request) = self.requests.running(request_id) else { return Ok(false) };
        let entry = request.entry.clone();
        let Some(subscription) = request.subscription_mut() else { return Ok(false) };
        if subscription.is_replayed {
            return Ok(false);
        }
        let progress = subscription.replay.take();
        let Some(channel) = entry.action.str_field("channel") else { return Ok(false) };
        let is_first = progress.is_none();
        let mut progress = match progress {
            Some(progress) => *progress,
            None => self.start_replay(session, &entry, &channel)?,
        };
        let Page { entries, end } = self.replay_page(session, &entry, &channel, &progress)?;
        if !entries.is_empty() {
            self.count_loaded(request_id, entries.len());
            let added = self.log.last_added()?
                + self.sessions.get(session).map_or(0, |session| session.added_offset);
            self.pending.push_back(Output::Replay { session, added, entries });
        }
        let next = match end {
            Some(end) => {
                progress.after = end;
                Some(progress)
            }
            None if is_first => None,
            None => progress.into_undos(self.log.last_added()?),
        };
        let has_more = next.is_some();
        let request = self.requests.running(request_id);
        if let Some(subscription) = request.and_then(PendingRequest::subscription_mut) {
            subscription.is_replayed = !has_more;
            subscription.replay = next.map(Box::new);
        }
        Ok(has_more)
    }

    fn start_replay(
        &self,
        session: SessionId,
        subscription: &Entry,
        channel: &str,
    ) -> Result<Replay, LogError<S::Error>> {
        let after = match since(subscription) {
            Some(received) => {
                let entry = self.log.by_id(&received.id)?;
                let added = entry.and_then(|entry| entry.meta.added);
                added.max(self.position(session, &received)?).unwrap_or_default()
            }
            None => 0,
        };
        let author = subscription.meta.id.node().client_id();
        let subscriber = self.sessions.get(session).map(|session| &session.node);
        // A page of the author that was reloaded without its log does not have its actions.
        let in_progress = self.requests.in_channel(channel).filter(|request| {
            request.entry.meta.id.node().client_id() != author
                || subscriber.is_some_and(|node| !request.holders().contains(&node))
        });
        Ok(Replay {
            after,
            until: self.log.last_added()?,
            received: in_progress.map(|request| request.entry.meta.id.clone()).collect(),
            is_after_known: after > 0,
            is_for_undos: false,
        })
    }

    /// Returns the number up to which a subscriber has received everything of the channel, if it
    /// has named a number of this log.
    fn position(
        &self,
        session: SessionId,
        received: &Received,
    ) -> Result<Option<u64>, LogError<S::Error>> {
        // With an offset, the client has numbers of another log.
        let session = self.sessions.get(session).filter(|session| session.added_offset == 0);
        let (Some(_), Some(added)) = (session, received.added) else { return Ok(None) };
        let position = self.log_starts.position(&received.id, added);
        // A client can send any number.
        let last = self.log.last_added()?;
        Ok(position.map(|position| position.min(last)))
    }

    fn replay_page(
        &self,
        session: SessionId,
        subscription: &Entry,
        channel: &str,
        progress: &Replay,
    ) -> Result<Page, LogError<S::Error>> {
        let since = since(subscription);
        let key = filter_key(&subscription.action);
        let author = subscription.meta.id.node();
        let index = channel_index(channel);
        let mut page = self.read_page(index, progress.after, progress.until, |candidate| {
            // If the subscriber's last entry is not in the log any more, its time is used. It is
            // compared with the approval, because an action may be created long before it is
            // received. Of actions in the same millisecond, some may be sent again, but none is
            // lost.
            let is_new = progress.is_after_known
                || since
                    .as_ref()
                    .is_none_or(|received| approved_at(&candidate.meta) >= received.time);
            // A subscriber has its own actions, unless it starts without `since`. Those of another
            // node of the client may have been lost, by a reload, before they were approved.
            let is_own = candidate.meta.id.node() == author;
            let has_received =
                is_own && since.is_some() || progress.received.contains(&candidate.meta.id);
            is_new
                && (!progress.is_for_undos || is_by_client(candidate))
                && !has_received
                && is_retained(&candidate.meta)
                && (is_by_client(candidate)
                    || self.channels.passes(channel, session, &key, candidate))
        })?;
        // The log is not read inside of the walk.
        let mut undos = HashSet::new();
        for undo in page.entries.iter().filter(|entry| is_by_client(entry)) {
            let filtered = self.filtered_entry(undo)?;
            if !self.channels.passes(channel, session, &key, filtered.as_ref().unwrap_or(undo)) {
                undos.insert(undo.meta.id.clone());
            }
        }
        page.entries.retain(|entry| !undos.contains(&entry.meta.id));
        Ok(page)
    }

    /// Lets the later actions of a subscription's queue start while its client reads.
    pub(super) fn pause(
        &mut self,
        now: WallTime,
        request_id: RequestId,
    ) -> Result<(), LogError<S::Error>> {
        let request = self.requests.running(request_id);
        if request.is_none_or(|request| request.subscription().is_none()) {
            return Ok(());
        }
        match self.requests.release_queue(request_id) {
            Some((node, queue)) => self.start_next(now, &node, &queue),
            None => Ok(()),
        }
    }

    /// Ends a subscription without an answer. It is processed again when its client reconnects.
    pub(super) fn postponed(
        &mut self,
        now: WallTime,
        request_id: RequestId,
    ) -> Result<(), LogError<S::Error>> {
        let Some(request) = self.requests.running(request_id) else { return Ok(()) };
        if request.subscription().is_none() {
            return self.undo_running(now, request_id, "error", Vec::new());
        }
        if request.is_cancelled() {
            return self.processed(now, request_id);
        }
        let Some(request) = self.requests.finish(request_id) else { return Ok(()) };
        let (node, queue) = (request.entry.meta.id.node().clone(), request.queue.clone());
        self.report_loaded(&request);
        self.postpone(request)?;
        self.start_next(now, &node, &queue)
    }

    /// Keeps a subscription for the next connection of its client.
    pub(super) fn postpone(&mut self, request: PendingRequest) -> Result<(), LogError<S::Error>> {
        // While the hub drains, it stays in the log, and is restored at the next start.
        if self.draining {
            return Ok(());
        }
        let client = request.entry.meta.id.node().client_id();
        if self.sessions.of_client(client) != request.session() {
            return self.park(request);
        }
        // Its connection is about to be removed.
        let evicted = self.requests.park(request.for_session(None));
        self.give_up_later(evicted);
        Ok(())
    }
}
