//! A document, or records, that a running client keeps up to date.

use core::fmt;
use std::sync::Arc;

use logux::{
    Action, ActionId, Json, Stamp,
    action::logux::Undo,
    client::{DocumentStatus, Subscription, SubscriptionState, UndoState},
    crdt::{Crdt, Shared as SharedDocument},
    replay::{NamedReducer, Timeline, TimelineSet},
};
use tokio::sync::watch;

use crate::{
    Client, PendingAction, Presence, SyncError,
    driver::{Edit, EditKind, StepChange, StepResult},
    opening::{DocumentReport, Receivers, Shown},
    schemas::Check,
};

/// A handle of an open document, or of open records: [`Client::document`], [`Client::records`].
/// Clones share the state. With the last clone, the document closes and its subscription ends; its
/// actions stay in the client's log.
///
/// The user's own actions take effect immediately, also without a connection. Actions of other
/// clients are applied at their position in the history, and actions that the server refuses are
/// undone.
pub struct DocumentHandle<R: NamedReducer> {
    client: Client,
    shown: watch::Receiver<Shown<R::State>>,
    /// `None` without a subscription.
    subscription: Option<watch::Receiver<SubscriptionState>>,
    lease: Arc<Lease>,
    /// The check of edits against a schema.
    check: Option<Check<R>>,
}

/// Releases a document when its last handle is dropped.
struct Lease {
    client: Client,
    name: Arc<str>,
    /// The kind of a document.
    kind: Option<Arc<str>>,
    subscription: Option<Subscription>,
}

impl Lease {
    /// Whether the handle is of a document of the server.
    fn is_tracked(&self) -> bool {
        let whole = self.kind.is_some().then(|| Subscription::to(&*self.name));
        whole.is_some() && self.subscription == whole
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.client.release(&self.name, self.subscription.as_ref());
    }
}

