//! The owner of a client's machine: what the handles and the task do with it, without waiting.
//!
//! `Commands` lists what they may call; `actions.rs` has the actions and their undo, `views.rs` the
//! open documents and records, `outputs.rs` what the machine outputs.

mod actions;
mod outputs;
mod views;

use core::ops::ControlFlow;
use std::{collections::HashMap, sync::Arc};

use logux::{
    Action, ActionId, Entry, Json, NodeId,
    action::logux::Undo,
    client::{
        Client as ClientMachine, Fate, Input, RefusedEdit, Secret, Subscription, SubscriptionState,
        UndoOutcome,
    },
    log::{Draft, LogError},
    replay::TimelineSet,
    store::{Criteria, Query, Store},
};
use logux_net::drive::Clock;

pub(crate) use self::{
    actions::{Edit, EditKind, StepChange, StepResult},
    outputs::Turn,
};
use crate::{
    Encryption, PendingAction, SyncError,
    opening::{Opening, View},
    pending_action::{ResultReceiver, ResultSender},
    shared::{End, Reports},
    token_source::TokenSource,
};

/// Makes an action from the state of a timeline and the id of the new action. Called once.
pub(crate) type Make<'a> = dyn FnMut(&TimelineSet, &ActionId) -> Option<Action> + 'a;

/// What the handles of a client, and its task, do with the machine. Nothing waits. `None`: the
/// store has failed, and the client is about to end.
pub(crate) trait Commands: Send {
    fn sync(&mut self, action: Action, draft: Draft) -> PendingAction;
    fn edit(&mut self, edit: Edit<'_>, make: &mut Make<'_>) -> PendingAction;
    fn add(&mut self, action: Action, draft: Draft) -> Option<Option<Entry>>;
    fn undo(&mut self, id: &ActionId, reason: &str) -> Option<UndoOutcome<PendingAction>>;
    fn step(&mut self, timeline: &Arc<str>, change: StepChange) -> Option<StepResult>;
    fn select(&mut self, timeline: &Arc<str>, selection: Option<Json>);
    fn set_presence(&mut self, channel: &Arc<str>, state: Option<Json>) -> Option<()>;
    fn presence(&self, channel: &str) -> Vec<(NodeId, Json)>;
    /// Returns the result of the next commit.
    fn when_kept(&mut self) -> ResultReceiver;

    fn open(&mut self, opening: Box<dyn Opening>) -> Option<()>;
    fn release(&mut self, name: &Arc<str>, subscription: Option<&Subscription>);
    fn timelines(&self) -> &TimelineSet;

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), String>;
    fn remove_reason(&mut self, reason: &str, criteria: &Criteria) -> Option<()>;
    fn fate(&self, id: &ActionId) -> Result<Option<Fate>, String>;
    fn subscriptions(&self) -> Vec<(Subscription, SubscriptionState)>;
    fn unconfirmed_actions(&self) -> Result<Vec<Entry>, String>;

    fn refused_edits(&self, channel: &str) -> Result<Vec<RefusedEdit>, String>;
    fn forget_refused(&mut self, channel: &str, id: Option<&ActionId>) -> Option<()>;

    fn resume(&mut self);
    fn pause(&mut self);
    fn set_headers(&mut self, headers: Json) -> Option<()>;
    fn set_token(&mut self, token: String);
    fn change_user(&mut self, node: NodeId, token: Option<String>) -> Option<Vec<Entry>>;
    fn clean(&mut self) -> Option<Vec<Entry>>;
    fn is_encrypted(&self) -> bool;
    /// Makes the task end with this reason.
    fn close(&mut self, reason: &str);
    /// Returns `true` if the task is about to end.
    fn is_ending(&self) -> bool;
    /// Fails all actions that wait for the server.
    fn stop(&mut self, reason: &str);

    /// Passes an input to the machine.
    fn handle(&mut self, input: Input<'_>);
    /// Returns `true` if frames may be handled before the next turn.
    fn wants_frames(&self) -> bool;
    /// Makes everything durable so far, and tells who waits for it.
    fn commit(&mut self);
    /// Commits, and returns what the task has to do.
    fn turn(&mut self) -> Turn;
    /// Returns where the token for the next connection comes from, if it changes.
    fn token_source(&self) -> Option<TokenSource>;
    /// Sets the token of the source, unless the application has set another one since.
    fn use_token(&mut self, token: String);
}

