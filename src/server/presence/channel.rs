//! The states of the nodes in one channel, and what each connection knows of them.

use core::time::Duration;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use indexmap::IndexMap;

use super::{
    Batch, Limit, MAX_NODES,
    budget::{BATCH_BYTES, BATCH_INTERVAL, Budgets},
    cursors::{Cursors, MAX_SHOWN_NODES, has_cursors, without_cursors},
};
use crate::{
    action::{
        NodeId,
        presence::{PRESENCE_TIMEOUT, PresenceChanged},
    },
    json::Json,
    server::{SessionId, SessionMap},
    time::MonoTime,
};

/// The number of a change in a channel. Numbers grow.
type Change = u64;

/// The time for which it is remembered that a node has left, for connections that have not been
/// told. One that reads nothing for longer has lost its connection.
const LEFT_FOR: Duration = Duration::from_secs(60);

/// The nodes in a channel.
#[derive(Debug, Default)]
pub(super) struct PresenceChannel {
    nodes: IndexMap<NodeId, Node>,
    /// The nodes by their latest change.
    changes: BTreeMap<Change, NodeId>,
    last_change: Change,
    /// The last change that any connection was sent.
    sent: Change,
    /// The number of states that were replaced before any connection was sent them, and are not
    /// counted yet.
    replaced: u64,
    /// The nodes that have left, by the time when they did.
    left: VecDeque<(MonoTime, Change, NodeId)>,
    /// The number of nodes that have not left.
    present: usize,
    cursors: Cursors,
    members: SessionMap<Member>,
    /// When the next actions may be sent.
    ready_at: MonoTime,
    /// When the state of a node expires, or earlier.
    expiry: Option<MonoTime>,
    /// Whether a connection may not know all changes.
    pub(super) has_news: bool,
    /// When the channel has something to do, as its owner knows it.
    pub(super) scheduled: Option<MonoTime>,
}

/// A node that is or was in the channel.
#[derive(Debug)]
struct Node {
    session: SessionId,
    state: Option<Json>,
    /// The state as others see it. `None`: the node has left.
    shown: Option<Json>,
    /// The change that others see last.
    change: Change,
    heard: MonoTime,
}

/// A subscribed connection.
#[derive(Debug, Default)]
struct Member {
    /// The connection knows all changes up to this one.
    known: Change,
    nodes: Vec<NodeId>,
}

impl PresenceChannel {
    /// Sets the state of a node. `None`: it has left.
    pub(super) fn set(
        &mut self,
        now: MonoTime,
        session: SessionId,
        node: &NodeId,
        state: Option<Json>,
    ) -> Result<(), Limit> {
        let Some(state) = state else {
            self.remove(now, node);
            if let Some(member) = self.members.get_mut(&session) {
                member.nodes.retain(|own| own != node);
            }
            return Ok(());
        };
        let member = self.members.entry(session).or_default();
        if !member.nodes.contains(node) {
            if member.nodes.len() >= MAX_NODES {
                return Err(Limit::Nodes);
            }
            member.nodes.push(node.clone());
        }
        let before = self.nodes.get(node);
        let is_new = before.is_none_or(|before| before.shown.is_none());
        let is_changed =
            is_new || before.is_some_and(|before| before.state.as_ref() != Some(&state));
        if is_new {
            self.present += 1;
            if self.present == MAX_SHOWN_NODES + 1 {
                self.limit_cursors(now);
            }
        }
        let shown = if is_changed { self.shown(now, node, &state) } else { None };
        let own = self.nodes.entry(node.clone()).or_insert_with(|| Node {
            session,
            state: None,
            shown: None,
            change: 0,
            heard: now,
        });
        (own.session, own.heard, own.state) = (session, now, Some(state));
        let expiry = now.after(PRESENCE_TIMEOUT);
        self.expiry = Some(self.expiry.map_or(expiry, |own| own.min(expiry)));
        if let Some(shown) = shown {
            self.show(node, Some(shown));
        }
        Ok(())
    }