impl<R> DocumentHandle<R>
where
    R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    pub(crate) fn new(
        client: Client,
        name: Arc<str>,
        kind: Option<Arc<str>>,
        needed: Option<Subscription>,
        Receivers { shown, subscription }: Receivers<R::State>,
    ) -> Self {
        let lease = Lease { client: client.clone(), name, kind, subscription: needed };
        Self { client, shown, subscription, lease: Arc::new(lease), check: None }
    }

    /// Sets the check of edits against a schema.
    pub(crate) fn with_check(self, check: Option<Check<R>>) -> Self {
        Self { check, ..self }
    }

    /// Returns the client, to undo and to add other actions.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the current state.
    pub fn state(&self) -> R::State {
        self.shown.borrow().state.clone()
    }

    /// Returns what has become of the subscription: loading, subscribed, refused or ended, the
    /// latter two with the server's reason. `None` if it has none: [`Client::open`].
    ///
    /// What the log of this device has is in the [`state`](Self::state) at once, so there may be a
    /// state while the subscription is loading. Without a connection, it is loading until there is
    /// one. After a refusal, opening the document again asks the server again.
    pub fn subscription(&self) -> Option<SubscriptionState> {
        self.subscription.as_ref().map(|state| state.borrow().clone())
    }

    /// Waits until the server has sent what it has. Returns at once without a subscription. A
    /// document that the server does not know is no error: its [`status`] is
    /// [`Missing`](DocumentStatus::Missing), and it can be created.
    ///
    /// [`status`]: DocumentHandle::status
    ///
    /// # Errors
    /// [`SyncError::NotSubscribed`] if the server refuses the subscription, or has ended it, or the
    /// document was deleted; [`SyncError::Stopped`] if the client stops before.
    pub async fn loaded(&self) -> Result<(), SyncError> {
        use SubscriptionState::{Ended, Loading, Refused};
        if self.lease.is_tracked() {
            return self.document_loaded().await;
        }
        let Some(mut subscription) = self.subscription.clone() else { return Ok(()) };
        let decided = tokio::select! {
            biased;
            decided = subscription.wait_for(|state| *state != Loading) => {
                decided.map(|state| state.clone())
            }
            () = self.client.stops() => return Err(self.client.stopped()),
        };
        match decided {
            Ok(Refused(reason) | Ended(reason)) => Err(self.not_subscribed(reason)),
            Ok(_) => Ok(()),
            Err(_) => Err(self.client.stopped()),
        }
    }

    /// Waits until the server has answered about a document.
    async fn document_loaded(&self) -> Result<(), SyncError> {
        use DocumentStatus::{Closed, Deleted, Loading, Missing, ReadOnly, Ready};
        let mut shown = self.shown.clone();
        let status = tokio::select! {
            biased;
            shown = shown.wait_for(|shown| shown.document.status != Loading) => {
                shown.map(|shown| shown.document.status.clone())
            }
            () = self.client.stops() => return Err(self.client.stopped()),
        };
        let said = match self.subscription() {
            Some(SubscriptionState::Refused(reason) | SubscriptionState::Ended(reason)) => {
                Some(reason)
            }
            _ => None,
        };
        match status {
            Ok(Ready | ReadOnly | Missing) => Ok(()),
            Ok(Closed(reason)) => Err(self.not_subscribed(reason)),
            Ok(Deleted) => Err(self.not_subscribed("deleted".to_owned())),
            Ok(_) => Err(self.not_subscribed(said.unwrap_or_else(|| "denied".to_owned()))),
            Err(_) => Err(self.client.stopped()),
        }
    }

    fn not_subscribed(&self, reason: String) -> SyncError {
        let needed = self.lease.subscription.as_ref();
        let channel = needed.map(|needed| needed.channel.clone()).unwrap_or_default();
        SyncError::NotSubscribed { channel, reason }
    }

    /// Returns who has the document open. For records, see [`Client::presence`].
    pub fn presence(&self) -> Presence {
        self.client.presence(self.lease.name.clone())
    }

    /// Waits until the state, the [`subscription`](Self::subscription), the steps of undo, or, of a
    /// document, the [`status`](DocumentHandle::status), what the user may do or the refused edits
    /// have changed since the last call. Returns `false` when the client has stopped.
    pub async fn changed(&mut self) -> bool {
        let Some(subscription) = &mut self.subscription else {
            return self.shown.changed().await.is_ok();
        };
        tokio::select! {
            changed = self.shown.changed() => changed.is_ok(),
            changed = subscription.changed() => changed.is_ok(),
        }
    }

    /// Waits until the state fulfils a condition and returns it; `None` when the client has
    /// stopped.
    pub async fn until(&mut self, mut wanted: impl FnMut(&R::State) -> bool) -> Option<R::State> {
        let shown = self.shown.wait_for(|shown| wanted(&shown.state)).await;
        shown.ok().map(|shown| shown.state.clone())
    }

    /// Returns the positions of the actions in effect that are not settled, in the order of time,
    /// with their authors: `stamp.id().node().user_id()`. An undo is not one of them: it changes
    /// whether its action is in effect. O(number of actions).
    ///
    /// ```no_run
    /// use logux::crdt::Document;
    /// # use logux_client::{Client, SyncError};
    ///
    /// # async fn run(client: Client) -> Result<(), SyncError> {
    /// let note = client.document::<Document>("notes", "7").await?;
    /// for stamp in note.history().await? {
    ///     println!("{}: {:?}", stamp.id(), note.state_at(&stamp).await?);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn history(&self) -> Result<Vec<Stamp>, SyncError> {
        self.timeline(|timeline| {
            let in_effect = timeline.history().filter(|(_, is_in_effect)| *is_in_effect);
            in_effect.map(|(stamp, _)| stamp.clone()).collect()
        })
        .await
    }

    /// Computes the state right after a position in the [`history`](Self::history), from the
    /// actions known now: an action that arrives late, or an undo, changes it. Applies at most
    /// 4,096 actions, or twice that after late ones.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn state_at(&self, stamp: &Stamp) -> Result<R::State, SyncError> {
        let stamp = stamp.clone();
        self.timeline(move |timeline| timeline.state_at(&stamp)).await
    }

    /// Computes something from the timeline, such as the preview of an undo
    /// ([`Timeline::state_without`]) or the edits of an author ([`Timeline::actions_by`]). The
    /// client does nothing else in the meantime.
    ///
    /// # Errors
    /// As [`history`](Self::history).
    pub async fn timeline<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Timeline<R>) -> T + Send + 'static,
    ) -> Result<T, SyncError> {
        let name = &self.lease.name;
        let result = self.client.read(|timelines| timelines.timeline::<R>(name).map(read))?;
        // A document is open as long as it has a handle.
        result.ok_or_else(|| SyncError::Stopped(format!("{name} is closed")))
    }

    /// Adds the action that `make` returns for the current state and the id of the new action, if
    /// any. The state includes it when this returns. As a future, the result waits until the server
    /// has processed the action; without an action, it is processed at once, and no action has its
    /// id. `make` must not call a method of the client.
    ///
    /// An edit of a document that the server is sure to refuse is not added: the user may not edit
    /// the document, or there is none, and the server has said so in this connection
    /// ([`status`](DocumentHandle::status)). Without a connection, edits are kept. An edit that the
    /// [schema](crate::Builder::schema) of the document forbids is never added.
    ///
    /// # Errors
    /// As [`Client::sync`]; an undone action is no longer part of the state.
    pub fn edit(&self, make: impl FnOnce(&R::State, &ActionId) -> Option<Action>) -> PendingAction {
        self.edit_as(EditKind::Step, make)
    }

    /// Adds an action.
    pub(crate) fn edit_as(
        &self,
        kind: EditKind,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action>,
    ) -> PendingAction {
        let name = &self.lease.name;
        let mut make = Some(make);
        let edit = Edit { timeline: name, kind };
        let mut refusal = None;
        let pending = self.client.edit(edit, &mut |timelines: &TimelineSet, id: &ActionId| {
            let state = timelines.timeline::<R>(name)?.state();
            let action = make.take().and_then(|make| make(state, id))?;
            if let Some(check) = &self.check
                && let Err(violation) = check(state, &action, id)
            {
                refusal = Some(violation.undo(id, Some(action)));
                return None;
            }
            Some(action)
        });
        match refusal {
            None => pending,
            Some(undo) => {
                let error = SyncError::Undone(Box::new(undo));
                PendingAction::decided(pending.id().clone(), Err(error))
            }
        }
    }

    /// Returns the channel of a document, or the plural of records.
    pub(crate) fn name(&self) -> &str {
        &self.lease.name
    }

    /// Returns the result of an edit that is not an action: it is undone for a reason, and was not
    /// added.
    pub(crate) fn refused(&self, reason: &str) -> PendingAction {
        let unused = self.client.unused_id();
        let undo = Undo::of(&unused, reason, None);
        PendingAction::decided(unused, Err(SyncError::Undone(Box::new(undo))))
    }

    /// Returns what the driver has published.
    pub(crate) fn report(&self) -> DocumentReport {
        self.shown.borrow().document.clone()
    }

    pub(crate) async fn step(&self, change: StepChange) -> Result<StepResult, SyncError> {
        self.client.step(&self.lease.name, change).await
    }

    /// Returns whether there are steps to undo and to redo.
    pub(crate) fn undo_state(&self) -> UndoState {
        self.shown.borrow().undo
    }

    /// Tells the driver what is selected.
    pub(crate) fn set_selection(&self, selection: Option<Json>) -> Result<(), SyncError> {
        self.client.command(|driver| driver.select(&self.lease.name, selection))
    }
}

