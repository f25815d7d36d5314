//! Limits how many states are loaded at a time for one user.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{error::HandlerError, handlers::context::Context};

/// The number of states that are loaded at a time for one user, or one client without a user.
const LOADS_OF_USER: usize = 4;

/// The number of users after which those without loads are removed.
const CLEAN_EVERY: usize = 1_024;

/// The loads that are running, by user. The others wait, in order.
#[derive(Debug, Default)]
pub(crate) struct LoadLimiter(Mutex<HashMap<Arc<str>, Weak<Semaphore>>>);

/// The permission to load a state, until it is dropped.
#[derive(Debug)]
pub(crate) struct LoadPermit {
    _permit: OwnedSemaphorePermit,
}

impl LoadLimiter {
    /// Waits until few other states are loaded for the user of a subscription.
    ///
    /// # Errors
    /// [`HandlerError::Gone`] if the client leaves before that.
    pub(crate) async fn acquire<S>(
        &self,
        context: &Context<S>,
    ) -> Result<LoadPermit, HandlerError> {
        let semaphore = self.semaphore(context.user_id().unwrap_or_else(|| context.client_id()));
        let permit = tokio::select! {
            biased;
            permit = semaphore.acquire_owned() => permit,
            () = context.client_left() => return Err(HandlerError::Gone),
        };
        // The semaphore is never closed.
        Ok(LoadPermit { _permit: permit.map_err(|_| HandlerError::Gone)? })
    }

    fn semaphore(&self, user: &str) -> Arc<Semaphore> {
        // A poisoned lock is consistent: every change is one call.
        let mut users = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(semaphore) = users.get(user).and_then(Weak::upgrade) {
            return semaphore;
        }
        if users.len() >= CLEAN_EVERY && users.len() == users.capacity() {
            users.retain(|_, semaphore| semaphore.strong_count() > 0);
        }
        let semaphore = Arc::new(Semaphore::new(LOADS_OF_USER));
        users.insert(user.into(), Arc::downgrade(&semaphore));
        semaphore
    }
}
