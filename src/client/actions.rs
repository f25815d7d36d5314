//! The own actions of a device: those that it sends, those that stay, and what becomes of them.

use core::ops::ControlFlow;

use super::{
    Client, Fate, Output, Subscription, SubscriptionState,
    documents::index_of,
    machine::{SUBSCRIPTIONS, SYNCING},
    since,
    subscriptions::{Change, Unsubscription},
};
use crate::{
    action::{Action, ActionId, Meta, logux},
    log::{Draft, Log, LogError, Observer},
    store::{Criteria, Entry, Query, Store},
    sync::State,
    time::Now,
};

impl<S: Store, O: Observer> Client<S, O> {
    /// Adds an own action to the log, and sends it to the server at the next commit or connection.
    /// Returns its id.
    ///
    /// Subscriptions are counted: each `logux/subscribe` needs its own `logux/unsubscribe`, with an
    /// equal channel and filter. Only the last one is sent, and none if the server was not asked
    /// yet. While the application wants a subscription, it is requested again at each connection,
    /// for what has been missed. [`Output::Subscription`] tells what becomes of it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sync(&mut self, now: Now, action: Action) -> Result<ActionId, LogError<S::Error>> {
        self.sync_with(now, action, Draft::default())
    }

    /// Adds an own action as [`sync`](Self::sync) does, with the reasons, the indexes and the extra
    /// keys of a draft, and its id and time if it has them. The id must be new: an action with a
    /// known id is not added again.
    ///
    /// # Errors
    /// If the store fails.
    pub fn sync_with(
        &mut self,
        now: Now,
        action: Action,
        draft: Draft,
    ) -> Result<ActionId, LogError<S::Error>> {
        if action.kind() == logux::UNSUBSCRIBE {
            let (unsent, log) = (&self.unsent, &self.log);
            let is_unsent = |id: &ActionId| {
                log.by_id(id).is_ok_and(|entry| entry.is_some_and(|it| unsent.contains(&it.meta)))
            };
            let left = self.subscriptions.leave(&action, is_unsent);
            if let Some(subscription) = Subscription::of(&action) {
                since::pause(&mut self.log, &subscription.key())?;
            }
            if let Some(channel) = action.str_field("channel")
                && !self.subscriptions.is_subscribed(&channel)
            {
                self.leave_presence(&channel);
            }
            let dropped = match left {
                Unsubscription::Send => return self.add_own(now, action, draft, OwnAction::New),
                Unsubscription::StillWanted => Vec::new(),
                Unsubscription::Drop(ids) => ids,
            };
            for id in &dropped {
                self.remove(id)?;
                self.unconfirmed.subscriptions -= 1;
            }
            // The server need not know, so it is as if it had answered.
            let id = draft.id.unwrap_or_else(|| self.log.generate_id(now.wall));
            self.is_changed = true;
            let ended = dropped.into_iter().chain([id.clone()]);
            self.pending.extend(ended.map(|id| Output::Fate(id, Fate::Processed)));
            return Ok(id);
        }
        self.add_own(now, action, draft, OwnAction::New)
    }

    /// Returns the subscriptions that the application wants, with their states: loading or
    /// subscribed.
    pub fn subscriptions(&self) -> impl Iterator<Item = (&Subscription, SubscriptionState)> {
        self.subscriptions.states()
    }

    /// Returns the state of a subscription: loading or subscribed, and `None` if the application
    /// does not want it, or the server has refused or ended it. O(size of the filter).
    pub fn subscription_state(&self, subscription: &Subscription) -> Option<SubscriptionState> {
        self.subscriptions.state_of(subscription)
    }

    /// Tells the application of a change of a subscription, if there is one.
    pub(super) fn tell_subscription(&mut self, change: Option<Change>) {
        let Some((subscription, state)) = change else { return };
        self.followers.subscription_changed(&subscription, &state);
        self.presence_of_subscription(&subscription.channel, &state);
        self.documents.subscribed(&subscription, &state);
        self.pending.push_back(Output::Subscription(subscription, state));
    }

    /// Adds an own action, and sends it if there is a connection, unless it is held.
    pub(super) fn add_own(
        &mut self,
        now: Now,
        action: Action,
        draft: Draft,
        how: OwnAction,
    ) -> Result<ActionId, LogError<S::Error>> {
        // Its action is before this one.
        self.close_burst(now)?;
        if let Some(id) = self.refuse_encryption(now, &action, &draft) {
            return Ok(id);
        }
        let is_sent = is_connected(self.node.state()) && how != OwnAction::Held;
        if is_sent {
            self.unsent.end(&mut self.log)?;
        } else {
            self.unsent.begin(&mut self.log)?;
        }
        let id = draft.id.clone().unwrap_or_else(|| self.log.generate_id(now.wall));
        let mut draft = Draft { id: Some(id.clone()), ..draft.and_reason(SYNCING) };
        draft.subprotocol = draft.subprotocol.or_else(|| Some(self.subprotocol.clone()));
        if matches!(action.kind(), logux::SUBSCRIBE | logux::UNSUBSCRIBE) {
            draft = draft.index(SUBSCRIPTIONS);
        }
        let document = self.documents.key_of(&action);
        if let Some((key, _)) = &document {
            draft = draft.index(index_of(key.channel()));
        }
        draft = self.encryption.mark(&action, draft);
        self.is_changed = true;
        if let Some(entry) = self.log.add(now.wall, action, draft)? {
            if let Some((key, verb)) = document {
                self.documents.added(&key, verb, &id);
            }
            if entry.action.kind() == logux::SUBSCRIBE {
                let change =
                    self.subscriptions.asked(&id, &entry.action, how != OwnAction::Repeated);
                self.tell_subscription(change);
            }
            self.unconfirmed.add(&entry.meta);
            if !is_subscription(&entry.meta) {
                self.status.added(id.clone());
            }
            let fate = if is_sent { Fate::Sent } else { Fate::Kept };
            self.pending.push_back(Output::Fate(id.clone(), fate));
            if how != OwnAction::Held {
                self.followers.forward(&entry);
                self.send(now, &[entry])?;
            }
        }
        self.execute_outputs(now)?;
        Ok(id)
    }

    /// Adds an action that never leaves the device. It stays in the log as long as it has a reason.
    /// Returns its entry, without [`Meta::added`](crate::Meta::added) if nothing keeps it; `None`
    /// if the log has an action with this id.
    ///
    /// # Errors
    /// If the store fails.
    pub fn add(
        &mut self,
        now: Now,
        action: Action,
        draft: Draft,
    ) -> Result<Option<Entry>, LogError<S::Error>> {
        self.is_changed = true;
        self.log.add(now.wall, action, draft)
    }

    /// Removes a reason from the actions that match the criteria, and removes those of them that
    /// have no reasons left. The reason `syncing` stays until the server has answered.
    ///
    /// # Errors
    /// If the store fails.
    pub fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
    ) -> Result<(), LogError<S::Error>> {
        if reason == SYNCING {
            return Ok(());
        }
        self.is_changed = true;
        self.log.remove_reason(reason, criteria)
    }

    /// Returns the number of own actions that the server has not confirmed, without subscriptions:
    /// what would be lost with this device.
    pub const fn unconfirmed(&self) -> usize {
        self.unconfirmed.actions
    }

    /// Returns what has become of an own action that the server has not answered. `None` if it is
    /// answered, or unknown. O(log n).
    ///
    /// # Errors
    /// If the store fails.
    pub fn fate(&self, id: &ActionId) -> Result<Option<Fate>, LogError<S::Error>> {
        let entry = self.log.by_id(id)?.filter(|entry| is_unanswered(&entry.meta));
        let Some(entry) = entry else { return Ok(None) };
        let sent = self.log.synced()?.sent;
        Ok(Some(if entry.meta.added <= Some(sent) {
            Fate::Confirmed
        } else if self.unsent.contains(&entry.meta) {
            Fate::Kept
        } else {
            Fate::Sent
        }))
    }

    /// Handles the server's answer to an action, which may arrive before the confirmation.
    pub(super) fn answer_confirms(&mut self, id: &ActionId) -> Result<(), LogError<S::Error>> {
        if !self.unconfirmed.is_empty()
            && let Some(entry) = self.log.by_id(id)?
            && matches!(self.fate(id)?, Some(Fate::Kept | Fate::Sent))
        {
            self.unconfirmed.remove(&entry.meta);
        }
        Ok(())
    }

    /// Handles the server's confirmation of the entries after one number up to another.
    pub(super) fn confirmed(&mut self, after: u64, up_to: u64) -> Result<(), LogError<S::Error>> {
        let (mut confirmed, unconfirmed) = (Vec::new(), &mut self.unconfirmed);
        self.log.walk(&Query::added().oldest_first().after_added(after), |entry| {
            if entry.meta.added > Some(up_to) {
                return ControlFlow::Break(());
            }
            if is_unanswered(&entry.meta) {
                confirmed.push(entry.meta.id.clone());
                unconfirmed.remove(&entry.meta);
            }
            ControlFlow::Continue(())
        })?;
        let fates = confirmed.into_iter().map(|id| Output::Fate(id, Fate::Confirmed));
        self.pending.extend(fates);
        Ok(())
    }
}