impl<C> DocumentHandle<SharedDocument<C>>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    /// Edits the document by operations in one action, which are refused and undone together. The
    /// state includes them when this returns. As a future, the result waits until the server has
    /// processed them. For operations that depend on the state, such as those of a list, see
    /// [`operate_with`](Self::operate_with).
    ///
    /// # Errors
    /// As [`Client::sync`].
    pub fn operate(&self, ops: &[C::Op]) -> PendingAction {
        self.edit(|_, _| self.document().action(ops).ok())
    }

    /// Edits the document as [`operate`](Self::operate) does, by operations that are made from its
    /// state and the id of the action, such as those of a list. Without operations, nothing is
    /// added. `make` must not call a method of the client.
    ///
    /// ```no_run
    /// use logux::{Json, crdt::{List, ListError, Shared}};
    /// use logux_client::DocumentHandle;
    ///
    /// # async fn run(tasks: DocumentHandle<Shared<List>>) -> Result<(), Box<dyn std::error::Error>> {
    /// let tea = Json::from_value("Tea")?;
    /// tasks.operate_with(|list, id| Ok::<_, ListError>(vec![list.push_op(tea, id)?]))?.await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The error of `make`; then nothing is added.
    pub fn operate_with<E>(
        &self,
        make: impl FnOnce(&C, &ActionId) -> Result<Vec<C::Op>, E>,
    ) -> Result<PendingAction, E> {
        self.operate_as(EditKind::Step, make)
    }

    /// Edits the document, or creates it.
    pub(crate) fn operate_as<E>(
        &self,
        kind: EditKind,
        make: impl FnOnce(&C, &ActionId) -> Result<Vec<C::Op>, E>,
    ) -> Result<PendingAction, E> {
        let mut error = None;
        let pending = self.edit_as(kind, |state, id| match make(state, id) {
            Ok(ops) if kind == EditKind::Creation => self.document().create_action(&ops).ok(),
            Ok(ops) if ops.is_empty() => None,
            Ok(ops) => self.document().action(&ops).ok(),
            Err(failed) => {
                error = Some(failed);
                None
            }
        });
        error.map_or(Ok(pending), Err)
    }

    pub(crate) fn document(&self) -> SharedDocument<C> {
        SharedDocument::new(self.kind(), self.id())
    }

    pub(crate) fn kind(&self) -> &str {
        self.lease.kind.as_deref().unwrap_or_default()
    }

    pub(crate) fn id(&self) -> &str {
        // The name is the channel of the document: the kind, a slash and the id.
        self.lease.name.get(self.kind().len() + 1..).unwrap_or_default()
    }
}

impl<R: NamedReducer> Clone for DocumentHandle<R> {
    fn clone(&self) -> Self {
        let lease = self.lease.clone();
        let (shown, subscription) = (self.shown.clone(), self.subscription.clone());
        let check = self.check.clone();
        Self { client: self.client.clone(), shown, subscription, lease, check }
    }
}

impl<R: NamedReducer<State: fmt::Debug>> fmt::Debug for DocumentHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentHandle")
            .field("state", &self.shown.borrow().state)
            .finish_non_exhaustive()
    }
}
