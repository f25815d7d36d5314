//! Presence: what this device shows of itself in channels, and what others show.

use core::time::Duration;
use std::{collections::VecDeque, sync::Arc};

use indexmap::IndexMap;

use super::{Client, Output, SubscriptionState, actions::is_connected};
use crate::{
    action::{
        Action, ActionId, NodeId,
        logux::{self, Undo},
        presence::{PRESENCE_TIMEOUT, PresenceChanged, PresenceSet},
    },
    json::Json,
    log::{Draft, LogError, Observer},
    store::{Entry, Store},
    time::{MonoTime, Now},
};

/// The time between two states that are sent: of those in between, the latest is sent.
const INTERVAL: Duration = Duration::from_millis(100);

/// The number of sent states whose answers are awaited.
const MAX_AWAITED: usize = 1_000;

/// What has become of presence in a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PresenceEvent {
    /// The states of others have changed: [`Client::presence`].
    Changed,
    /// The server has refused the own state, for this reason, such as `denied` or `tooLarge`. It is
    /// not sent again.
    Refused(String),
}

/// The states in all channels.
#[derive(Debug, Default)]
pub(super) struct Presence {
    own: IndexMap<Arc<str>, OwnState>,
    others: IndexMap<Arc<str>, IndexMap<NodeId, Json>>,
    /// The sent states without an answer, with their channels.
    awaited: VecDeque<(ActionId, Arc<str>)>,
}

/// What this device shows in a channel.
#[derive(Debug)]
struct OwnState {
    /// `None`: the state is being removed.
    state: Option<Json>,
    /// Whether the server knows the state, as far as this connection has sent it.
    is_sent: bool,
    /// When the state was sent last in this connection.
    sent_at: Option<MonoTime>,
}

impl OwnState {
    /// Returns when the state has to be sent. `None`: now.
    fn due(&self) -> Option<MonoTime> {
        // Twice in the time after which the server forgets it.
        let interval = if self.is_sent { PRESENCE_TIMEOUT / 2 } else { INTERVAL };
        self.sent_at.map(|sent| sent.after(interval))
    }
}

impl Presence {
    /// Returns the next time at which a state has to be sent.
    pub(super) fn next_deadline(&self) -> Option<MonoTime> {
        self.own.values().filter_map(OwnState::due).min()
    }

