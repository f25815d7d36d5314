//! The subscriptions that the handles of a document, or of records, need.

use std::{
    collections::{HashSet, VecDeque},
    sync::Arc,
};

use logux::{
    client::{Subscription, SubscriptionState},
    crdt::Records,
};
use tokio::sync::watch;

use crate::listed_records::{ListedRecords, RecordRequest};

/// A request to the server.
pub(crate) enum Request {
    Subscribe(Subscription),
    Unsubscribe(Subscription),
    /// A request about one record of a list.
    Record(RecordRequest),
}

/// A subscription that some handles need.
struct Needed {
    subscription: Subscription,
    handles: usize,
    state: watch::Sender<SubscriptionState>,
    /// The list of a subscription to records with a filter.
    list: Option<ListedRecords>,
}

/// The subscriptions that the handles of a view need. They are few: one for a document, one for
/// each filter of records.
pub(crate) struct NeededSubscriptions {
    /// The name of the document, or the plural of the records.
    name: Arc<str>,
    needed: Vec<Needed>,
    requests: VecDeque<Request>,
    /// The channels to which the server has subscribed the client in this connection.
    covered: HashSet<Arc<str>>,
}

impl NeededSubscriptions {
    pub(crate) fn new(name: Arc<str>) -> Self {
        let (needed, requests, covered) = (Vec::new(), VecDeque::new(), HashSet::new());
        Self { name, needed, requests, covered }
    }

    /// Records that a handle needs a subscription, and requests it, if the server was not asked or
    /// has refused it. Returns the receiver of its state.
    pub(crate) fn need(
        &mut self,
        subscription: Subscription,
    ) -> watch::Receiver<SubscriptionState> {
        use SubscriptionState::{Ended, Loading, Refused};
        let known = self.needed.iter_mut().find(|needed| needed.subscription == subscription);
        if let Some(needed) = known {
            needed.handles += 1;
            let is_refused = matches!(*needed.state.borrow(), Refused(_) | Ended(_));
            if is_refused {
                needed.state.send_replace(Loading);
                self.requests.push_back(Request::Subscribe(subscription));
            }
            return needed.state.subscribe();
        }
        let (state, receiver) = watch::channel(Loading);
        self.requests.push_back(Request::Subscribe(subscription.clone()));
        let list = ListedRecords::of(&self.name, &subscription);
        self.needed.push(Needed { subscription, handles: 1, state, list });
        receiver
    }

    pub(crate) fn set(&mut self, subscription: &Subscription, state: &SubscriptionState) {
        let known = self.needed.iter_mut().find(|needed| needed.subscription == *subscription);
        let Some(needed) = known else { return };
        needed.state.send_replace(state.clone());
        if *state == SubscriptionState::Subscribed
            && let Some(list) = &mut needed.list
        {
            self.requests.extend(list.loaded(&self.covered).into_iter().map(Request::Record));
        }
    }

    /// Records that a handle no longer needs a subscription, and ends it after the last one.
    pub(crate) fn leave(&mut self, subscription: &Subscription) {
        use SubscriptionState::{Loading, Subscribed};
        let is_left = |needed: &Needed| needed.subscription == *subscription;
        let Some(index) = self.needed.iter().position(is_left) else { return };
        self.needed[index].handles -= 1;
        if self.needed[index].handles == 0 {
            let left = self.needed.swap_remove(index);
            if matches!(*left.state.borrow(), Loading | Subscribed) {
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

    /// Finds the records that enter and leave the lists.
    pub(crate) fn update_lists(&mut self, records: &Records, is_own: bool) {
        let lists = self.needed.iter_mut().filter_map(|needed| needed.list.as_mut());
        let requests = lists.flat_map(|list| list.update(records, is_own, &self.covered));
        let requests = requests.collect();
        self.request_records(requests);
    }

    /// Records that the server has subscribed the client to a channel in this connection.
    pub(crate) fn cover(&mut self, channel: Arc<str>) {
        self.covered.insert(channel);
    }

    pub(crate) fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    pub(crate) fn disconnected(&mut self) {
        self.covered.clear();
        self.needed
            .iter_mut()
            .filter_map(|needed| needed.list.as_mut())
            .for_each(ListedRecords::disconnected);
    }

    /// Requests all subscriptions again.
    pub(crate) fn restart(&mut self) {
        self.covered.clear();
        for needed in &mut self.needed {
            needed.list = ListedRecords::of(&self.name, &needed.subscription);
            needed.state.send_replace(SubscriptionState::Loading);
            self.requests.push_back(Request::Subscribe(needed.subscription.clone()));
        }
    }
}