    /// Returns the form of a state that others see.
    fn shown(&mut self, now: MonoTime, node: &NodeId, state: &Json) -> Option<Json> {
        if self.present <= MAX_SHOWN_NODES || !has_cursors(state) {
            return Some(state.clone());
        }
        let (is_shown, replaced) = self.cursors.request(now, node);
        if let Some(replaced) = replaced {
            self.hide_cursors(&replaced);
        }
        Some(if is_shown { state.clone() } else { without_cursors(state) })
    }

    /// There are more nodes than all cursors are shown of: the latest ones keep theirs. O(n log n).
    fn limit_cursors(&mut self, now: MonoTime) {
        self.cursors.clear();
        let latest: Vec<NodeId> = self.changes.values().rev().cloned().collect();
        for node in latest {
            let has_cursors =
                self.nodes.get(&node).and_then(|own| own.shown.as_ref()).is_some_and(has_cursors);
            if has_cursors && !self.cursors.request(now, &node).0 {
                self.hide_cursors(&node);
            }
        }
    }

    fn hide_cursors(&mut self, node: &NodeId) {
        let shown = self.nodes.get(node).and_then(|own| own.shown.as_ref()).map(without_cursors);
        if let Some(shown) = shown {
            self.show(node, Some(shown));
        }
    }

    /// Changes what others see of a node.
    fn show(&mut self, node: &NodeId, shown: Option<Json>) {
        let Some(own) = self.nodes.get_mut(node).filter(|own| own.shown != shown) else { return };
        own.shown = shown;
        if self.changes.remove(&own.change).is_some() && own.change > self.sent {
            self.replaced += 1;
        }
        self.last_change += 1;
        own.change = self.last_change;
        self.changes.insert(self.last_change, node.clone());
        self.has_news = true;
    }

    fn remove(&mut self, now: MonoTime, node: &NodeId) {
        let Some(own) = self.nodes.get_mut(node).filter(|own| own.shown.is_some()) else { return };
        own.state = None;
        self.cursors.remove(node);
        self.present -= 1;
        self.show(node, None);
        self.left.push_back((now, self.last_change, node.clone()));
    }

    /// A connection has left the channel, with its nodes.
    pub(super) fn leave(&mut self, now: MonoTime, session: SessionId) {
        let Some(member) = self.members.swap_remove(&session) else { return };
        for node in member.nodes {
            // The node may have another connection already.
            if self.nodes.get(&node).is_some_and(|own| own.session == session) {
                self.remove(now, &node);
            }
        }
    }

    /// Removes the nodes that have not repeated their states. O(n), once in the time after which
    /// states expire, or a little more often.
    fn expire(&mut self, now: MonoTime) {
        let expires = |own: &Node| own.heard.after(PRESENCE_TIMEOUT);
        let present = self.nodes.iter().filter(|(_, own)| own.shown.is_some());
        let expired: Vec<(SessionId, NodeId)> = present
            .filter(|(_, own)| expires(own) <= now)
            .map(|(node, own)| (own.session, node.clone()))
            .collect();
        for (session, node) in expired {
            self.remove(now, &node);
            if let Some(member) = self.members.get_mut(&session) {
                member.nodes.retain(|own| *own != node);
            }
        }
        let present = self.nodes.values().filter(|own| own.shown.is_some());
        self.expiry = present.map(expires).min();
    }

    /// Returns when [`poll`](Self::poll) has something to do.
    pub(super) fn next_deadline(&self, now: MonoTime) -> Option<MonoTime> {
        let news = self.has_news.then(|| self.ready_at.max(now));
        [news, self.expiry].into_iter().flatten().min()
    }

