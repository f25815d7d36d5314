//! The actions of the application, and their undo.

use std::sync::Arc;

use logux::{
    Action, ActionId,
    action::{DocumentKey, DocumentVerb, logux::Undo},
    log::Draft,
    replay::RevertedStep,
    store::Store,
};
use tokio::sync::oneshot;

use super::Driver;
use crate::{PendingAction, SyncError};

/// The largest action that is sent, in bytes: it fits into the largest message of a server with the
/// default limits. Servers undo smaller ones if they are too large.
const MAX_ACTION: usize = 60 * 1024 * 1024;

/// Where an action is an edit.
#[derive(Clone, Copy)]
pub(crate) struct Edit<'a> {
    /// The name of the timeline.
    pub(crate) timeline: &'a Arc<str>,
    pub(crate) kind: EditKind,
}

/// What an edit of a timeline is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum EditKind {
    /// A part of a step of undo.
    Step,
    /// As `Step`, and it may be a part of the action of the edit before it.
    InBurst,
    /// The creation of a document, which is not undone with other edits.
    Creation,
}

/// A change of the steps of undo and redo.
pub(crate) enum StepChange {
    Undo,
    Redo,
    /// Undoes these actions as one step.
    Actions(Vec<ActionId>),
    /// Ends the current step.
    Close,
}

/// What a change of the steps has done.
pub(crate) enum StepResult {
    /// A step was undone or redone. `None`: there was none.
    Reverted(Option<RevertedStep>),
    /// This number of actions was undone.
    Undone(usize),
    Closed,
}

impl<St: Store + Send + 'static> Driver<St> {
    /// Adds an own action, as an edit of a timeline or not.
    pub(super) fn sync_action(
        &mut self,
        edit: Option<Edit<'_>>,
        action: Action,
        draft: Draft,
    ) -> PendingAction {
        let now = self.clock.now();
        let next_id = draft.id.clone().unwrap_or_else(|| self.machine.next_id(now.wall));
        if action.as_json().len() > self.max_action() {
            // The message would end the connection, each time again.
            let undo = Undo {
                id: next_id.to_string(),
                reason: "tooLarge".to_owned(),
                action: Some(action),
                extra: Vec::new(),
            };
            return PendingAction::decided(next_id, Err(SyncError::Undone(Box::new(undo))));
        }
        // Who creates or deletes a document sees that at once.
        let document = DocumentKey::of(&action).filter(|(_, verb)| *verb != DocumentVerb::Edit);
        let document = document.map(|(key, _)| key);
        let synced = match edit {
            Some(Edit { timeline, kind: EditKind::InBurst }) => {
                self.machine.edit_in_burst(now, timeline, action)
            }
            Some(Edit { timeline, kind: EditKind::Step }) => {
                self.machine.edit(now, timeline, action)
            }
            Some(Edit { kind: EditKind::Creation, .. }) | None => {
                self.machine.sync_with(now, action, draft)
            }
        };
        self.publish(true);
        if let Some(document) = document {
            self.publish_document(document.channel());
        }
        match self.check(synced) {
            Some(id) => self.pending(id),
            None => {
                let reason = self.end.clone().unwrap_or_default();
                PendingAction::decided(next_id, Err(SyncError::Stopped(reason)))
            }
        }
    }

    /// Returns the result of an own action.
    pub(super) fn pending(&mut self, id: ActionId) -> PendingAction {
        let ((keep, kept), (decide, answer)) = (oneshot::channel(), oneshot::channel());
        self.uncommitted.push(keep);
        match &self.stopped {
            None => {
                self.forget_dropped();
                self.waiting.entry(id.clone()).or_default().push(decide);
            }
            Some(reason) => drop(decide.send(Err(SyncError::Stopped(reason.clone())))),
        }
        PendingAction::new(id, kept, answer)
    }

    /// Forgets the results that nobody waits for, before their map would grow: an application may
    /// add any number of actions without a connection, and drop their results.
    fn forget_dropped(&mut self) {
        if self.waiting.len() < self.waiting.capacity() {
            return;
        }
        self.waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        if self.waiting.len() > self.waiting.capacity() / 2 {
            self.waiting.reserve(self.waiting.len());
        }
    }

    /// Returns the largest action that can be sent, in bytes: encryption may add a third.
    const fn max_action(&self) -> usize {
        if self.encryption.is_some() { MAX_ACTION / 4 * 3 } else { MAX_ACTION }
    }

    /// Changes the steps of undo and redo of a timeline.
    pub(super) fn change_steps(
        &mut self,
        timeline: &Arc<str>,
        change: StepChange,
    ) -> Option<StepResult> {
        let now = self.clock.now();
        let changed = match change {
            StepChange::Undo => self.machine.undo_step(now, timeline).map(StepResult::Reverted),
            StepChange::Redo => self.machine.redo_step(now, timeline).map(StepResult::Reverted),
            StepChange::Actions(ids) => {
                self.machine.undo_actions(now, timeline, &ids).map(StepResult::Undone)
            }
            StepChange::Close => {
                self.machine.close_step(now, timeline).map(|()| StepResult::Closed)
            }
        };
        let changed = self.check(changed);
        self.publish_steps(timeline);
        self.publish(true);
        changed
    }

    pub(super) fn resolve(&mut self, id: &ActionId, answer: &Result<(), SyncError>) {
        for waiting in self.waiting.remove(id).into_iter().flatten() {
            let _ = waiting.send(answer.clone());
        }
    }

    /// Fails all that waits for the server.
    pub(super) fn fail_answers(&mut self, error: &SyncError) {
        for sender in self.waiting.drain().flat_map(|(_, senders)| senders) {
            let _ = sender.send(Err(error.clone()));
        }
    }

    /// Fails all that waits for the server or a commit.
    pub(super) fn fail_waiting(&mut self, error: &SyncError) {
        self.fail_answers(error);
        for sender in self.uncommitted.drain(..) {
            let _ = sender.send(Err(error.clone()));
        }
    }
}

#[cfg(test)]
mod tests {
    use logux::{MemoryStore, NodeId, client, log::Draft, replay::TimelineSet, sync};
    use logux_net::drive::Clock;

    use super::*;
    use crate::{driver::Commands as _, shared::Reports};

    #[tokio::test]
    async fn dropped_results_are_forgotten() {
        let node = NodeId::new("10:phone:1").expect("a node id");
        let reports = Reports::new(node.clone(), 1);
        let config = client::Config { node: sync::Config::client(node).into(), token: None };
        let machine =
            client::Client::with_observer(config, MemoryStore::new(), TimelineSet::default());
        let clock = Clock::start();
        let mut driver = Driver::new(machine.expect("memory"), clock, reports, None, None);
        let mut add = || {
            let note = Action::new(r#"{"type":"note"}"#).expect("an action");
            driver.sync(note, Draft::default())
        };
        let awaited: Vec<_> = (0..100).map(|_| add()).collect();
        (0..10_000).for_each(|_| drop(add()));
        assert!(driver.waiting.len() < 1_000, "{} results are kept", driver.waiting.len());
        assert!(awaited.iter().all(|action| driver.waiting.contains_key(action.id())));
    }
}
