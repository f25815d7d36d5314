//! A document that a running client keeps up to date.

use core::{any::Any, fmt};

use logux::{
    Action, ActionId,
    replay::{Reducer, Timeline},
};
use tokio::sync::watch;

use crate::{
    Client, SyncError,
    driver::{Command, Edit},
};

/// The state of a running client's log under a reducer. Made by [`Builder::start_document`](crate::Builder::start_document). Clones look at the same one.
pub struct Document<R: Reducer> {
    client: Client,
    state: watch::Receiver<R::State>,
}

impl<R> Document<R>
where
    R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    pub(crate) const fn new(client: Client, state: watch::Receiver<R::State>) -> Self {
        Self { client, state }
    }

    /// The client: to subscribe, and to do actions of other types.
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// The state now.
    pub fn state(&self) -> R::State {
        self.state.borrow().clone()
    }

    /// Waits until the state is another one than was seen last. Returns `false` when the client has stopped.
    pub async fn changed(&mut self) -> bool {
        self.state.changed().await.is_ok()
    }

    /// Waits until the state is as wanted, and returns it; `None` when the client has stopped.
    pub async fn until(&mut self, wanted: impl FnMut(&R::State) -> bool) -> Option<R::State> {
        self.state.wait_for(wanted).await.ok().map(|state| state.clone())
    }

    /// Does an action that is made of the state as it is, and of the id that the action will have; nothing if it makes none. The state has it at once;
    /// the future waits until the server has processed it.
    ///
    /// # Errors
    /// As [`Client::sync`]; the state is without the action then, if it was undone.
    pub async fn edit(
        &self,
        make: impl FnOnce(&R::State, &ActionId) -> Option<Action> + Send + 'static,
    ) -> Result<(), SyncError> {
        let make = move |observer: &mut dyn Any, id: &ActionId| {
            // The task of a document's client observes its log with this timeline.
            observer.downcast_ref::<Timeline<R>>().and_then(|timeline| make(timeline.state(), id))
        };
        self.client.tell(|done| Command::Edit(Edit(Box::new(make)), done)).await
    }
}

impl<R: Reducer> Clone for Document<R> {
    fn clone(&self) -> Self {
        Self { client: self.client.clone(), state: self.state.clone() }
    }
}

impl<R: Reducer<State: fmt::Debug>> fmt::Debug for Document<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}