/// The machine of a client, with what waits for it.
pub(crate) struct Driver<St> {
    machine: ClientMachine<St, TimelineSet>,
    clock: Clock,
    reports: Reports,
    encryption: Option<Encryption>,
    token_source: Option<TokenSource>,
    /// The open documents and records, by name.
    opened: HashMap<Arc<str>, Box<dyn View>>,
    /// Who waits for the answers to actions: for one that was typed in a burst, the edits.
    waiting: HashMap<ActionId, Vec<ResultSender>>,
    /// Who waits for the next commit.
    uncommitted: Vec<ResultSender>,
    /// Why there are no more attempts to connect.
    stopped: Option<String>,
    /// Why the client ends.
    end: Option<String>,
    /// Whether the store has failed.
    has_failed: bool,
}

impl<St: Store + Send + 'static> Driver<St> {
    pub(crate) fn new(
        machine: ClientMachine<St, TimelineSet>,
        clock: Clock,
        reports: Reports,
        encryption: Option<Encryption>,
        token_source: Option<TokenSource>,
    ) -> Self {
        let mut driver = Self {
            machine,
            clock,
            reports,
            encryption,
            token_source,
            opened: HashMap::new(),
            waiting: HashMap::new(),
            uncommitted: Vec::new(),
            stopped: None,
            end: None,
            has_failed: false,
        };
        driver.reports.status.send_replace(driver.machine.status());
        driver.publish(true);
        driver
    }

    /// Returns a result of the machine. After an error of the store, the client ends.
    fn check<T>(&mut self, result: Result<T, LogError<St::Error>>) -> Option<T> {
        let failed = |error: LogError<St::Error>| {
            self.has_failed = true;
            self.end_with(error.to_string());
        };
        result.map_err(failed).ok()
    }

    fn end_with(&mut self, reason: String) {
        // Before the results that wait are dropped, so that their error has the reason.
        self.reports.end.send_replace(End::Stopped(reason.clone()));
        self.end = Some(reason);
    }
}

fn text<T, E: std::error::Error>(result: Result<T, LogError<E>>) -> Result<T, String> {
    result.map_err(|error| error.to_string())
}

