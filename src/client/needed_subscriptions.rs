//! The subscriptions that what an application has open of a document, or of records, needs.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use super::{
    Client, Subscription, SubscriptionState,
    document_status::{DELETED, NOT_FOUND},
    listed_records::{ListedRecords, RecordRequest, channel},
};
use crate::{
    crdt::Records,
    log::{LogError, Observer},
    store::Store,
    time::Now,
};

/// The subscriptions that an application needs for one document, or for the records of one kind:
/// one for a document, one for each filter and for each single record. Each is counted, requested
/// when it is needed first, and ended when nothing needs it any more.
///
/// A list with a filter also needs a subscription to each of its records: servers send a change of
/// a record to the subscribers of a filter only if the new values match, and a deletion only to the
/// subscribers of the record.
///
/// What changes the requests: [`need`](Self::need), [`leave`](Self::leave),
/// [`restart`](Self::restart), and what the driver of a client passes on: the states of
/// subscriptions ([`set`](Self::set)), changes of the records
/// ([`update_records`](Self::update_records)), `logux/subscribed` of the server
/// ([`cover`](Self::cover)) and the end of the connection ([`disconnected`](Self::disconnected)).
/// Pass it to [`Client::request_needed`] after each of them.
///
/// ```
/// use logux::{Json, NodeId, Now, client::{Client, Config, NeededSubscriptions, Subscription, SubscriptionState}, crdt::SyncMaps, replay::TimelineSet, store::JournalStore, sync};
///
/// let node = sync::Config::client(NodeId::new("10:laptop:tab")?);
/// let config = Config { node: node.into(), token: None };
/// let mut client = Client::with_observer(config, JournalStore::default(), TimelineSet::default())?;
/// client.open(SyncMaps::new("tasks"))?;
///
/// let mut needed = NeededSubscriptions::new("tasks");
/// let open = Subscription { channel: "tasks".to_owned(), filter: Json::new(r#"{"done":false}"#).ok() };
/// needed.need(&open);
/// client.request_needed(Now::from_millis(1_700_000_000_000, 0), &mut needed)?;
/// assert_eq!(needed.state(&open), Some(&SubscriptionState::Loading));
/// assert_eq!(client.subscriptions().count(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NeededSubscriptions {
    /// The channel of the document, or the plural of the records.
    name: Arc<str>,
    /// Few: lists and records that are open at the same time.
    needed: Vec<Needed>,
    requests: VecDeque<Request>,
    /// The channels to which the server has subscribed the client in this connection.
    covered: HashSet<Arc<str>>,
    /// The records of this device at the last update.
    records: Records,
}

/// A subscription that is needed.
#[derive(Debug)]
struct Needed {
    subscription: Subscription,
    /// How often it is needed.
    users: usize,
    state: SubscriptionState,
    /// The list of a subscription to records with a filter.
    list: Option<ListedRecords>,
}

/// A request to the server.
#[derive(Debug)]
enum Request {
    Subscribe(Subscription),
    Unsubscribe(Subscription),
    /// A request about one record of a list.
    Record(RecordRequest),
}