    /// The connection has ended: nobody is there any more, and the server knows no state. Returns
    /// who was there, by channel.
    fn disconnected(&mut self) -> IndexMap<Arc<str>, IndexMap<NodeId, Json>> {
        self.own.retain(|_, own| own.state.is_some());
        for own in self.own.values_mut() {
            (own.is_sent, own.sent_at) = (false, None);
        }
        self.awaited.clear();
        core::mem::take(&mut self.others)
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Sets what this device shows of itself in a channel, any JSON value, such as
    /// `{"name":"Ada","cursors":[…]}`; `None` removes it. At most 2 KiB.
    ///
    /// The state is sent as soon as the device is connected and subscribed to the channel, again
    /// at each connection, and every 15 s; at most 10 times in a second, of several the latest. It
    /// is not kept in the log, and not encrypted: a client [with
    /// encryption](Self::with_encryption) sends none.
    ///
    /// # Errors
    /// If the store fails.
    pub fn set_presence(
        &mut self,
        now: Now,
        channel: impl Into<Arc<str>>,
        state: Option<Json>,
    ) -> Result<(), LogError<S::Error>> {
        let channel = channel.into();
        match self.presence.own.get_mut(&channel) {
            Some(own) if own.state == state => return Ok(()),
            Some(own) => (own.state, own.is_sent) = (state, false),
            None if state.is_none() => return Ok(()),
            None => {
                let own = OwnState { state, is_sent: false, sent_at: None };
                self.presence.own.insert(channel, own);
            }
        }
        self.send_presence(now)
    }

    /// Returns what this device shows of itself in a channel.
    pub fn own_presence(&self, channel: &str) -> Option<&Json> {
        self.presence.own.get(channel)?.state.as_ref()
    }

    /// Returns what this device shows of itself, by channel.
    pub(super) fn own_states(&self) -> Vec<(Arc<str>, Json)> {
        let own = self.presence.own.iter();
        own.filter_map(|(channel, own)| Some((channel.clone(), own.state.clone()?))).collect()
    }

    /// Returns the other nodes in a channel with their states. None without a connection.
    pub fn presence(&self, channel: &str) -> impl Iterator<Item = (&NodeId, &Json)> {
        self.presence.others.get(channel).into_iter().flatten()
    }

    /// Sends the states that are due.
    pub(super) fn send_presence(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        if self.presence.own.is_empty()
            || !is_connected(self.node.state())
            || self.encryption.is_enabled()
        {
            return Ok(());
        }
        let is_due = |own: &OwnState| own.due().is_none_or(|due| due <= now.mono);
        let due = self.presence.own.iter().filter(|(_, own)| is_due(own));
        let due: Vec<Arc<str>> = due.map(|(channel, _)| channel.clone()).collect();
        for channel in due {
            if !self.subscriptions.is_subscribed(&channel) {
                continue;
            }
            let Some(own) = self.presence.own.get_mut(&channel) else { continue };
            (own.is_sent, own.sent_at) = (true, Some(now.mono));
            let set = PresenceSet { channel: channel.to_string(), state: own.state.clone() };
            if own.state.is_none() {
                self.presence.own.shift_remove(&channel);
            }
            let Ok(action) = set.to_action() else {
                self.presence_refused(channel, "tooDeep");
                continue;
            };
            self.send_unkept(now, action, channel)?;
        }
        self.execute_outputs(now)
    }

    /// Sends an action that is not in the log.
    fn send_unkept(
        &mut self,
        now: Now,
        action: Action,
        channel: Arc<str>,
    ) -> Result<(), LogError<S::Error>> {
        let Some(entry) = self.log.add(now.wall, action, Draft::default())? else { return Ok(()) };
        if self.presence.awaited.len() == MAX_AWAITED {
            self.presence.awaited.pop_front();
        }
        self.presence.awaited.push_back((entry.meta.id.clone(), channel));
        // It says nothing about the actions of the log that are not sent yet.
        self.node.send(now.mono, self.node.sent_added(), [&entry]);
        Ok(())
    }

    /// Receives an action that is about presence. Returns `false` for all others.
    pub(super) fn receive_presence(&mut self, entry: &Entry) -> bool {
        if !entry.meta.id.node().is_server() {
            return false;
        }
        if let Some(changed) = PresenceChanged::from_action(&entry.action) {
            self.presence_changed(changed);
            return true;
        }
        if self.presence.awaited.is_empty() {
            return false;
        }
        let kind = entry.action.kind();
        if kind != logux::PROCESSED && kind != logux::UNDO {
            return false;
        }
        let Some(id) = entry.action.str_field("id") else { return false };
        let mut awaited = self.presence.awaited.iter();
        let Some(index) = awaited.position(|(own, _)| own.to_text() == id) else { return false };
        let Some((_, channel)) = self.presence.awaited.remove(index) else { return false };
        if let Some(undo) = Undo::from_action(&entry.action) {
            self.presence_refused(channel, &undo.reason);
        }
        true
    }

    fn presence_changed(&mut self, changed: PresenceChanged) {
        let channel: Arc<str> = changed.channel.into();
        // A server tells a new subscriber who is there before it answers.
        if !self.subscriptions.is_wanted(&channel) {
            return;
        }
        let others = self.presence.others.entry(channel.clone()).or_default();
        let mut is_changed = false;
        self.followers.presence_changed(PresenceChanged {
            channel: channel.to_string(),
            states: changed.states.clone(),
        });
        for (node, state) in changed.states {
            if node == *self.log.node_id() {
                continue;
            }
            is_changed |= match state {
                Some(state) => others.insert(node, state.clone()) != Some(state),
                None => others.shift_remove(&node).is_some(),
            };
        }
        if others.is_empty() {
            self.presence.others.shift_remove(&channel);
        }
        if is_changed {
            self.pending.push_back(Output::Presence(channel, PresenceEvent::Changed));
        }
    }

    fn presence_refused(&mut self, channel: Arc<str>, reason: &str) {
        self.presence.own.shift_remove(&channel);
        let event = PresenceEvent::Refused(reason.to_owned());
        self.pending.push_back(Output::Presence(channel, event));
    }

    /// The connection has ended.
    pub(super) fn end_presence(&mut self) {
        for (channel, left) in self.presence.disconnected() {
            self.followers.presence_changed(PresenceChanged {
                channel: channel.to_string(),
                states: left.into_keys().map(|node| (node, None)).collect(),
            });
            self.pending.push_back(Output::Presence(channel, PresenceEvent::Changed));
        }
    }

    /// The state of a subscription has changed.
    pub(super) fn presence_of_subscription(&mut self, channel: &str, state: &SubscriptionState) {
        let is_over = matches!(state, SubscriptionState::Refused(_) | SubscriptionState::Ended(_));
        if is_over && !self.subscriptions.is_subscribed(channel) {
            self.leave_presence(channel);
        }
    }

    /// The device is not subscribed to a channel any more.
    pub(super) fn leave_presence(&mut self, channel: &str) {
        self.presence.own.shift_remove(channel);
        if let Some((channel, _)) = self.presence.others.shift_remove_entry(channel) {
            self.pending.push_back(Output::Presence(channel, PresenceEvent::Changed));
        }
    }
}
