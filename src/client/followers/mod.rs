//! Several tabs of a device, of which one leads: it has the store and the connection, and serves
//! the others as a server serves clients.
//!
//! Read [`FollowerInput`] and [`FollowerOutput`], then `leading.rs` and `following.rs`.

mod following;
mod leading;

use std::sync::Arc;

use indexmap::IndexMap;

use super::{Subscription, SubscriptionState, actions::is_subscription};
use crate::{
    action::{Action, ActionId, IdGenerator, Meta, NodeId, presence::PresenceChanged},
    store::Entry,
    sync::{self, BatchToken, Disconnect, Node},
    time::Now,
};

/// An event of a tab that follows this one.
#[derive(Clone, Copy, Debug)]
pub enum FollowerInput<'a> {
    /// The tab has connected.
    Opened,
    /// A frame of the tab.
    Frame(&'a str),
    /// The tab has disconnected, or does not exist any more.
    Closed,
}

/// What the driver of a leader has to do for a tab that follows it.
#[derive(Debug)]
pub enum FollowerOutput {
    /// Send the tab this frame.
    Send(String),
    /// Disconnect the tab. No [`FollowerInput::Closed`] is needed.
    Disconnect(Disconnect),
}

/// The tabs that follow this one.
#[derive(Debug)]
pub(super) struct Followers {
    tabs: IndexMap<NodeId, Follower>,
    /// The configuration for their connections. `None` before the first one.
    config: Option<Arc<sync::Config>>,
    /// Makes the ids of answers.
    ids: IdGenerator,
    /// Whether other tabs may know actions of this one.
    are_possible: bool,
    /// The tabs whose states this device shows, by channel.
    shown: IndexMap<Arc<str>, NodeId>,
    /// What the followers are told at the next commit.
    news: Vec<News>,
}

/// Something that followers are told.
#[derive(Debug)]
enum News {
    /// An entry of the log.
    Entry(Entry),
    /// What has become of a subscription.
    Subscription(Subscription, SubscriptionState),
    /// Who is in a channel.
    Presence(PresenceChanged),
}

#[derive(Debug)]
struct Follower {
    node: Node,
    batches: Vec<BatchToken>,
    subscriptions: Vec<FollowerSubscription>,
}

impl Follower {
    /// Returns `true` if the tab is subscribed to something that a timeline keeps. It has received
    /// what the timeline has.
    fn has_subscribed(&self, timeline: &str) -> bool {
        let mut own = self.subscriptions.iter();
        own.any(|own| own.timelines().any(|name| name == timeline))
    }
}

#[derive(Debug)]
struct FollowerSubscription {
    /// The id of the tab's action.
    id: ActionId,
    subscription: Subscription,
    is_answered: bool,
}

impl FollowerSubscription {
    /// Returns the names of the timelines that may keep what the subscription brings: that of a
    /// document is its channel, that of records their plural.
    fn timelines(&self) -> impl Iterator<Item = &str> {
        let channel = &*self.subscription.channel;
        let plural = channel.split_once('/').map(|(plural, _)| plural);
        core::iter::once(channel).chain(plural)
    }
}

impl Followers {
    pub(super) fn new(leader: &NodeId) -> Self {
        let tab = leader.as_str().rsplit(':').next().unwrap_or_default();
        // A server's node id, because only a server's answers count.
        let node = NodeId::new(format!("server:{tab}")).unwrap_or_else(|_| leader.clone());
        Self {
            tabs: IndexMap::new(),
            config: None,
            ids: IdGenerator::new(node),
            are_possible: false,
            shown: IndexMap::new(),
            news: Vec::new(),
        }
    }

    /// Sends all followers but its author an entry of the log, at the next commit.
    pub(super) fn forward(&mut self, entry: &Entry) {
        if !self.tabs.is_empty() && !is_subscription(&entry.meta) {
            self.news.push(News::Entry(entry.clone()));
        }
    }

    /// Tells the followers what has become of a subscription, at the next commit.
    pub(super) fn subscription_changed(
        &mut self,
        subscription: &Subscription,
        state: &SubscriptionState,
    ) {
        if !self.tabs.is_empty() {
            self.news.push(News::Subscription(subscription.clone(), state.clone()));
        }
    }

    /// Tells the followers what has changed about who is in a channel, at the next commit.
    pub(super) fn presence_changed(&mut self, changed: PresenceChanged) {
        if !self.tabs.is_empty() {
            self.news.push(News::Presence(changed));
        }
    }

    /// Whether something waits for a commit.
    pub(super) fn need_commit(&self) -> bool {
        !self.news.is_empty() || self.tabs.values().any(|tab| !tab.batches.is_empty())
    }

    /// Whether other tabs may know unsent actions of this one, which have to be undone as if they
    /// were sent.
    pub(super) const fn are_possible(&self) -> bool {
        self.are_possible
    }

    fn config(&mut self) -> Arc<sync::Config> {
        let node = self.ids.node();
        let config = self
            .config
            .get_or_insert_with(|| Arc::new(without_timeouts(sync::Config::server(node.clone()))));
        config.clone()
    }

    fn entry(&mut self, now: Now, action: Action) -> Entry {
        let id = self.ids.next(now.wall);
        Entry::new(action, Meta::new(id.clone()).with_time(id.time()))
    }
}

/// Returns the configuration of a connection between two tabs. They are on one device: nothing is
/// lost on the way, and a tab that is gone is reported.
fn without_timeouts(config: sync::Config) -> sync::Config {
    sync::Config { ping_interval: None, timeout: None, connect_timeout: None, ..config }
}
