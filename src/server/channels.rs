//! The subscriptions of connections to channels.

use core::{fmt, hash::BuildHasherDefault};
use std::{collections::HashMap, sync::Arc};

use indexmap::IndexMap;

use super::{Filter, NumberHasher, SessionId};
use crate::store::Entry;

/// All subscriptions.
#[derive(Debug, Default)]
pub(super) struct Channels(HashMap<Arc<str>, Subscribers>);

type Subscribers = IndexMap<SessionId, Subscriber, BuildHasherDefault<NumberHasher>>;

/// The filters of one subscriber of one channel. The key of a filter is the JSON of `filter` in the
/// `logux/subscribe`.
#[derive(Default)]
struct Subscriber(IndexMap<Arc<str>, ChannelFilter>);

/// One filter of a subscriber.
struct ChannelFilter {
    /// `None` accepts all actions.
    accepts: Option<Filter>,
    origin: Origin,
}

/// Who has made a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The client. It counts against its limits.
    Client,
    /// The application.
    Application,
    /// The load of a collection. There may be very many, which are not reported one by one.
    Load,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.keys()).finish()
    }
}

/// The filter that [`Channels::unsubscribe`] has removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RemovedFilter {
    pub(super) origin: Origin,
    /// Whether it was the last one of the session, which is not subscribed to the channel any
    /// more.
    pub(super) was_last: bool,
}

impl Channels {
    /// Adds or replaces a filter that a client has requested. Returns `true` if it now counts
    /// against its limits, and did not before.
    pub(super) fn subscribe(
        &mut self,
        channel: &Arc<str>,
        session: SessionId,
        key: Arc<str>,
        accepts: Option<Filter>,
    ) -> bool {
        let subscribers = self.0.entry(channel.clone()).or_default();
        let filters = &mut subscribers.entry(session).or_default().0;
        let previous = filters.insert(key, ChannelFilter { accepts, origin: Origin::Client });
        previous.is_none_or(|previous| previous.origin != Origin::Client)
    }

    /// Subscribes a session on behalf of the server, without a filter.
    pub(super) fn subscribe_by_server(
        &mut self,
        channel: &Arc<str>,
        session: SessionId,
        key: &str,
        origin: Origin,
    ) {
        let subscribers = self.0.entry(channel.clone()).or_default();
        let filters = &mut subscribers.entry(session).or_default().0;
        if !filters.contains_key(key) {
            filters.insert(key.into(), ChannelFilter { accepts: None, origin });
        }
    }

    /// Whether a subscriber has a filter that counts against its limits.
    pub(super) fn has_requested(&self, channel: &str, session: SessionId, key: &str) -> bool {
        self.filter(channel, session, key).is_some_and(|filter| filter.origin == Origin::Client)
    }

    /// Removes a filter.
    pub(super) fn unsubscribe(
        &mut self,
        channel: &str,
        session: SessionId,
        key: &str,
    ) -> Option<RemovedFilter> {
        let subscriber = self.0.get_mut(channel)?.get_mut(&session)?;
        let removed = subscriber.0.swap_remove(key)?;
        let was_last = subscriber.0.is_empty();
        if was_last {
            self.leave(channel, session);
        }
        Some(RemovedFilter { origin: removed.origin, was_last })
    }

    fn filter(&self, channel: &str, session: SessionId, key: &str) -> Option<&ChannelFilter> {
        self.0.get(channel)?.get(&session)?.0.get(key)
    }

    /// Removes a session from a channel, with all its filters. Returns whether its subscription was
    /// reported.
    pub(super) fn leave(&mut self, channel: &str, session: SessionId) -> bool {
        let Some(subscribers) = self.0.get_mut(channel) else { return false };
        let subscriber = subscribers.swap_remove(&session);
        if subscribers.is_empty() {
            self.0.remove(channel);
        }
        subscriber.is_some_and(|Subscriber(filters)| {
            filters.values().any(|filter| filter.origin != Origin::Load)
        })
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns all subscribers of a channel.
    pub(super) fn subscribers(&self, channel: &str) -> impl Iterator<Item = SessionId> + '_ {
        self.0.get(channel).into_iter().flat_map(|subscribers| subscribers.keys().copied())
    }

    /// Returns the sessions that receive an action that is sent to a channel: with `only_filtered`,
    /// those of which a filter accepts it.
    pub(super) fn receivers<'a>(
        &'a self,
        channel: &str,
        entry: &'a Entry,
        only_filtered: bool,
    ) -> impl Iterator<Item = SessionId> + 'a {
        let subscribers = self.0.get(channel).into_iter().flatten();
        let receives = move |subscriber: &Subscriber| {
            let mut filters = subscriber.0.values();
            filters
                .any(|filter| filter.passes(entry) && !(only_filtered && filter.accepts.is_none()))
        };
        subscribers.filter(move |(_, subscriber)| receives(subscriber)).map(|(session, _)| *session)
    }

    /// Whether the filter `key` of a subscriber accepts an action.
    pub(super) fn passes(
        &self,
        channel: &str,
        session: SessionId,
        key: &str,
        entry: &Entry,
    ) -> bool {
        self.filter(channel, session, key).is_some_and(|filter| filter.passes(entry))
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
    fn accepts(&self, entry: &Entry) -> bool {
        self.0.values().any(|filter| filter.passes(entry))
    }
}

impl ChannelFilter {
    fn passes(&self, Entry { action, meta }: &Entry) -> bool {
        self.accepts.as_ref().is_none_or(|accepts| accepts(action, meta))
    }
}