impl NeededSubscriptions {
    /// Creates the subscriptions of a document, given its channel, or of records, given their
    /// plural. None is needed yet.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        let (needed, requests, covered) = (Vec::new(), VecDeque::new(), HashSet::new());
        let records = Records::default();
        Self { name: name.into(), needed, requests, covered, records }
    }

    /// Records that a subscription is needed once more. It is requested if the server was not asked
    /// for it, or has refused or ended it.
    pub fn need(&mut self, subscription: &Subscription) {
        use SubscriptionState::{Ended, Loading, Refused};
        let known = self.needed.iter_mut().find(|needed| needed.subscription == *subscription);
        if let Some(needed) = known {
            needed.users += 1;
            if matches!(needed.state, Refused(_) | Ended(_)) {
                needed.state = Loading;
                self.requests.push_back(Request::Subscribe(subscription.clone()));
            }
            return;
        }
        self.requests.push_back(Request::Subscribe(subscription.clone()));
        let list = ListedRecords::of(&self.name, subscription);
        let subscription = subscription.clone();
        self.needed.push(Needed { subscription, users: 1, state: Loading, list });
    }

    /// Returns what has become of a subscription. `None`: it is not needed.
    pub fn state(&self, subscription: &Subscription) -> Option<&SubscriptionState> {
        let needed = self.needed.iter().find(|needed| needed.subscription == *subscription);
        needed.map(|needed| &needed.state)
    }

    /// Records what has become of a subscription. Has no effect on others.
    pub fn set(&mut self, subscription: &Subscription, state: &SubscriptionState) {
        let known = self.needed.iter_mut().find(|needed| needed.subscription == *subscription);
        let Some(needed) = known else { return };
        needed.state = state.clone();
        if *state == SubscriptionState::Subscribed
            && let Some(list) = &mut needed.list
        {
            self.requests.extend(list.loaded(&self.covered).into_iter().map(Request::Record));
        }
    }

    /// Records that a subscription is needed once less. It ends when nothing needs it.
    pub fn leave(&mut self, subscription: &Subscription) {
        use SubscriptionState::{Loading, Subscribed};
        let is_left = |needed: &Needed| needed.subscription == *subscription;
        let Some(index) = self.needed.iter().position(is_left) else { return };
        self.needed[index].users -= 1;
        if self.needed[index].users == 0 {
            let left = self.needed.swap_remove(index);
            if matches!(left.state, Loading | Subscribed) {
                let channel = left.subscription.channel.clone();
                self.requests.push_back(Request::Unsubscribe(left.subscription));
                self.uncover(&channel);
            }
            let records: Vec<_> = left.list.into_iter().flat_map(ListedRecords::close).collect();
            self.request_records(records);
        }
    }

    /// Makes requests about records.
    fn request_records(&mut self, requests: Vec<RecordRequest>) {
        for request in requests {
            let left = request.left_channel(&self.name);
            self.requests.push_back(Request::Record(request));
            if let Some(channel) = left {
                self.uncover(&channel);
            }
        }
    }

    /// Records that the client leaves a channel, also if the server had subscribed it: the lists
    /// that have the record need a subscription of their own.
    fn uncover(&mut self, channel: &str) {
        if !self.covered.remove(channel) {
            return;
        }
        let lists = self.needed.iter_mut().filter_map(|needed| needed.list.as_mut());
        let requests: Vec<_> =
            lists.filter_map(|list| list.uncovered(channel, &self.covered)).collect();
        self.requests.extend(requests.into_iter().map(Request::Record));
    }

    /// Takes over the records of this device: finds those that enter and leave the lists. `is_own`:
    /// only the user has changed them since the last call. O(changes · (lists + single records)).
    pub fn update_records(&mut self, records: &Records, is_own: bool) {
        if is_own {
            self.request_created(records);
        }
        self.records = records.clone();
        let lists = self.needed.iter_mut().filter_map(|needed| needed.list.as_mut());
        let requests = lists.flat_map(|list| list.update(records, is_own, &self.covered));
        let requests = requests.collect();
        self.request_records(requests);
    }

    /// Subscribes to the single records that the server did not have, and that the user has created
    /// now.
    fn request_created(&mut self, records: &Records) {
        use SubscriptionState::{Ended, Loading, Refused};
        self.records.diff(records, |id| {
            let is_refused = |needed: &&mut Needed| match &needed.state {
                Refused(reason) | Ended(reason) => matches!(&**reason, NOT_FOUND | DELETED),
                _ => false,
            };
            let channel = channel(&self.name, id);
            let mut refused = self.needed.iter_mut().filter(is_refused);
            let single = refused.find(|needed| needed.subscription.channel == channel);
            if let Some(single) = single.filter(|_| records.has(id)) {
                single.state = Loading;
                let request = RecordRequest::Subscribe { id: id.clone(), is_creating: true };
                self.requests.push_back(Request::Record(request));
            }
        });
    }

    /// Returns `true` if a list had more than 1,000 records since the last call. The client is not
    /// subscribed to the further ones: if others delete one, it stays in the list until the next
    /// connection; if they change it so that it does not match, until the server sends it again.
    pub fn take_excess(&mut self) -> bool {
        let lists = self.needed.iter_mut().filter_map(|needed| needed.list.as_mut());
        lists.fold(false, |has_excess, list| list.take_excess() | has_excess)
    }

    /// Records that the server has subscribed the client to a channel in this connection, by
    /// `logux/subscribed`.
    pub fn cover(&mut self, channel: impl Into<Arc<str>>) {
        self.covered.insert(channel.into());
    }

    /// Records that there is no connection.
    pub fn disconnected(&mut self) {
        self.covered.clear();
        self.needed
            .iter_mut()
            .filter_map(|needed| needed.list.as_mut())
            .for_each(ListedRecords::disconnected);
    }

    /// Requests all subscriptions again, for another user.
    pub fn restart(&mut self) {
        self.covered.clear();
        self.records = Records::default();
        for needed in &mut self.needed {
            needed.list = ListedRecords::of(&self.name, &needed.subscription);
            needed.state = SubscriptionState::Loading;
            self.requests.push_back(Request::Subscribe(needed.subscription.clone()));
        }
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Makes the requests of needed subscriptions to the server.
    ///
    /// # Errors
    /// If the store fails.
    pub fn request_needed(
        &mut self,
        now: Now,
        needed: &mut NeededSubscriptions,
    ) -> Result<(), LogError<S::Error>> {
        while let Some(request) = needed.requests.pop_front() {
            match request {
                Request::Subscribe(subscription) => {
                    // With a filter, the requests for the single records tell the deletions.
                    let is_whole = subscription == Subscription::to(&*needed.name);
                    // A channel and a filter can be written as JSON.
                    let _ = if is_whole && needed.records != Records::default() {
                        self.subscribe_known(now, &subscription)?
                    } else {
                        self.subscribe_kept(now, &subscription)?
                    };
                    // The application may have subscribed to the same before.
                    if let Some(state) = self.subscription_state(&subscription) {
                        needed.set(&subscription, &state);
                    }
                }
                Request::Unsubscribe(subscription) => {
                    if let Ok(action) = subscription.unsubscribe() {
                        self.sync(now, action)?;
                    }
                }
                Request::Record(request) => {
                    let own = self.next_id(now.wall);
                    if let Some(action) = request.action(&needed.name, &own) {
                        self.sync(now, action)?;
                    }
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ActionId, Json, NodeId, Stamp, WallTime,
        crdt::{Change, SyncMaps},
        replay::Reducer as _,
    };

    fn write(records: &mut Records, ms: i64, id: &str) {
        let node = NodeId::new("10:a:b").unwrap_or_else(|_| unreachable!("a valid id"));
        let time = WallTime::from_millis(ms);
        let stamp = Stamp::new(time, ActionId::new(time, node, 0));
        let value = Json::from_value("Tea").unwrap_or_else(|_| unreachable!("a string"));
        let change = Change::Fields(id.into(), vec![("title".into(), value)]);
        SyncMaps::new("tasks").apply(records, &change, &stamp);
    }

    fn take(needed: &mut NeededSubscriptions) -> Vec<String> {
        let text = |request| match request {
            Request::Subscribe(subscription) => format!("subscribe {}", subscription.channel),
            Request::Unsubscribe(subscription) => format!("leave {}", subscription.channel),
            Request::Record(request) => format!("{request:?}"),
        };
        needed.requests.drain(..).map(text).collect()
    }

    #[test]
    fn a_subscription_is_requested_once_and_ends_with_its_last_user() {
        let mut needed = NeededSubscriptions::new("tasks");
        let record = Subscription::to("tasks/7");
        needed.need(&record);
        needed.need(&record);
        assert_eq!(take(&mut needed), ["subscribe tasks/7"]);
        needed.set(&record, &SubscriptionState::Refused("denied".to_owned()));
        needed.need(&record);
        assert_eq!(take(&mut needed), ["subscribe tasks/7"], "a refused one is requested again");
        needed.leave(&record);
        needed.leave(&record);
        assert_eq!(take(&mut needed), Vec::<String>::new());
        needed.leave(&record);
        assert_eq!(take(&mut needed), ["leave tasks/7"]);
        assert_eq!(needed.state(&record), None);
    }

    #[test]
    fn who_creates_a_record_that_was_missing_subscribes_to_it() {
        let (mut needed, mut records) = (NeededSubscriptions::new("tasks"), Records::default());
        for id in ["1", "2", "3"] {
            needed.need(&Subscription::to(format!("tasks/{id}")));
        }
        take(&mut needed);
        let refused = |reason: &str| SubscriptionState::Refused(reason.to_owned());
        needed.set(&Subscription::to("tasks/1"), &refused("notFound"));
        needed.set(&Subscription::to("tasks/2"), &refused("denied"));
        needed.set(&Subscription::to("tasks/3"), &refused("notFound"));

        write(&mut records, 1, "3");
        needed.update_records(&records, false);
        assert_eq!(take(&mut needed), Vec::<String>::new(), "somebody else's record");
        write(&mut records, 2, "1");
        write(&mut records, 2, "2");
        needed.update_records(&records, true);
        assert_eq!(take(&mut needed), [r#"Subscribe { id: "1", is_creating: true }"#]);
        let state = needed.state(&Subscription::to("tasks/1"));
        assert_eq!(state, Some(&SubscriptionState::Loading));
        write(&mut records, 3, "1");
        needed.update_records(&records, true);
        assert_eq!(take(&mut needed), Vec::<String>::new());
    }
}
