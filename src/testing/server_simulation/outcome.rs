//! How a world ends: whether everybody has got what was promised.

use core::ops::ControlFlow;
use std::collections::BTreeSet;

use super::{Application, Broken, World};
use crate::{
    action::{Action, ActionId},
    store::{Query, Store},
};

/// After how many steps without rest something must be wrong.
const MAX_STEPS: usize = 100_000;

/// After how many milliseconds without rest something must be wrong.
const MAX_MS: u64 = 3_600_000;

impl<A: Application> World<A> {
    /// Lets nothing fail any more and everything come to rest, and checks every promise.
    ///
    /// # Errors
    /// [`Broken`] says which promise was broken first.
    pub fn settle(&mut self) -> Result<(), Broken> {
        self.course.is_calm = true;
        self.course.tell(|| "from now on nothing fails".to_owned());
        for device in 0..self.devices.len() {
            for channel in self.application.channels() {
                // Not everybody comes back to it.
                if self.course.chance.once_in(2) && self.devices[device].left.remove(&channel) {
                    self.subscribe_soon(device, channel);
                }
            }
        }
        if self.server.as_ref().is_some_and(|server| server.handlers.hang()) {
            // Somebody has looked, and starts it again.
            self.crash_server();
        }
        let (until, mut steps) = (self.course.ms() + MAX_MS, 0);
        while self.course.broken.is_none()
            && let Some(unrest) = self.unrest()
        {
            if steps == MAX_STEPS || self.next_moment().is_none_or(|next| next > until) {
                self.course.note(Broken::Restless(unrest));
                break;
            }
            self.step();
            steps += 1;
        }
        if self.course.broken.is_none()
            && let Err(broken) = self.check()
        {
            self.course.note(broken);
        }
        self.course.broken.clone().map_or(Ok(()), Err)
    }

    fn check(&self) -> Result<(), Broken> {
        for (device, id) in &self.acted {
            let waits = self.waiting(*device);
            match self.course.answers.contains_key(id) {
                true => {}
                false if waits.contains(id) => return Err(Broken::Unanswered(*device, id.clone())),
                false => return Err(Broken::Lost(*device, id.clone())),
            }
        }
        let again = |(_, times): &(&ActionId, &usize)| self.course.config.inbox && **times > 1;
        if let Some((id, times)) = self.database.done.iter().find(again) {
            return Err(Broken::DoneTwice(id.clone(), *times));
        }
        for (id, actions) in self
            .course
            .sent_back
            .iter()
            .filter(|(id, _)| self.course.answers.get(id) == Some(&true))
        {
            let has = |action: &&Action| {
                let sent = (id.node().client_id().to_owned(), action.as_json().to_owned());
                self.course.got.contains(&sent)
            };
            if !actions.iter().all(|action| has(&action)) {
                return Err(Broken::NotSentBack(id.clone()));
            }
        }
        for device in 0..self.devices.len() {
            if let Some(id) = self.waiting(device).pop_first() {
                return Err(Broken::Unanswered(device, id));
            }
        }
        self.check_subscriptions()?;
        let stored = self.application.stored(self.data());
        for device in (0..self.devices.len()).filter(|device| self.devices[*device].left.is_empty())
        {
            let seen = self.application.seen(self.state(device));
            if seen != stored {
                return Err(Broken::Differs { device, seen, stored });
            }
        }
        self.check_server()
    }

    /// The actions of a device that it knows to be without an answer.
    fn waiting(&self, device: usize) -> BTreeSet<ActionId> {
        let mut waiting = BTreeSet::new();
        let Ok(()) =
            self.devices[device].client().log().store().walk(&Query::added(), &mut |entry| {
                if entry.meta.reasons.iter().any(|reason| **reason == *"syncing") {
                    waiting.insert(entry.meta.id.clone());
                }
                ControlFlow::Continue(())
            });
        waiting
    }

    fn check_subscriptions(&self) -> Result<(), Broken> {
        let clients: Vec<_> = self.server.iter().flat_map(|server| server.hub.clients()).collect();
        for (number, device) in self.devices.iter().enumerate() {
            let client = clients.iter().find(|client| Some(client.session) == device.session);
            for channel in self.application.channels() {
                let is_subscribed =
                    client.is_some_and(|client| client.channels().any(|other| **other == *channel));
                match (is_subscribed, device.left.contains(&channel)) {
                    (false, false) => return Err(Broken::NotSubscribed(number, channel)),
                    (true, true) => return Err(Broken::StillSubscribed(number, channel)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Nothing is left behind in the server but what it remembers.
    fn check_server(&self) -> Result<(), Broken> {
        let Some(server) = &self.server else { return Ok(()) };
        let census = server.hub.stats().expect("memory does not fail");
        if census.parked > 0 || census.clients != self.devices.len() {
            return Err(Broken::LeftBehind(format!("{census:?}")));
        }
        Ok(())
    }
}
