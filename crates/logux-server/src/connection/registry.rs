//! The registry of open connections, through which a shutdown closes them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use logux::server::SessionId;
use logux_net::CloseReason;

use crate::hub::outbox::Outbox;

/// All open connections, including those whose clients are not authenticated.
#[derive(Debug, Default)]
pub(crate) struct ConnectionRegistry(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    outboxes: HashMap<SessionId, Weak<Outbox>>,
    /// Whether the server shuts down: new connections are closed at once.
    is_closing: bool,
}

impl ConnectionRegistry {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        // A poisoned lock is consistent: every change is one call.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, session: SessionId, outbox: &Arc<Outbox>) {
        let mut inner = self.inner();
        inner.outboxes.insert(session, Arc::downgrade(outbox));
        if inner.is_closing {
            outbox.close(CloseReason::Shutdown);
        }
    }

    pub(crate) fn remove(&self, session: SessionId) {
        self.inner().outboxes.remove(&session);
    }

    /// Closes all connections, each after its queued items.
    pub(crate) fn close_all(&self) {
        let mut inner = self.inner();
        inner.is_closing = true;
        inner
            .outboxes
            .values()
            .filter_map(Weak::upgrade)
            .for_each(|outbox| outbox.close(CloseReason::Shutdown));
    }

    /// Closes the remaining connections at once and drops their queued items. Returns their number.
    pub(crate) fn abort_all(&self) -> usize {
        let outboxes: Vec<_> = self.inner().outboxes.values().filter_map(Weak::upgrade).collect();
        outboxes.iter().for_each(|outbox| outbox.abort());
        outboxes.len()
    }
}
