//! The subscriptions to the single records of a list.
//!
//! Servers send a change of a record to the subscribers of a filter only if the new values match,
//! and a deletion only to the subscribers of the record. To learn that a record leaves the list, a
//! client subscribes to each record that it lists, as `createFilter` of `@logux/client` does,
//! unless the server has done it (`logux/subscribed`).

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use super::Subscription;
use crate::{
    action::{
        Action, ActionId,
        logux::{SUBSCRIBE, Since, Subscribe},
    },
    crdt::Records,
    json::JsonObject,
    record::matching::equal,
};

/// The largest number of records of a list to which the client subscribes itself. If others delete
/// a further record, it stays in the list until the next connection; if they change it so that it
/// does not match, until the server sends it again.
const MAX_SUBSCRIPTIONS: usize = 1_000;

/// The records that match a filter, or may match it.
#[derive(Debug)]
pub(super) struct ListedRecords {
    plural: Arc<str>,
    filter: JsonObject,
    /// The records at the last update.
    seen: Records,
    listed: BTreeMap<Arc<str>, Listed>,
    subscriptions: usize,
    /// Whether there were more records than the client subscribes to, since this was asked.
    has_exceeded: bool,
    /// Whether the server has sent what it has.
    is_loaded: bool,
}

/// What is known of a record in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Listed {
    /// The client has not subscribed to it.
    Unsubscribed {
        is_own: bool,
    },
    Subscribed,
}

/// A request about one record.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RecordRequest {
    /// To subscribe; `is_creating` says that the server may not have the record yet.
    Subscribe {
        id: Arc<str>,
        is_creating: bool,
    },
    Unsubscribe(Arc<str>),
}

impl ListedRecords {
    /// Returns the list of a subscription; `None` for that of one record, which has no filter.
    pub(super) fn of(plural: &Arc<str>, subscription: &Subscription) -> Option<Self> {
        let filter = JsonObject::from_json(subscription.filter.as_ref()?.as_str()).ok()?;
        let (seen, listed) = (Records::default(), BTreeMap::new());
        let (plural, subscriptions) = (plural.clone(), 0);
        let (has_exceeded, is_loaded) = (false, false);
        Some(Self { plural, filter, seen, listed, subscriptions, has_exceeded, is_loaded })
    }

    /// Whether a record matches the filter as far as its fields are known, and has one of them. An
    /// empty filter matches all records.
    fn may_match(&self, records: &Records, id: &str) -> bool {
        if self.filter.iter().next().is_none() {
            return records.matches(id, &self.filter);
        }
        let mut has_one = false;
        let fits = self.filter.iter().all(|(name, value)| {
            let field = records.field(id, name);
            has_one |= field.is_some();
            field.is_none_or(|field| equal(field, value))
        });
        fits && has_one
    }

    /// Takes over the changes of the records since the last update. `is_own`: they are changes of
    /// the user. `covered` has the channels to which the server has subscribed the client.
    pub(super) fn update(
        &mut self,
        now: &Records,
        is_own: bool,
        covered: &HashSet<Arc<str>>,
    ) -> Vec<RecordRequest> {
        let mut changed = Vec::new();
        self.seen.diff(now, |id| changed.push(id.clone()));
        self.seen = now.clone();
        let mut requests = Vec::new();
        for id in changed {
            if self.may_match(now, &id) {
                self.listed.entry(id.clone()).or_insert(Listed::Unsubscribed { is_own });
                if self.is_loaded {
                    requests.extend(self.subscribe(&id, covered));
                }
            } else if let Some(left) = self.listed.remove(&id)
                && left == Listed::Subscribed
            {
                self.subscriptions -= 1;
                requests.push(RecordRequest::Unsubscribe(id));
            }
        }
        requests
    }

    /// Records that the server has sent what it has, in this connection.
    pub(super) fn loaded(&mut self, covered: &HashSet<Arc<str>>) -> Vec<RecordRequest> {
        self.is_loaded = true;
        let ids: Vec<_> = self.listed.keys().cloned().collect();
        ids.iter().filter_map(|id| self.subscribe(id, covered)).collect()
    }

    /// Records that there is no connection.
    pub(super) const fn disconnected(&mut self) {
        self.is_loaded = false;
    }

    /// Returns the requests of a list that closes.
    pub(super) fn close(self) -> impl Iterator<Item = RecordRequest> {
        let subscribed =
            |(id, listed)| (listed == Listed::Subscribed).then_some(RecordRequest::Unsubscribe(id));
        self.listed.into_iter().filter_map(subscribed)
    }

    /// Handles the end of the server's own subscription to a channel.
    pub(super) fn uncovered(
        &mut self,
        channel: &str,
        covered: &HashSet<Arc<str>>,
    ) -> Option<RecordRequest> {
        let id = channel.strip_prefix(&*self.plural)?.strip_prefix('/')?;
        let is_listed = self.is_loaded && self.listed.contains_key(id);
        is_listed.then(|| self.subscribe(&id.into(), covered)).flatten()
    }

    /// Returns whether there were more records than the client subscribes to, since the last call.
    pub(super) const fn take_excess(&mut self) -> bool {
        core::mem::replace(&mut self.has_exceeded, false)
    }