impl<St: Store + Send + 'static> Commands for Driver<St> {
    fn sync(&mut self, action: Action, draft: Draft) -> PendingAction {
        self.sync_action(None, action, draft)
    }

    fn edit(&mut self, edit: Edit<'_>, make: &mut Make<'_>) -> PendingAction {
        let id = self.machine.next_id(self.clock.now().wall);
        let Some(action) = make(self.machine.log().observer(), &id) else {
            return PendingAction::decided(id, Ok(()));
        };
        let refusal = self.machine.edit_refusal(edit.timeline);
        match refusal.filter(|_| edit.kind != EditKind::Creation) {
            None => self.sync_action(Some(edit), action, Draft::default()),
            Some(reason) => {
                // The server would say the same later.
                let (reason, action) = (reason.to_owned(), Some(action));
                let undo = Undo { id: id.to_string(), reason, action, extra: Vec::new() };
                PendingAction::decided(id, Err(SyncError::Undone(Box::new(undo))))
            }
        }
    }

    fn add(&mut self, action: Action, draft: Draft) -> Option<Option<Entry>> {
        let added = self.machine.add(self.clock.now(), action, draft);
        self.publish(true);
        self.check(added)
    }

    fn undo(&mut self, id: &ActionId, reason: &str) -> Option<UndoOutcome<PendingAction>> {
        let undone = self.machine.undo(self.clock.now(), id, reason);
        self.publish(true);
        let outcome = self.check(undone)?;
        Some(outcome.map(|undo| self.pending(undo)))
    }

    fn step(&mut self, timeline: &Arc<str>, change: StepChange) -> Option<StepResult> {
        self.change_steps(timeline, change)
    }

    fn select(&mut self, timeline: &Arc<str>, selection: Option<Json>) {
        let selected = self.machine.select(timeline, selection);
        self.check(selected);
    }

    fn set_presence(&mut self, channel: &Arc<str>, state: Option<Json>) -> Option<()> {
        let set = self.machine.set_presence(self.clock.now(), channel.clone(), state);
        self.check(set)
    }

    fn presence(&self, channel: &str) -> Vec<(NodeId, Json)> {
        let states = self.machine.presence(channel);
        states.map(|(node, state)| (node.clone(), state.clone())).collect()
    }

    fn when_kept(&mut self) -> ResultReceiver {
        let (sender, kept) = tokio::sync::oneshot::channel();
        self.uncommitted.push(sender);
        kept
    }

    fn open(&mut self, opening: Box<dyn Opening>) -> Option<()> {
        self.open_timeline(opening)
    }

    fn release(&mut self, name: &Arc<str>, subscription: Option<&Subscription>) {
        self.release_timeline(name, subscription);
    }

    fn timelines(&self) -> &TimelineSet {
        self.machine.log().observer()
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), String> {
        text(self.machine.log().walk(query, visit))
    }

    fn remove_reason(&mut self, reason: &str, criteria: &Criteria) -> Option<()> {
        let removed = self.machine.remove_reason(reason, criteria);
        self.publish(true);
        self.check(removed)
    }

    fn fate(&self, id: &ActionId) -> Result<Option<Fate>, String> {
        text(self.machine.fate(id))
    }

    fn subscriptions(&self) -> Vec<(Subscription, SubscriptionState)> {
        let subscriptions = self.machine.subscriptions();
        subscriptions.map(|(subscription, state)| (subscription.clone(), state)).collect()
    }

    fn unconfirmed_actions(&self) -> Result<Vec<Entry>, String> {
        text(self.machine.unconfirmed_actions())
    }

    fn refused_edits(&self, channel: &str) -> Result<Vec<RefusedEdit>, String> {
        text(self.machine.refused_edits(channel))
    }

    fn forget_refused(&mut self, channel: &str, id: Option<&ActionId>) -> Option<()> {
        let forgotten = self.machine.forget_refused(channel, id);
        self.check(forgotten)?;
        self.refused_changed(channel);
        Some(())
    }

    fn resume(&mut self) {
        self.stopped = None;
        self.reports.end.send_replace(End::Running);
        self.machine.resume(self.clock.now());
    }

    fn pause(&mut self) {
        // What was typed last is sent before.
        let closed = self.machine.close_burst(self.clock.now());
        self.check(closed);
        self.machine.pause(self.clock.now());
    }

    fn set_headers(&mut self, headers: Json) -> Option<()> {
        let set = self.machine.set_headers(self.clock.now(), headers);
        self.check(set)
    }

    fn set_token(&mut self, token: String) {
        self.token_source = None;
        self.machine.set_token(Some(Secret(token)));
        if self.stopped.is_some() {
            self.resume();
        }
    }

    fn change_user(&mut self, node: NodeId, token: Option<String>) -> Option<Vec<Entry>> {
        self.fail_waiting(&SyncError::UserChanged);
        if token.is_some() {
            self.token_source = None;
        }
        let token = token.map(Secret);
        let changed = self.machine.change_user(self.clock.now(), &node, token);
        let left = self.check(changed)?;
        self.reports.node.send_replace(node);
        self.stopped = None;
        self.reports.end.send_replace(End::Running);
        self.restart_views();
        self.publish(true);
        Some(left)
    }

    fn clean(&mut self) -> Option<Vec<Entry>> {
        self.fail_waiting(&SyncError::UserChanged);
        let cleaned = self.machine.clean(self.clock.now());
        self.publish(true);
        self.check(cleaned)
    }

    fn is_encrypted(&self) -> bool {
        self.encryption.is_some()
    }

    fn close(&mut self, reason: &str) {
        if self.end.is_none() {
            // What was typed last is sent before the end.
            let closed = self.machine.close_burst(self.clock.now());
            self.check(closed);
            self.end_with(reason.to_owned());
        }
    }

    fn is_ending(&self) -> bool {
        self.end.is_some()
    }

    fn stop(&mut self, reason: &str) {
        self.fail_waiting(&SyncError::Stopped(reason.to_owned()));
    }

    fn handle(&mut self, input: Input<'_>) {
        self.pass(input);
    }

    fn wants_frames(&self) -> bool {
        self.machine.wants_frames() && !self.has_failed && self.end.is_none()
    }

    fn commit(&mut self) {
        self.commit_all();
    }

    fn turn(&mut self) -> Turn {
        self.take_turn()
    }

    fn token_source(&self) -> Option<TokenSource> {
        self.token_source.clone()
    }

    fn use_token(&mut self, token: String) {
        if self.token_source.is_none() {
            return;
        }
        self.machine.set_token(Some(Secret(token)));
    }
}
