//! The subscriptions of connections to channels.

use core::{fmt, hash::BuildHasherDefault};
use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::{Filter, NumberHasher, SessionId};
use crate::{action::Meta, store::Entry};

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Channels(HashMap<Arc<str>, Subscribers>);

type Subscribers = IndexMap<SessionId, Subscriber, BuildHasherDefault<NumberHasher>>;

/// The filters of one subscriber of one channel. The key of a filter is the JSON of `filter` in the
/// `logux/subscribe`.
#[derive(Default)]
struct Subscriber(Vec<(Arc<str>, Option<Filter>)>);

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(filter, _)| filter)).finish()
    }
}

impl Channels {
    pub(super) fn subscribe(
        &mut self,
        channel: &Arc<str>,
        session: SessionId,
        key: Arc<str>,
        filter: Option<Filter>,
    ) {
        let subscribers = self.0.entry(channel.clone()).or_default();
        let subscriber = subscribers.entry(session).or_default();
        subscriber.0.retain(|(existing, _)| *existing != key);
        subscriber.0.push((key, filter));
    }

    /// Removes one filter. Returns `true` if it was the session's last one, so that the session is
    /// not subscribed to the channel any more.
    pub(super) fn unsubscribe(&mut self, channel: &str, session: SessionId, key: &str) -> bool {
        let Some(subscribers) = self.0.get_mut(channel) else { return false };
        let Some(subscriber) = subscribers.get_mut(&session) else { return false };
        subscriber.0.retain(|(existing, _)| **existing != *key);
        let was_last = subscriber.0.is_empty();
        if was_last {
            self.leave(channel, session);
        }
        was_last
    }

    /// Removes a session from a channel, with all its filters.
    pub(super) fn leave(&mut self, channel: &str, session: SessionId) {
        if let Some(subscribers) = self.0.get_mut(channel) {
            subscribers.swap_remove(&session);
            if subscribers.is_empty() {
                self.0.remove(channel);
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns all subscribers of a channel.
    pub(super) fn subscribers(&self, channel: &str) -> impl Iterator<Item = SessionId> + '_ {
        self.0.get(channel).into_iter().flat_map(|subscribers| subscribers.keys().copied())
    }

    /// Returns the sessions that receive an action that is sent to a channel.
    pub(super) fn receivers<'a>(
        &'a self,
        channel: &str,
        entry: &'a Entry,
    ) -> impl Iterator<Item = SessionId> + 'a {
        let subscribers = self.0.get(channel).into_iter().flatten();
        subscribers.filter(|(_, subscriber)| subscriber.accepts(entry)).map(|(session, _)| *session)
    }

    /// Whether the filter `key` of a subscriber accepts an action.
    pub(super) fn passes(
        &self,
        channel: &str,
        session: SessionId,
        key: &str,
        entry: &Entry,
    ) -> bool {
        let subscriber = self.0.get(channel).and_then(|subscribers| subscribers.get(&session));
        let filter = subscriber
            .and_then(|subscriber| subscriber.0.iter().find(|(existing, _)| **existing == *key));
        filter.is_some_and(|(_, filter)| {
            filter.as_ref().is_none_or(|filter| filter(&entry.action, &entry.meta))
        })
    }

    /// Whether a session receives an action that is sent to a channel.
    pub(super) fn accepts(&self, channel: &str, session: SessionId, entry: &Entry) -> bool {
        let subscriber = self.0.get(channel).and_then(|subscribers| subscribers.get(&session));
        subscriber.is_some_and(|subscriber| subscriber.accepts(entry))
    }

    pub(super) fn is_subscribed(&self, channel: &str, session: SessionId) -> bool {
        self.0.get(channel).is_some_and(|subscribers| subscribers.contains_key(&session))
    }
}

impl Subscriber {
    fn accepts(&self, Entry { action, meta }: &Entry) -> bool {
        let passes = |filter: &Option<Filter>, meta: &Meta| {
            filter.as_ref().is_none_or(|filter| filter(action, meta))
        };
        self.0.iter().any(|(_, filter)| passes(filter, meta))
    }
}
