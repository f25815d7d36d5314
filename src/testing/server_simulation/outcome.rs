//! Settling a world, and checking all guarantees at the end.

use core::ops::ControlFlow;
use std::collections::BTreeSet;

use super::{Application, Violation, World};
use crate::{
    action::{Action, ActionId},
    store::Query,
};

/// The failures of a device's store are those of writes.
const READABLE: &str = "the store can be read";

/// The largest number of steps of [`World::settle`].
const MAX_STEPS: usize = 100_000;

/// The largest virtual time of [`World::settle`], in milliseconds.
const MAX_MS: u64 = 3_600_000;

impl<A: Application> World<A> {
    /// Ends all failures, executes events until there is no pending work, and checks all
    /// guarantees.
    ///
    /// # Errors
    /// The first [`Violation`].
    pub fn settle(&mut self) -> Result<(), Violation> {
        self.context.failures_ended = true;
        self.context.record(|| "failures end".to_owned());
        for device in 0..self.devices.len() {
            for channel in self.application.channels() {
                // About half of the devices subscribe again to channels that they have left.
                if self.context.random.one_in(2)
                    && self.devices[device].left_channels.remove(&channel)
                {
                    self.subscribe_soon(device, channel);
                }
            }
        }
        if self.server.as_ref().is_some_and(|server| server.handlers.any_hangs()) {
            // An operator restarts a server with handlers that hang.
            self.crash_server();
        }
        let (until, mut steps) = (self.context.now_ms + MAX_MS, 0);
        while self.context.violation.is_none()
            && let Some(pending) = self.pending_work()
        {
            if steps == MAX_STEPS || self.next_event().is_none_or(|next| next > until) {
                self.context.report(Violation::NotSettled(pending));
                break;
            }
            self.step();
            steps += 1;
        }
        if self.context.violation.is_none()
            && let Err(violation) = self.check()
        {
            self.context.report(violation);
        }
        self.context.violation.clone().map_or(Ok(()), Err)
    }

    fn check(&self) -> Result<(), Violation> {
        for (device, id) in &self.acted {
            let unanswered = self.unanswered(*device);
            match self.context.answers.contains_key(id) {
                true => {}
                // The server may not have received it.
                false if self.context.abandoned.contains(id) => {}
                false if unanswered.contains(id) => {
                    return Err(Violation::Unanswered(*device, id.clone()));
                }
                false => return Err(Violation::Lost(*device, id.clone())),
            }
        }
        let mut dropped = self.context.dropped.iter();
        if let Some(id) = dropped.find(|id| self.database.times_processed(id) > 0) {
            return Err(Violation::DroppedAfterSending(id.clone()));
        }
        let is_repeated =
            |(_, times): &(&ActionId, &usize)| self.context.config.inbox && **times > 1;
        if let Some((id, times)) = self.database.processed.iter().find(is_repeated) {
            return Err(Violation::ProcessedTwice(id.clone(), *times));
        }
        for (id, actions) in self
            .context
            .sent_back
            .iter()
            .filter(|(id, _)| self.context.answers.get(id) == Some(&true))
        {
            let has = |action: &&Action| {
                let sent = (id.node().client_id().to_owned(), action.as_json().to_owned());
                self.context.received.contains(&sent)
            };
            if !actions.iter().all(|action| has(&action)) {
                return Err(Violation::NotSentBack(id.clone()));
            }
        }
        for device in 0..self.devices.len() {
            if let Some(id) = self.unanswered(device).pop_first() {
                return Err(Violation::Unanswered(device, id));
            }
        }
        self.check_subscriptions()?;
        let stored = self.application.stored(self.data());
        let is_subscribed = |device: &usize| self.devices[*device].left_channels.is_empty();
        let devices = (0..self.devices.len()).filter(is_subscribed);
        for device in devices.filter(|_| !self.has_lost_effect()) {
            let shown = self.application.shown(self.state(device));
            if shown != stored {
                return Err(Violation::Differs { device, shown, stored });
            }
        }
        self.check_server()
    }

    /// Returns `true` if the application has processed an action that the server's log lost, and
    /// its author too. Only the author, who would send it again, could tell the others.
    fn has_lost_effect(&self) -> bool {
        self.context.abandoned.iter().any(|id| {
            self.database.times_processed(id) > 0 && !self.context.answers.contains_key(id)
        })
    }

    /// Returns the actions of a device that wait for their answers.
    fn unanswered(&self, device: usize) -> BTreeSet<ActionId> {
        self.unanswered_after(device, 0)
    }

    /// Returns the actions of a device that the server has not confirmed.
    pub(super) fn unconfirmed(&self, device: usize) -> BTreeSet<ActionId> {
        let synced = self.devices[device].client().log().synced().expect(READABLE);
        self.unanswered_after(device, synced.sent)
    }

    fn unanswered_after(&self, device: usize, added: u64) -> BTreeSet<ActionId> {
        let mut unanswered = BTreeSet::new();
        let query = Query::added().oldest_first().after_added(added);
        let walked = self.devices[device].client().log().walk(&query, |entry| {
            if entry.meta.reasons.iter().any(|reason| **reason == *"syncing") {
                unanswered.insert(entry.meta.id.clone());
            }
            ControlFlow::Continue(())
        });
        walked.expect(READABLE);
        unanswered
    }

    fn check_subscriptions(&self) -> Result<(), Violation> {
        let clients: Vec<_> = self.server.iter().flat_map(|server| server.hub.clients()).collect();
        for (number, device) in self.devices.iter().enumerate() {
            let client = clients.iter().find(|client| Some(client.session) == device.session);
            for channel in self.application.channels() {
                let is_subscribed =
                    client.is_some_and(|client| client.channels().any(|other| **other == *channel));
                match (is_subscribed, device.left_channels.contains(&channel)) {
                    (false, false) => return Err(Violation::NotSubscribed(number, channel)),
                    (true, true) => return Err(Violation::StillSubscribed(number, channel)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Checks that the hub has no parked actions and no disconnected clients.
    fn check_server(&self) -> Result<(), Violation> {
        let Some(server) = &self.server else { return Ok(()) };
        let stats = server.hub.stats().expect("memory does not fail");
        if stats.parked > 0 || stats.clients != self.devices.len() {
            return Err(Violation::Leaked(format!("{stats:?}")));
        }
        Ok(())
    }
}
