//! The tab that leads.

use core::ops::ControlFlow;
use std::sync::Arc;

use super::{Follower, FollowerInput, FollowerOutput, FollowerSubscription, News};
use crate::{
    action::{
        Action, ActionError, ActionId, NodeId,
        logux::{self, Processed, Undo},
        presence::{PRESENCE_SET, PresenceChanged, PresenceSet},
    },
    client::{
        Client, Output, Subscription, SubscriptionState,
        actions::{OwnAction, is_unanswered},
    },
    log::{Draft, LogError, Observer},
    store::{Entry, Query, Store},
    sync::{self, BatchToken, Node},
    time::Now,
    wire::ErrorMessage,
};

/// What a follower has sent, in order.
enum Received {
    Entries(BatchToken, Vec<Entry>),
    Connected,
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Handles an event of a tab that follows this one. `tab` is its node id, which has the same
    /// client id as this one.
    ///
    /// The followers' actions become own actions of this device: they are in this log and on their
    /// way to the server, and are confirmed after the [commit](Self::commit). Each tab receives all
    /// actions of the others and of the server, and the answers to its own. What a tab subscribes
    /// to, it first receives from this log, which has to keep it: open the timelines that the tab
    /// has. In a channel, this device shows the state of the tab that has set one last.
    ///
    /// From then on, an undo drops no unsent action, because other tabs may know it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn handle_follower(
        &mut self,
        now: Now,
        tab: &NodeId,
        input: FollowerInput<'_>,
    ) -> Result<(), LogError<S::Error>> {
        match input {
            FollowerInput::Opened => {
                self.follower_closed(now, tab)?;
                self.followers.are_possible = true;
                let node = Node::new(self.followers.config(), ());
                let (batches, subscriptions) = (Vec::new(), Vec::new());
                let follower = Follower { node, batches, subscriptions };
                self.followers.tabs.insert(tab.clone(), follower);
                self.with_follower(now, tab, |node, now| node.handle(now, sync::Input::Opened))
            }
            FollowerInput::Frame(frame) => self
                .with_follower(now, tab, |node, now| node.handle(now, sync::Input::Frame(frame))),
            FollowerInput::Closed => self.follower_closed(now, tab),
        }
    }

    /// Tells the followers what has happened since the last commit.
    pub(in crate::client) fn tell_followers(&mut self, now: Now) -> Result<(), LogError<S::Error>> {
        for news in core::mem::take(&mut self.followers.news) {
            match news {
                News::Entry(entry) => self.forward(now, &entry)?,
                News::Subscription(subscription, state) => {
                    self.answer_followers(now, &subscription, &state)?;
                }
                News::Presence(changed) => self.forward_presence(now, &changed)?,
            }
        }
        Ok(())
    }

    fn forward(&mut self, now: Now, entry: &Entry) -> Result<(), LogError<S::Error>> {
        // An answer is for one tab.
        let only = match entry.action.kind() {
            logux::PROCESSED => match entry.action.str_field("id").map(|id| id.parse::<ActionId>())
            {
                Some(Ok(id)) => Some(id.node().clone()),
                _ => return Ok(()),
            },
            _ => None,
        };
        let author = entry.meta.id.node();
        let is_for =
            |tab: &&NodeId| *tab != author && only.as_ref().is_none_or(|only| only == *tab);
        let tabs: Vec<NodeId> = self.followers.tabs.keys().filter(is_for).cloned().collect();
        for tab in tabs {
            self.send_follower(now, &tab, core::slice::from_ref(entry))?;
        }
        Ok(())
    }

    /// Answers the followers whose subscriptions the server has answered or ended.
    fn answer_followers(
        &mut self,
        now: Now,
        subscription: &Subscription,
        state: &SubscriptionState,
    ) -> Result<(), LogError<S::Error>> {
        let mut answers = Vec::new();
        for (tab, follower) in &mut self.followers.tabs {
            match state {
                SubscriptionState::Loading => {}
                SubscriptionState::Subscribed => {
                    for own in &mut follower.subscriptions {
                        if own.subscription == *subscription && !own.is_answered {
                            own.is_answered = true;
                            answers.push((tab.clone(), processed(&own.id)));
                        }
                    }
                }
                SubscriptionState::Refused(reason) | SubscriptionState::Ended(reason) => {
                    follower.subscriptions.retain(|own| {
                        let is_over = own.subscription == *subscription;
                        if is_over {
                            let undo = Undo::of(&own.id, reason, own.subscription.subscribe().ok());
                            answers.push((tab.clone(), undo.to_action()));
                        }
                        !is_over
                    });
                }
            }
        }
        for (tab, answer) in answers {
            self.tell_follower(now, &tab, answer)?;
            if *state == SubscriptionState::Subscribed {
                self.tell_presence(now, &tab, &subscription.channel)?;
            }
        }
        Ok(())
    }

    /// Sends the followers who are in a channel what has changed about the people there.
    fn forward_presence(
        &mut self,
        now: Now,
        changed: &PresenceChanged,
    ) -> Result<(), LogError<S::Error>> {
        let is_in = |follower: &Follower| {
            let mut own = follower.subscriptions.iter();
            own.any(|own| own.subscription.channel == changed.channel && own.is_answered)
        };
        let tabs = self.followers.tabs.iter().filter(|(_, follower)| is_in(follower));
        for tab in tabs.map(|(tab, _)| tab.clone()).collect::<Vec<_>>() {
            self.tell_follower(now, &tab, changed.to_action())?;
        }
        Ok(())
    }

    /// Confirms what the followers have sent, after a commit.
    pub(in crate::client) fn confirm_followers(
        &mut self,
        now: Now,
    ) -> Result<(), LogError<S::Error>> {
        for index in 0..self.followers.tabs.len() {
            let Some((tab, follower)) = self.followers.tabs.get_index_mut(index) else { break };
            if follower.batches.is_empty() {
                continue;
            }
            let (tab, batches) = (tab.clone(), core::mem::take(&mut follower.batches));
            self.with_follower(now, &tab, |node, now| {
                for batch in batches {
                    node.handle(now, sync::Input::Persisted(batch));
                }
            })?;
        }
        Ok(())
    }

    /// Calls the node of a follower, and executes its outputs.
    fn with_follower(
        &mut self,
        now: Now,
        tab: &NodeId,
        call: impl FnOnce(&mut Node, Now),
    ) -> Result<(), LogError<S::Error>> {
        let client = self.log.node_id().clone();
        let Some(follower) = self.followers.tabs.get_mut(tab) else { return Ok(()) };
        call(&mut follower.node, now);
        let mut received = Vec::new();
        let mut is_over = false;
        while let Some(output) = follower.node.poll_output() {
            match output {
                sync::Output::Send(frame) => {
                    let output = FollowerOutput::Send(frame);
                    self.pending.push_back(Output::Follower(tab.clone(), output));
                }
                sync::Output::Authenticate(asked) => {
                    let is_tab = asked.node == *tab && *tab != client;
                    let answer = match is_tab && tab.client_id() == client.client_id() {
                        true => sync::Input::Allow(asked.token),
                        false => {
                            let error = ErrorMessage::wrong_credentials();
                            sync::Input::Refuse(asked.token, error)
                        }
                    };
                    follower.node.handle(now, answer);
                }
                sync::Output::Connected { .. } => received.push(Received::Connected),
                // The limits of tabs and server are equal: what is refused here was refused there.
                sync::Output::Received { batch, entries, .. } => {
                    received.push(Received::Entries(batch, entries));
                }
                sync::Output::Disconnect(reason) => {
                    let output = FollowerOutput::Disconnect(reason);
                    self.pending.push_back(Output::Follower(tab.clone(), output));
                    is_over = true;
                }
                _ => {}
            }
        }
        for received in received {
            match received {
                Received::Connected => self.send_follower(now, tab, &[])?,
                Received::Entries(batch, entries) => {
                    for entry in entries {
                        self.receive_from(now, tab, entry)?;
                    }
                    if let Some(follower) = self.followers.tabs.get_mut(tab) {
                        follower.batches.push(batch);
                    }
                }
            }
        }
        if is_over { self.follower_closed(now, tab) } else { Ok(()) }
    }

    /// Receives an action of a follower.
    fn receive_from(
        &mut self,
        now: Now,
        tab: &NodeId,
        entry: Entry,
    ) -> Result<(), LogError<S::Error>> {
        let id = entry.meta.id.clone();
        match entry.action.kind() {
            logux::SUBSCRIBE => self.follower_subscribes(now, tab, &entry),
            logux::UNSUBSCRIBE => {
                if let Some(left) = Subscription::of(&entry.action)
                    && let Some(follower) = self.followers.tabs.get_mut(tab)
                {
                    let mut own = follower.subscriptions.iter();
                    if let Some(index) = own.position(|own| own.subscription == left) {
                        follower.subscriptions.remove(index);
                        self.leave(now, &left)?;
                    }
                }
                self.tell_follower(now, tab, processed(&id))
            }
            PRESENCE_SET => {
                if let Some(PresenceSet { channel, state }) =
                    PresenceSet::from_action(&entry.action)
                {
                    let channel: Arc<str> = channel.into();
                    let is_shown = self.followers.shown.get(&channel) == Some(tab);
                    if state.is_some() {
                        self.followers.shown.insert(channel.clone(), tab.clone());
                        self.set_presence(now, channel, state)?;
                    } else if is_shown {
                        self.followers.shown.shift_remove(&channel);
                        self.set_presence(now, channel, None)?;
                    }
                }
                self.tell_follower(now, tab, processed(&id))
            }
            _ => match self.log.by_id(&id)? {
                // The answer follows.
                Some(known) if is_unanswered(&known.meta) => Ok(()),
                Some(_) => {
                    let answer = match self.undo_of(&id)? {
                        Some(undo) => Ok(undo.action),
                        None => processed(&id),
                    };
                    self.tell_follower(now, tab, answer)
                }
                None => self.add_relayed(now, entry),
            },
        }
    }

    /// Adds an action of another tab as an own one.
    pub(super) fn add_relayed(&mut self, now: Now, entry: Entry) -> Result<(), LogError<S::Error>> {
        let Entry { action, meta } = entry;
        let mut draft = Draft::of(meta.id.clone(), meta.time);
        draft.subprotocol = meta.subprotocol;
        self.add_own(now, action, draft, OwnAction::New)?;
        if let Some(entry) = self.log.by_id(&meta.id)? {
            self.pending.push_back(Output::Added(entry));
        }
        Ok(())
    }

    fn follower_subscribes(
        &mut self,
        now: Now,
        tab: &NodeId,
        entry: &Entry,
    ) -> Result<(), LogError<S::Error>> {
        let id = entry.meta.id.clone();
        let Some(subscription) = Subscription::of(&entry.action) else {
            let undo = Undo::of(&id, "wrongFormat", None).to_action();
            return self.tell_follower(now, tab, undo);
        };
        let Some(follower) = self.followers.tabs.get_mut(tab) else { return Ok(()) };
        let known = follower.subscriptions.iter().position(|own| own.id == id);
        if let Some(known) = known {
            follower.subscriptions.remove(known);
        }
        let own =
            FollowerSubscription { id, subscription: subscription.clone(), is_answered: false };
        let names = own.timelines().filter(|name| !follower.has_subscribed(name));
        let names: Vec<_> = names.map(str::to_owned).collect();
        follower.subscriptions.push(own);
        // The tab would not receive how the action of a burst grows.
        self.close_burst(now)?;
        for name in names {
            let mut kept = Vec::new();
            self.log.walk(&Query::added().index(name).oldest_first(), |entry| {
                kept.push(entry.clone());
                ControlFlow::Continue(())
            })?;
            self.send_follower(now, tab, &kept)?;
        }
        if known.is_some() {
            return Ok(());
        }
        // The inner error: what was read can be written.
        self.subscribe_kept(now, &subscription).map(drop)
    }

    /// Ends one subscription of a follower.
    fn leave(&mut self, now: Now, left: &Subscription) -> Result<(), LogError<S::Error>> {
        match left.unsubscribe() {
            Ok(action) => self.sync(now, action).map(drop),
            // What was read can be written.
            Err(_) => Ok(()),
        }
    }

    fn follower_closed(&mut self, now: Now, tab: &NodeId) -> Result<(), LogError<S::Error>> {
        let Some(follower) = self.followers.tabs.shift_remove(tab) else { return Ok(()) };
        for own in follower.subscriptions {
            self.leave(now, &own.subscription)?;
        }
        let shown = self.followers.shown.iter().filter(|(_, shown)| *shown == tab);
        for channel in shown.map(|(channel, _)| channel.clone()).collect::<Vec<_>>() {
            self.followers.shown.shift_remove(&channel);
            self.set_presence(now, channel, None)?;
        }
        Ok(())
    }

    /// Sends an action of this tab to a follower.
    fn tell_follower(
        &mut self,
        now: Now,
        tab: &NodeId,
        action: Result<Action, ActionError>,
    ) -> Result<(), LogError<S::Error>> {
        // What was read can be written.
        let Ok(action) = action else { return Ok(()) };
        let entry = self.followers.entry(now, action);
        self.send_follower(now, tab, &[entry])
    }

    /// Sends a follower who is in a channel now.
    fn tell_presence(
        &mut self,
        now: Now,
        tab: &NodeId,
        channel: &str,
    ) -> Result<(), LogError<S::Error>> {
        let others = self.presence(channel);
        let states: Vec<_> =
            others.map(|(node, state)| (node.clone(), Some(state.clone()))).collect();
        if states.is_empty() {
            return Ok(());
        }
        let changed = PresenceChanged { channel: channel.to_owned(), states };
        self.tell_follower(now, tab, changed.to_action())
    }

    fn send_follower(
        &mut self,
        now: Now,
        tab: &NodeId,
        entries: &[Entry],
    ) -> Result<(), LogError<S::Error>> {
        let added = self.log.last_added()?;
        self.with_follower(now, tab, |node, now| {
            node.send(now.mono, added, entries);
        })
    }

    /// Returns the undo of an action in the log. O(n).
    fn undo_of(&self, id: &ActionId) -> Result<Option<Entry>, LogError<S::Error>> {
        let (mut found, id) = (None, id.to_text());
        self.log.walk(&Query::added(), |entry| {
            let is_it = entry.action.kind() == logux::UNDO
                && entry.meta.id.node().is_server()
                && entry.action.str_field("id").is_some_and(|undone| undone == id);
            if is_it {
                found = Some(entry.clone());
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        })?;
        Ok(found)
    }
}

fn processed(id: &ActionId) -> Result<Action, ActionError> {
    Processed { id: id.to_text() }.to_action()
}
