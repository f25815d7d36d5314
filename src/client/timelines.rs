//! The timelines of a client that open and close while it runs.

use super::Client;
use crate::{
    log::LogError,
    replay::{NamedReducer, TimelineSet},
    store::Store,
};

impl<S: Store> Client<S, TimelineSet> {
    /// Opens the timeline of a document, or of the records of a kind, with the actions that the log
    /// has of it. Has no effect if it is open. O(number of its actions).
    ///
    /// # Errors
    /// If the store fails. The timeline is not open then.
    pub fn open<R>(&mut self, reducer: R) -> Result<(), LogError<S::Error>>
    where
        R: NamedReducer<Action: Send, State: Send> + Send + 'static,
    {
        self.log.open(reducer)
    }

    /// Closes a timeline. Its actions and its steps of undo and redo stay in the store. Returns
    /// `false` if it is not open. O(number of known actions).
    pub fn close(&mut self, name: &str) -> bool {
        self.undo_steps.forget(name);
        self.log.observer_mut().close(name)
    }
}