    /// Returns `true` if there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.present == 0 && self.left.is_empty()
    }

    /// Returns the next action for each of the subscribers that may be sent one and does not know
    /// all changes.
    pub(super) fn poll(
        &mut self,
        now: MonoTime,
        channel: &Arc<str>,
        subscribers: &[SessionId],
        budgets: &mut Budgets,
    ) -> Vec<Batch> {
        if self.expiry.is_some_and(|expiry| expiry <= now) {
            self.expire(now);
        }
        if !self.has_news || self.ready_at > now {
            return Vec::new();
        }
        let mut groups: BTreeMap<Change, Vec<SessionId>> = BTreeMap::new();
        let mut waits = false;
        for session in subscribers {
            let known = self.members.get(session).map_or(0, |member| member.known);
            if known >= self.last_change {
                continue;
            }
            if budgets.is_ready(now, *session) {
                groups.entry(known).or_default().push(*session);
            } else {
                waits = true;
            }
        }
        let mut batches = Vec::new();
        for (known, receivers) in groups {
            let (states, until, bytes) = self.news(known);
            waits |= until < self.last_change;
            for session in &receivers {
                self.members.entry(*session).or_default().known = until;
            }
            // What was left in the meantime needs no action.
            if states.is_empty() {
                continue;
            }
            for session in &receivers {
                budgets.sent(now, *session, bytes);
            }
            self.sent = self.sent.max(until);
            let changed = PresenceChanged { channel: channel.to_string(), states };
            if let Ok(action) = changed.to_action() {
                batches.push(Batch { action, receivers });
            }
        }
        self.has_news = waits;
        self.ready_at = now.after(BATCH_INTERVAL);
        self.forget_left(now, subscribers);
        batches
    }

    /// Returns the next states after a change, the last change that is in them, and their size in
    /// bytes.
    fn news(&self, known: Change) -> (Vec<(NodeId, Option<Json>)>, Change, usize) {
        let (mut states, mut until, mut bytes) = (Vec::new(), self.last_change, 0);
        for (change, node) in self.changes.range(known + 1..) {
            let Some(own) = self.nodes.get(node) else { continue };
            // A newcomer need not know who has left.
            if own.shown.is_none() && known == 0 {
                continue;
            }
            if bytes >= BATCH_BYTES {
                until = change - 1;
                break;
            }
            bytes +=
                node.as_str().len() + own.shown.as_ref().map_or(4, |json| json.as_str().len()) + 4;
            states.push((node.clone(), own.shown.clone()));
        }
        (states, until, bytes)
    }

    /// Forgets the nodes that have left, if all subscribers have been told.
    fn forget_left(&mut self, now: MonoTime, subscribers: &[SessionId]) {
        if self.left.is_empty() {
            return;
        }
        let known = subscribers
            .iter()
            .map(|session| self.members.get(session).map_or(0, |member| member.known))
            .filter(|known| *known > 0)
            .min()
            .unwrap_or(self.last_change);
        while let Some((at, change, node)) = self.left.front()
            && (*change <= known || now.since(*at) > LEFT_FOR)
        {
            let is_left = self
                .nodes
                .get(node)
                .is_some_and(|own| own.shown.is_none() && own.change == *change);
            if is_left {
                self.nodes.swap_remove(node);
                self.changes.remove(change);
            }
            self.left.pop_front();
        }
    }

    /// Returns the states of the nodes, as they are shown.
    pub(super) fn states(&self) -> impl Iterator<Item = (&NodeId, &Json)> {
        self.nodes.iter().filter_map(|(node, own)| Some((node, own.shown.as_ref()?)))
    }

    /// Returns the number of states that were replaced before any connection was sent them, since
    /// the last call.
    pub(super) fn take_replaced(&mut self) -> u64 {
        core::mem::take(&mut self.replaced)
    }

    /// Returns the number of nodes that have not left. O(1).
    pub(super) const fn present(&self) -> usize {
        self.present
    }

    /// Returns the number of nodes that have left and are not forgotten.
    #[cfg(test)]
    pub(super) fn left_count(&self) -> usize {
        self.left.len()
    }
}
