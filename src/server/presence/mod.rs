//! Who is in each channel, and what each shows of itself to the others.
//!
//! States are in memory only, and belong to connections. A receiver is not sent each change, but
//! at most 5 times in a second what has changed since the last time: of a state that changes
//! faster, only the latest is sent. Receivers that know the same share one action.
//!
//! Reading order: `budget`, `cursors`, `channel`; this file.

mod budget;
mod channel;
mod cursors;
#[cfg(test)]
mod tests;

use core::fmt;
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::SessionId;
use crate::{
    action::{Action, NodeId},
    json::Json,
    time::MonoTime,
};
use budget::Budgets;
use channel::PresenceChannel;

/// The rule that decides which channels have presence: subscribers of such a channel send
/// `presence/set`, and receive `presence/changed`. It must be pure and fast.
#[derive(Clone)]
pub struct PresenceRule(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl PresenceRule {
    /// Creates a rule.
    pub fn new(has_presence: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(has_presence))
    }

    /// Returns `true` if a channel has presence.
    pub fn applies_to(&self, channel: &str) -> bool {
        (self.0)(channel)
    }
}

/// No channel has presence.
impl Default for PresenceRule {
    fn default() -> Self {
        Self::new(|_| false)
    }
}

impl fmt::Debug for PresenceRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PresenceRule")
    }
}

/// The largest state of a node in a channel, as JSON, in bytes.
pub const MAX_PRESENCE_BYTES: usize = 2 * 1024;

/// The largest number of arrays and objects in a state.
const MAX_NESTED: usize = 100;

/// The largest number of nodes of one connection in one channel: the tabs of a browser share a
/// connection.
const MAX_NODES: usize = 16;

/// A limit that a state exceeds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// [`MAX_PRESENCE_BYTES`].
    Bytes,
    /// [`MAX_NESTED`].
    Nested,
    /// [`MAX_NODES`].
    Nodes,
}

impl Limit {
    /// Returns the reason of the undo of the action.
    pub(super) const fn undo_reason(self) -> &'static str {
        match self {
            Self::Bytes => "tooLarge",
            Self::Nested => "tooDeep",
            Self::Nodes => "denied",
        }
    }
}

/// An action with its receivers.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) action: Action,
    pub(super) receivers: Vec<SessionId>,
}

/// The states of all nodes in all channels.
#[derive(Debug, Default)]
pub(super) struct Presence {
    channels: HashMap<Arc<str>, PresenceChannel>,
    /// The channels by the time when they have something to do.
    due: BTreeSet<(MonoTime, Arc<str>)>,
    budgets: Budgets,
    totals: PresenceTotals,
}

/// What was sent since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PresenceTotals {
    /// The actions with states, each for one or more connections.
    pub(super) batches: u64,
    /// The states that were replaced by later ones of their nodes before any connection was sent
    /// them.
    pub(super) replaced: u64,
}

impl Presence {
    /// Sets the state of a node in a channel that its connection is subscribed to. `None`: the
    /// node has left the channel. O(log n) for `n` nodes in the channel.
    pub(super) fn set(
        &mut self,
        now: MonoTime,
        channel: &Arc<str>,
        session: SessionId,
        node: &NodeId,
        state: Option<Json>,
    ) -> Result<(), Limit> {
        if state.as_ref().is_some_and(|state| state.as_str().len() > MAX_PRESENCE_BYTES) {
            return Err(Limit::Bytes);
        }
        let nested = |state: &Json| {
            state.as_str().bytes().filter(|byte| matches!(byte, b'[' | b'{')).count()
        };
        if state.as_ref().is_some_and(|state| nested(state) > MAX_NESTED) {
            return Err(Limit::Nested);
        }
        if state.is_none() && !self.channels.contains_key(channel) {
            return Ok(());
        }
        let own = self.channels.entry(channel.clone()).or_default();
        own.set(now, session, node, state)?;
        self.schedule(channel, now);
        Ok(())
    }

    /// A connection was subscribed to a channel, whose states it receives.
    pub(super) fn subscribed(&mut self, now: MonoTime, channel: &Arc<str>) {
        if let Some(own) = self.channels.get_mut(channel) {
            own.has_news = true;
            self.schedule(channel, now);
        }
    }

    /// A connection is not subscribed to a channel any more.
    pub(super) fn left(&mut self, now: MonoTime, channel: &Arc<str>, session: SessionId) {
        if let Some(own) = self.channels.get_mut(channel) {
            own.leave(now, session);
            self.schedule(channel, now);
        }
    }

    /// A connection was closed.
    pub(super) fn disconnected(&mut self, session: SessionId) {
        self.budgets.remove(session);
    }

    /// A client has confirmed what it was sent.
    pub(super) fn acknowledged(&mut self, session: SessionId) {
        self.budgets.acknowledged(session);
    }

    /// Returns when [`poll`](Self::poll) has something to do.
    pub(super) fn next_deadline(&self) -> Option<MonoTime> {
        self.due.first().map(|(time, _)| *time)
    }

    /// Returns the next actions to send, of one channel. `None` if nothing is due. `subscribers`
    /// returns those of a channel. O(subscribers + changes).
    pub(super) fn poll(
        &mut self,
        now: MonoTime,
        subscribers: impl FnOnce(&str) -> Vec<SessionId>,
    ) -> Option<Vec<Batch>> {
        let first = self.due.first().filter(|(time, _)| *time <= now)?;
        let channel = first.1.clone();
        self.due.pop_first();
        let own = self.channels.get_mut(&channel)?;
        own.scheduled = None;
        let batches = own.poll(now, &channel, &subscribers(&channel), &mut self.budgets);
        self.totals.batches += batches.len() as u64;
        self.totals.replaced += own.take_replaced();
        if own.is_empty() {
            self.channels.remove(&channel);
        } else {
            self.schedule(&channel, now);
        }
        Some(batches)
    }

    /// Returns the states of the nodes in a channel, as they are shown.
    pub(super) fn states(&self, channel: &str) -> impl Iterator<Item = (&NodeId, &Json)> {
        self.channels.get(channel).into_iter().flat_map(PresenceChannel::states)
    }

    /// Returns the number of nodes in a channel. O(1).
    pub(super) fn present(&self, channel: &str) -> usize {
        self.channels.get(channel).map_or(0, PresenceChannel::present)
    }

    /// Returns the channels with nodes, in no particular order, and the number of nodes in each.
    pub(super) fn channels(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        let present = self.channels.iter().map(|(name, own)| (name, own.present()));
        present.filter(|(_, present)| *present > 0)
    }

    /// Returns what was sent since the start.
    pub(super) const fn totals(&self) -> PresenceTotals {
        self.totals
    }

    fn schedule(&mut self, channel: &Arc<str>, now: MonoTime) {
        let Some(own) = self.channels.get_mut(channel) else { return };
        self.totals.replaced += own.take_replaced();
        let next = own.next_deadline(now);
        if own.scheduled == next {
            return;
        }
        if let Some(before) = core::mem::replace(&mut own.scheduled, next) {
            self.due.remove(&(before, channel.clone()));
        }
        self.due.extend(next.map(|next| (next, channel.clone())));
    }
}