/// How an own action is added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnAction {
    /// An action of the application.
    New,
    /// A subscription that is only repeated.
    Repeated,
    /// An action of the application that is not sent before its burst ends.
    Held,
}

/// Whether own actions are sent in this state of the connection.
pub(super) const fn is_connected(state: State) -> bool {
    match state {
        State::Disconnected | State::Connecting => false,
        State::Sending | State::Synchronized => true,
    }
}

/// Whether the server has not answered an own action.
pub(super) fn is_unanswered(meta: &Meta) -> bool {
    meta.reasons.iter().any(|reason| **reason == *SYNCING)
}

/// Visits the own actions that the server has not confirmed, oldest first.
pub(super) fn walk_unconfirmed<S: Store, O: Observer>(
    log: &Log<S, O>,
    mut visit: impl FnMut(&Entry),
) -> Result<(), LogError<S::Error>> {
    log.walk(&Query::added().oldest_first().after_added(log.synced()?.sent), |entry| {
        if is_unanswered(&entry.meta) {
            visit(entry);
        }
        ControlFlow::Continue(())
    })
}

/// Whether an action is of a subscription. The server is told again what a device wants, so nothing
/// is lost with it.
pub(super) fn is_subscription(meta: &Meta) -> bool {
    meta.indexes.iter().any(|index| **index == *SUBSCRIPTIONS)
}

/// The numbers of own actions that the server has not confirmed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unconfirmed {
    pub(super) actions: usize,
    subscriptions: usize,
}

impl Unconfirmed {
    /// Counts those of a log, after a start.
    pub(super) fn of<S: Store, O: Observer>(log: &Log<S, O>) -> Result<Self, LogError<S::Error>> {
        let mut counted = Self::default();
        walk_unconfirmed(log, |entry| counted.add(&entry.meta))?;
        Ok(counted)
    }

    pub(super) const fn is_empty(self) -> bool {
        self.actions == 0 && self.subscriptions == 0
    }

    fn add(&mut self, meta: &Meta) {
        *self.number(meta) += 1;
    }

    pub(super) fn remove(&mut self, meta: &Meta) {
        *self.number(meta) -= 1;
    }

    fn number(&mut self, meta: &Meta) -> &mut usize {
        if is_subscription(meta) { &mut self.subscriptions } else { &mut self.actions }
    }
}
