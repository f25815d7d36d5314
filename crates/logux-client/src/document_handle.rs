//! A document that a running client keeps up to date.

use core::{any::Any, fmt};

use logux::{
    Action, ActionId,
    replay::{Reducer, Timeline},
};
use tokio::sync::watch;

use crate::{
    Client, PendingAction, SyncError,
    driver::{Command, Edit},
};

/// A handle of the state that a reducer computes from a running client's log. Created by
/// [`Builder::start_document`](crate::Builder::start_document). Clones share the state.
pub struct DocumentHandle<R: Reducer> {
    client: Client,
    state: watch::Receiver<R::State>,
}

impl<R> DocumentHandle<R>
where
    R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    pub(crate) const fn new(client: Client, state: watch::Receiver<R::State>) -> Self {
        Self { client, state }
    }

    /// Returns the client, to subscribe and to add other actions.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the current state.
    pub fn state(&self) -> R::State {
        self.state.borrow().clone()
    }

    /// Waits until the state has changed since the last call. Returns `false` when the client has
    /// stopped.
    pub async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Waits until the state fulfils a condition and returns it; `None` when the client has
    /// stopped.
    pub async fn until(&mut self, wanted: impl FnMut(&R::State) -> bool) -> Option<R::State> {
        self.state.wait_for(wanted).await.ok().map(|state| state.clone())
    }

    /// Adds the action that `make` returns for the current state and the id of the new action, if
    /// any. The state includes it immediately; the future waits until the server has processed it.
    ///
    /// # Errors
    /// As [`Client::sync`]; an undone action is no longer part of the state.
    pub async fn edit(
        &self,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action> + Send + 'static,
    ) -> Result<(), SyncError> {
        self.client.request(|done| Command::Edit(edit_of::<R>(make), done)).await
    }

    /// Adds an action as [`edit`](Self::edit) does, and returns as soon as the state includes it:
    /// with the id, to [undo](Client::undo) the action, and the server's answer, to wait for.
    /// `None` if `make` returns no action.
    ///
    /// # Errors
    /// [`SyncError::Stopped`] if the client has stopped.
    pub async fn add(
        &self,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action> + Send + 'static,
    ) -> Result<Option<PendingAction>, SyncError> {
        self.client.add_by(|done| Command::Edit(edit_of::<R>(make), done)).await
    }
}

/// Returns the edit that makes an action from the state of a document.
fn edit_of<R: Reducer + 'static>(
    make: impl FnOnce(&R::State, &ActionId) -> Option<Action> + Send + 'static,
) -> Edit {
    Edit(Box::new(move |observer: &mut dyn Any, id: &ActionId| {
        // The observer of a document's client is this timeline.
        observer.downcast_ref::<Timeline<R>>().and_then(|timeline| make(timeline.state(), id))
    }))
}

impl<R: Reducer> Clone for DocumentHandle<R> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), state: self.state.clone() }
    }
}

impl<R: Reducer<State: fmt::Debug>> fmt::Debug for DocumentHandle<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentHandle")
            .field("state", &*self.state.borrow())
            .finish_non_exhaustive()
    }
}
