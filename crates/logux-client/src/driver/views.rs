//! The open documents and records.

use std::sync::Arc;

use logux::store::Store;

use super::Driver;
use crate::opening::{Opening, Request};

impl<St: Store + Send + 'static> Driver<St> {
    pub(super) fn open_timeline(&mut self, opening: Box<dyn Opening>) -> Option<()> {
        let name = opening.name().clone();
        if let Some(view) = self.opened.get_mut(&name) {
            opening.join(&mut **view);
        } else {
            let entries = self.machine.log().entries_of(&name);
            let (entries, last_added) = self.check(entries)?;
            let view = opening.open(self.machine.observer_mut(), &entries, last_added);
            self.opened.insert(name.clone(), view);
            self.publish_steps(&name);
        }
        self.make_requests(&name);
        if let Some(view) = self.opened.get_mut(&name) {
            view.reply();
        }
        self.publish();
        Some(())
    }

    pub(super) fn release_timeline(&mut self, name: &Arc<str>) {
        let Some(view) = self.opened.get_mut(name) else { return };
        let is_last = view.release();
        self.make_requests(name);
        if is_last {
            self.opened.remove(name);
            self.machine.close(name);
        }
        self.publish();
    }

    /// Makes the requests of all views again, for another user.
    pub(super) fn restart_views(&mut self) {
        let names: Vec<_> = self.opened.keys().cloned().collect();
        for name in names {
            if let Some(view) = self.opened.get_mut(&name) {
                view.restart();
            }
            self.make_requests(&name);
            self.publish_steps(&name);
        }
    }

    /// Makes the requests of an open document, or of open records, to the server.
    fn make_requests(&mut self, name: &Arc<str>) {
        let Some(mut view) = self.opened.remove(name) else { return };
        while let Some(request) = view.next_request() {
            let now = self.clock.now();
            match request {
                Request::Subscribe(subscription) => {
                    // The channels and filters of handles can be written as JSON.
                    let asked = self.machine.subscribe_kept(now, &subscription).map(drop);
                    self.check(asked);
                    // The application may have subscribed to the same before.
                    if let Some(state) = self.machine.subscription_state(&subscription) {
                        view.subscription_changed(&subscription, &state);
                    }
                }
                Request::Unsubscribe(subscription) => {
                    let Ok(action) = subscription.unsubscribe() else { continue };
                    let left = self.machine.sync(now, action);
                    self.check(left);
                }
            }
        }
        self.opened.insert(name.clone(), view);
    }

    /// Publishes the states that have changed.
    pub(super) fn publish(&mut self) {
        let timelines = self.machine.observer_mut();
        let changed: Vec<_> = timelines.take_changed().collect();
        while let Some((name, warning)) = timelines.take_warning() {
            tracing::warn!(%name, ?warning, "the log has an action that does not fit");
        }
        for name in changed {
            // Before the state, so that who waits for the state sees both.
            self.publish_steps(&name);
            if let Some(view) = self.opened.get_mut(&name) {
                view.publish(self.machine.log().observer());
            }
        }
        let unconfirmed = self.machine.unconfirmed();
        self.reports
            .unconfirmed
            .send_if_modified(|count| core::mem::replace(count, unconfirmed) != unconfirmed);
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
