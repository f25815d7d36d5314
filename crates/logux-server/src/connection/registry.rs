//! The connections that are open, so that a stop can tell each of them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use logux::server::SessionId;
use logux_net::CloseReason;

use crate::hub::outbox::Outbox;

/// All open connections, whether their clients were let in or not.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRegistry(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    outboxes: HashMap<SessionId, Weak<Outbox>>,
    /// The server stops: who comes now is told so at once.
    is_over: bool,
}

impl ConnectionRegistry {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A panic of another holder leaves the map whole: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, session: SessionId, outbox: &Arc<Outbox>) {
        let mut inner = self.inner();
        inner.outboxes.insert(session, Arc::downgrade(outbox));
        if inner.is_over {
            outbox.close(CloseReason::Shutdown);
        }
    }

    pub(crate) fn remove(&self, session: SessionId) {
        self.inner().outboxes.remove(&session);
    }

    /// Closes all connections, each as soon as what waits for its client has left.
    pub(crate) fn close_all(&self) {
        let mut inner = self.inner();
        inner.is_over = true;
        inner
            .outboxes
            .values()
            .filter_map(Weak::upgrade)
            .for_each(|outbox| outbox.close(CloseReason::Shutdown));
    }

    /// Closes all connections that are left, whatever waits. Returns how many they were.
    pub(crate) fn cut_all(&self) -> usize {
        let left: Vec<_> = self.inner().outboxes.values().filter_map(Weak::upgrade).collect();
        left.iter().for_each(|outbox| outbox.cut());
        left.len()
    }
}