    fn subscribe(&mut self, id: &Arc<str>, covered: &HashSet<Arc<str>>) -> Option<RecordRequest> {
        let listed = self.listed.get_mut(id)?;
        let Listed::Unsubscribed { is_own } = *listed else { return None };
        if covered.contains(&*channel(&self.plural, id)) {
            return None;
        }
        if self.subscriptions == MAX_SUBSCRIPTIONS {
            self.has_exceeded = true;
            return None;
        }
        *listed = Listed::Subscribed;
        self.subscriptions += 1;
        Some(RecordRequest::Subscribe { id: id.clone(), is_creating: is_own })
    }
}

/// Returns the channel of a record.
pub(super) fn channel(plural: &str, id: &str) -> String {
    format!("{plural}/{id}")
}

impl RecordRequest {
    /// Returns the channel that a request leaves.
    pub(super) fn left_channel(&self, plural: &str) -> Option<String> {
        match self {
            Self::Subscribe { .. } => None,
            Self::Unsubscribe(id) => Some(channel(plural, id)),
        }
    }

    /// Returns the action of a request. `own` is an id of this client: a subscription since an own
    /// id receives everything, and also that the record was deleted while no list was open.
    pub(super) fn action(&self, plural: &str, own: &ActionId) -> Option<Action> {
        #[derive(serde::Serialize)]
        struct Creating {
            channel: String,
            creating: bool,
        }
        let action = match self {
            Self::Subscribe { id, is_creating: true } => {
                let fields = Creating { channel: channel(plural, id), creating: true };
                Action::typed(SUBSCRIBE, &fields)
            }
            Self::Subscribe { id, is_creating: false } => {
                let since = Some(Since { id: own.to_string(), time: 0, added: None });
                Subscribe { channel: channel(plural, id), since }.to_action()
            }
            Self::Unsubscribe(id) => Subscription::to(channel(plural, id)).unsubscribe(),
        };
        action.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Json, NodeId, Stamp, WallTime,
        crdt::{Change, SyncMaps},
        replay::Reducer as _,
    };

    struct World {
        records: Records,
        list: ListedRecords,
        covered: HashSet<Arc<str>>,
        time: i64,
    }

    fn world(filter: &str) -> World {
        let filter = Json::new(filter).ok();
        let subscription = Subscription { channel: "tasks".into(), filter };
        let list = ListedRecords::of(&"tasks".into(), &subscription);
        World {
            records: Records::default(),
            list: list.unwrap_or_else(|| unreachable!("a filter")),
            covered: HashSet::new(),
            time: 0,
        }
    }

    impl World {
        fn change(
            &mut self,
            id: &str,
            field: &str,
            value: &str,
            is_own: bool,
        ) -> Vec<RecordRequest> {
            self.time += 1;
            let node = NodeId::new("10:a:b").unwrap_or_else(|_| unreachable!("a valid id"));
            let time = WallTime::from_millis(self.time);
            let stamp = Stamp::new(time, ActionId::new(time, node, 0));
            let value = Json::from_value(value).unwrap_or_else(|_| unreachable!("a string"));
            let change = Change::Fields(id.into(), vec![(field.into(), value)]);
            SyncMaps::new("tasks").apply(&mut self.records, &change, &stamp);
            self.list.update(&self.records, is_own, &self.covered)
        }
    }

    fn subscribe(id: &str, is_creating: bool) -> RecordRequest {
        RecordRequest::Subscribe { id: id.into(), is_creating }
    }

    #[test]
    fn each_listed_record_has_a_subscription() {
        let mut world = world(r#"{"list":"inbox","done":"no"}"#);
        assert_eq!(world.change("1", "list", "inbox", false), [], "it is loading");
        world.covered.insert("tasks/1".into());
        world.change("2", "list", "inbox", true);
        assert_eq!(world.list.loaded(&world.covered), [subscribe("2", true)]);
        // A record of which only a part is known may match.
        assert_eq!(world.change("3", "list", "inbox", false), [subscribe("3", false)]);
        assert_eq!(world.change("3", "title", "Tea", false), []);
        let left = RecordRequest::Unsubscribe("3".into());
        assert_eq!(world.change("3", "done", "yes", false), [left]);
        assert_eq!(world.change("4", "title", "Tea", false), []);

        // After a reconnection, the server's own subscriptions are gone.
        world.list.disconnected();
        world.covered.clear();
        assert_eq!(world.list.loaded(&world.covered), [subscribe("1", false)]);
        assert_eq!(world.list.close().count(), 2);
    }

    #[test]
    fn the_number_of_subscriptions_has_a_limit() {
        let mut world = world(r#"{"list":"inbox"}"#);
        world.list.loaded(&world.covered);
        let ids = (0..=MAX_SUBSCRIPTIONS).map(|n| n.to_string());
        let requests = ids.flat_map(|id| world.change(&id, "list", "inbox", false));
        assert_eq!(requests.count(), MAX_SUBSCRIPTIONS);
        assert!(world.list.take_excess() && !world.list.take_excess());
        world.change("0", "list", "other", false);
        assert_eq!(world.change("x", "list", "inbox", false), [subscribe("x", false)]);
    }
}
