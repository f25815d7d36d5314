//! The open documents and records.

use std::sync::Arc;

use logux::{
    Action,
    client::{Subscription, SubscriptionState},
    store::Store,
};

use super::Driver;
use crate::opening::{DocumentReport, Opening};

impl<St: Store + Send + 'static> Driver<St> {
    pub(super) fn open_timeline(&mut self, opening: Box<dyn Opening>) -> Option<()> {
        let name = opening.name().clone();
        if let Some(key) = opening.document() {
            let tracked = self.machine.track_document(&key);
            self.check(tracked)?;
        }
        if let Some(view) = self.opened.get_mut(&name) {
            opening.join(&mut **view, self.machine.log().observer());
        } else {
            let entries = self.machine.log().entries_of(&name);
            let (entries, last_added) = self.check(entries)?;
            let view = opening.open(self.machine.observer_mut(), &entries, last_added);
            self.opened.insert(name.clone(), view);
            self.publish_steps(&name);
        }
        self.make_requests(&name);
        self.publish_document(&name);
        if let Some(view) = self.opened.get_mut(&name) {
            view.reply();
        }
        self.publish(true);
        Some(())
    }

    pub(super) fn release_timeline(
        &mut self,
        name: &Arc<str>,
        subscription: Option<&Subscription>,
    ) {
        let Some(view) = self.opened.get_mut(name) else { return };
        // The machine may have requested a created document again, and the view not know it yet.
        if self.machine.document_status(name).is_some()
            && let Some(subscription) = subscription
            && let Some(state) = self.machine.subscription_state(subscription)
        {
            view.subscriptions().set(subscription, &state);
        }
        let is_last = view.release(subscription);
        self.make_requests(name);
        if is_last {
            self.opened.remove(name);
            self.machine.close(name);
            self.machine.untrack_document(name);
        }
        self.publish(true);
    }

    /// Makes the requests of all views again, for another user.
    pub(super) fn restart_views(&mut self) {
        let names: Vec<_> = self.opened.keys().cloned().collect();
        for name in names {
            if let Some(view) = self.opened.get_mut(&name) {
                view.subscriptions().restart();
            }
            self.make_requests(&name);
            self.publish_document(&name);
            self.publish_steps(&name);
        }
    }

    /// Makes the requests of an open document, or of open records, to the server.
    fn make_requests(&mut self, name: &Arc<str>) {
        let Some(view) = self.opened.get_mut(name) else { return };
        let made = self.machine.request_needed(self.clock.now(), view.subscriptions());
        view.publish_subscriptions();
        self.check(made);
    }

    /// Publishes what has become of a subscription.
    pub(super) fn subscription_changed(
        &mut self,
        subscription: &Subscription,
        state: &SubscriptionState,
    ) {
        let channel = &*subscription.channel;
        // It may have been requested again since, by another handle or for another user.
        let now = self.machine.subscription_state(subscription);
        if now.is_some_and(|now| now != *state) {
            return;
        }
        if let SubscriptionState::Refused(reason) | SubscriptionState::Ended(reason) = state {
            tracing::warn!(channel, reason, "the server has ended a subscription");
        }
        // The name of a document, and the plural of records, is their channel. The channel of one
        // record begins with its plural.
        let plural = channel.split_once('/').map(|(plural, _)| plural);
        for name in [Some(channel), plural].into_iter().flatten() {
            if let Some(view) = self.opened.get_mut(name) {
                view.subscriptions().set(subscription, state);
                self.make_requests(&name.into());
            }
        }
    }

    /// Handles a received `logux/subscribed`.
    pub(super) fn covered(&mut self, action: &Action) {
        let Some(channel) = action.str_field("channel") else { return };
        let plural = channel.split_once('/').map(|(plural, _)| plural);
        if let Some(view) = plural.and_then(|plural| self.opened.get_mut(plural)) {
            view.subscriptions().cover(&*channel);
        }
    }

    pub(super) fn disconnected(&mut self) {
        self.opened.values_mut().for_each(|view| view.subscriptions().disconnected());
    }

    /// Publishes the states that have changed. `is_own`: only the user has changed them.
    pub(super) fn publish(&mut self, is_own: bool) {
        let timelines = self.machine.observer_mut();
        let changed: Vec<_> = timelines.take_changed().collect();
        while let Some((name, warning)) = timelines.take_warning() {
            tracing::warn!(%name, ?warning, "the log has an action that does not fit");
        }
        for name in changed {
            // Before the state, so that who waits for the state sees both.
            self.publish_steps(&name);
            if let Some(view) = self.opened.get_mut(&name) {
                view.publish(self.machine.log().observer(), is_own);
                self.make_requests(&name);
            }
        }
        let unconfirmed = self.machine.unconfirmed();
        self.reports
            .unconfirmed
            .send_if_modified(|count| core::mem::replace(count, unconfirmed) != unconfirmed);
    }

    /// Publishes what has become of a document.
    pub(super) fn publish_document(&mut self, channel: &Arc<str>) {
        let status = self.machine.document_status(channel);
        let Some((status, view)) = status.zip(self.opened.get_mut(channel)) else { return };
        let access = self.machine.document_access(channel);
        view.set_document(DocumentReport { status, access });
    }

    /// Publishes that the refused edits of a document have changed.
    pub(super) fn refused_changed(&mut self, channel: &str) {
        if let Some(view) = self.opened.get_mut(channel) {
            view.refused_changed();
        }
    }

    /// Publishes whether there are steps of a timeline to undo and to redo.
    pub(super) fn publish_steps(&mut self, timeline: &Arc<str>) {
        let state = self.machine.undo_state(timeline);
        if let Some(state) = self.check(state)
            && let Some(view) = self.opened.get_mut(timeline)
        {
            view.set_undo(state);
        }
    }
}
