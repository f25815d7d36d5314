//! Undo and redo by users, also of what their devices have not sent yet.

use super::{Application, World, device::Uncommitted};
use crate::{action::ActionId, client::UndoOutcome};

impl<A: Application> World<A> {
    /// Undoes an action on a device. One in three times, the device redoes its last undo instead.
    pub(super) fn undo(&mut self, device: usize, target: ActionId) {
        let random = &mut self.context.random;
        let last = self.devices[device].last_undo.take_if(|_| random.one_in(3));
        let target = last.unwrap_or(target);
        let undone = self.call(device, |client, now| client.undo(now, &target, "undo"));
        let Some(outcome) = undone else { return };
        match outcome {
            UndoOutcome::Dropped(_) => {
                self.context.record(|| format!("device {device} drops {target}"));
                self.context.counts.dropped += 1;
                self.devices[device].uncommitted.push(Uncommitted::Dropped(target));
            }
            UndoOutcome::Added(id) => {
                self.context.record(|| format!("device {device} undoes {target} by {id}"));
                let this = &mut self.devices[device];
                this.last_undo = Some(id.clone());
                if let Ok(Some(undo)) = this.client().log().by_id(&id) {
                    self.record_fate(&id, &undo.action);
                }
                self.devices[device].uncommitted.push(Uncommitted::Acted(id));
            }
        }
        self.drain(device);
    }
}
