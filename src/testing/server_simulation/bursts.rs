//! Bursts of typing: actions that become longer before they are sent.

use std::sync::Arc;

use super::{Application, World, application::Extended, device::Uncommitted};
use crate::action::{Action, ActionId};

impl<A: Application> World<A> {
    /// Adds an action with this id as the begin of a burst, or makes it a part of the open one.
    pub(super) fn type_in_burst(
        &mut self,
        device: usize,
        id: &ActionId,
        action: &Action,
        extended: Extended<A::Reducer>,
    ) {
        let name: Arc<str> = "typing".into();
        let extension = self.call(device, |client, now| {
            client.extend_burst_with(
                now,
                &name,
                |timeline, entry| extended(timeline, entry, action),
                |timeline, entry| timeline.extend_action(entry),
            )
        });
        match extension {
            // The store has failed, and only the extension is lost.
            None => {}
            Some(Some(id)) => {
                self.context.record(|| format!("device {device} extends {id}"));
                self.context.counts.extensions += 1;
                self.drain(device);
            }
            Some(None) => {
                let begun =
                    self.call(device, |client, now| client.begin_burst(now, &name, action.clone()));
                let Some(id) = begun else {
                    self.context.dropped.insert(id.clone());
                    return;
                };
                let json = action.as_json();
                self.context.record(|| format!("device {device} begins {id} with {json}"));
                self.record_fate(&id, action);
                self.devices[device].uncommitted.push(Uncommitted::Acted(id));
                self.drain(device);
            }
        }
    }
}
