//! Presence: the states of clients in channels, which are neither kept nor processed by the
//! application.

use std::sync::Arc;

use super::Hub;
use crate::{
    action::{
        NodeId,
        logux::Processed,
        presence::{PRESENCE_SET, PresenceSet},
    },
    json::Json,
    log::LogError,
    server::{Output, SessionId},
    store::{Entry, Store},
    time::{MonoTime, WallTime},
};

impl<S: Store> Hub<S> {
    /// Returns when the hub has presence to send: pass
    /// [`Input::Continue`](crate::server::Input::Continue) then. `None` if it has none.
    pub fn next_deadline(&self) -> Option<MonoTime> {
        self.presence.next_deadline()
    }

    /// Returns the nodes in a channel with their states, as others see them.
    pub fn presence(&self, channel: &str) -> impl Iterator<Item = (&NodeId, &Json)> {
        self.presence.states(channel)
    }

    /// Returns the number of nodes in a channel. O(1).
    pub fn present(&self, channel: &str) -> usize {
        self.presence.present(channel)
    }

    /// Returns the channels in which nodes show themselves, in no particular order, and the number
    /// of nodes in each.
    pub fn presence_channels(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        self.presence.channels()
    }

    /// Returns `true` if an action sets the state of a node in a channel that has presence.
    pub(super) fn is_presence(&self, entry: &Entry) -> bool {
        entry.action.kind() == PRESENCE_SET
            && entry
                .action
                .str_field("channel")
                .is_some_and(|channel| self.config.presence.applies_to(&channel))
    }

    /// Sets the state of a node. It is answered at once, and leaves no trace in the log.
    pub(super) fn receive_presence(
        &mut self,
        now: WallTime,
        id: SessionId,
        entry: &Entry,
    ) -> Result<(), LogError<S::Error>> {
        if self.acquire_token(entry).is_err() {
            return self.refuse_presence(now, id, entry, "rateLimit");
        }
        let Some(PresenceSet { channel, state }) = PresenceSet::from_action(&entry.action) else {
            self.debug(Some(id), || {
                format!("Action \"{}\" was refused: expected a state", entry.meta.id)
            });
            return self.refuse_presence(now, id, entry, "error");
        };
        let channel: Arc<str> = channel.into();
        if !self.channels.is_subscribed(&channel, id) {
            self.debug(Some(id), || {
                format!("Action \"{}\" was denied: not subscribed", entry.meta.id)
            });
            return self.refuse_presence(now, id, entry, "denied");
        }
        match self.presence.set(self.now, &channel, id, entry.meta.id.node(), state) {
            Ok(()) => {
                let processed = Processed { id: entry.meta.id.to_text() }.to_action();
                self.send_to_session(now, id, processed)
            }
            Err(limit) => self.refuse_presence(now, id, entry, limit.undo_reason()),
        }
    }

    fn refuse_presence(
        &mut self,
        now: WallTime,
        id: SessionId,
        entry: &Entry,
        reason: &str,
    ) -> Result<(), LogError<S::Error>> {
        let undo = super::undo_of(entry, reason, Vec::new());
        self.report_undone(&Arc::new(entry.clone()), reason);
        self.send_to_session(now, id, undo)
    }

    /// Sends the presence that is due.
    pub(super) fn send_presence(&mut self, now: WallTime) -> Result<(), LogError<S::Error>> {
        while self.presence.next_deadline().is_some_and(|due| due <= self.now) {
            let (channels, sessions) = (&self.channels, &self.sessions);
            let subscribers = |channel: &str| {
                let is_connected = |id: &SessionId| sessions.get(*id).is_some();
                channels.subscribers(channel).filter(is_connected).collect()
            };
            let batches = self.presence.poll(self.now, subscribers);
            for batch in batches.into_iter().flatten() {
                let Some(entry) = self.log.add(now, batch.action, self.own_draft())? else {
                    continue;
                };
                let (entry, added) = (Arc::new(entry), self.log.last_added()?);
                for id in batch.receivers {
                    let Some(session) = self.sessions.get(id) else { continue };
                    self.pending.push_back(Output::Deliver {
                        session: id,
                        added: added + session.added_offset,
                        entry: entry.clone(),
                        // No more is sent before the client has received this.
                        confirm: true,
                        is_requested: false,
                    });
                }
            }
        }
        Ok(())
    }
}
