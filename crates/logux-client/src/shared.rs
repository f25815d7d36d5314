//! What the handles of a client share with its task.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError},
    thread,
};

use logux::{
    Entry, Json, NodeId,
    client::{PresenceEvent, Status, Subscription},
    sync::State,
};
use tokio::sync::{Notify, broadcast, watch};

use crate::{EncryptionFailure, ServerMessage, SyncError, driver::Commands, schemas::Schemas};

/// The number of messages, failures, and changes of the status and of presence that are kept for a
/// slow reader.
const CAPACITY: usize = 64;

/// The driver of a client, which its handles and its task call in turn, and what it reports.
pub(crate) struct Shared {
    /// `None` when the client has ended, and its store is closed.
    driver: Mutex<Option<Box<dyn Commands>>>,
    /// What was dropped and the driver does not know yet. A closure of the application that the
    /// driver calls may have the last handle of a document, so a drop never waits for the driver.
    dropped: Mutex<Vec<Dropped>>,
    /// Wakes the task after a handle has changed something.
    changed: Notify,
    pub(crate) reports: Reports,
    pub(crate) schemas: Schemas,
}

/// What an application has dropped.
pub(crate) enum Dropped {
    /// A handle of a document or of records, with its name and its subscription.
    Handle(Arc<str>, Option<Subscription>),
    /// The last handle of the client.
    Client,
}

/// What a driver reports to the handles.
#[derive(Clone, Debug)]
pub(crate) struct Reports {
    pub(crate) node: watch::Sender<NodeId>,
    pub(crate) actions: broadcast::Sender<Entry>,
    pub(crate) server_messages: broadcast::Sender<ServerMessage>,
    pub(crate) encryption_failures: broadcast::Sender<EncryptionFailure>,
    pub(crate) presence: broadcast::Sender<(Arc<str>, PresenceEvent)>,
    pub(crate) state: watch::Sender<State>,
    pub(crate) status: watch::Sender<Status>,
    pub(crate) statuses: broadcast::Sender<Status>,
    /// The number of own actions that the server has not confirmed.
    pub(crate) unconfirmed: watch::Sender<usize>,
    pub(crate) headers: watch::Sender<Option<Json>>,
    /// Why the last attempt or connection has failed.
    pub(crate) last_error: watch::Sender<Option<String>>,
    pub(crate) end: watch::Sender<End>,
}

/// Whether a client runs.
#[derive(Clone, Debug)]
pub(crate) enum End {
    Running,
    /// There are no more attempts to connect, until the application resumes them.
    Stopped(String),
    /// The task has ended, and the store is closed.
    Ended(String),
}

impl End {
    pub(crate) fn reason(&self) -> Option<&str> {
        match self {
            Self::Running => None,
            Self::Stopped(reason) | Self::Ended(reason) => Some(reason),
        }
    }
}

impl Reports {
    pub(crate) fn new(node: NodeId, buffered: usize) -> Self {
        Self {
            node: watch::Sender::new(node),
            actions: broadcast::Sender::new(buffered),
            server_messages: broadcast::Sender::new(CAPACITY),
            encryption_failures: broadcast::Sender::new(CAPACITY),
            presence: broadcast::Sender::new(CAPACITY),
            state: watch::Sender::new(State::Disconnected),
            status: watch::Sender::new(Status::Disconnected),
            statuses: broadcast::Sender::new(CAPACITY),
            unconfirmed: watch::Sender::new(0),
            headers: watch::Sender::new(None),
            last_error: watch::Sender::new(None),
            end: watch::Sender::new(End::Running),
        }
    }

    /// Reports what is wrong with what the server has sent.
    pub(crate) fn fault(&self, text: &str) {
        tracing::warn!(text, "the server is wrong");
        let _ = self.server_messages.send(ServerMessage::Fault(text.to_owned()));
    }
}

impl Shared {
    pub(crate) fn new(
        driver: Option<Box<dyn Commands>>,
        reports: Reports,
        schemas: Schemas,
    ) -> Self {
        let (driver, dropped) = (Mutex::new(driver), Mutex::default());
        Self { driver, dropped, changed: Notify::new(), reports, schemas }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<dyn Commands>>> {
        // A panic in a closure of the application is before any change of the driver.
        self.driver.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls the driver from the task. `None` if it has ended.
    pub(crate) fn drive<T>(&self, call: impl FnOnce(&mut dyn Commands) -> T) -> Option<T> {
        self.call(&mut self.lock(), call)
    }

    fn call<T>(
        &self,
        driver: &mut Option<Box<dyn Commands>>,
        call: impl FnOnce(&mut dyn Commands) -> T,
    ) -> Option<T> {
        let driver = driver.as_mut()?;
        self.release_dropped(&mut **driver);
        let result = call(&mut **driver);
        self.release_dropped(&mut **driver);
        Some(result)
    }

    fn release_dropped(&self, driver: &mut dyn Commands) {
        let take = || {
            let mut dropped = self.dropped.lock().unwrap_or_else(PoisonError::into_inner);
            core::mem::take(&mut *dropped)
        };
        for dropped in take() {
            match dropped {
                Dropped::Handle(name, subscription) => driver.release(&name, subscription.as_ref()),
                Dropped::Client => driver.close("all handles of the client were dropped"),
            }
        }
    }

    /// Calls the driver from a handle, and wakes the task. After the end has begun, it is not
    /// called.
    pub(crate) fn command<T>(
        &self,
        command: impl FnOnce(&mut dyn Commands) -> T,
    ) -> Result<T, SyncError> {
        let result = self.drive(|driver| (!driver.is_ending()).then(|| command(driver))).flatten();
        self.changed.notify_one();
        result.ok_or_else(|| self.stopped())
    }

    /// Tells the driver what was dropped: at once, or after the call that it handles.
    pub(crate) fn dropped(&self, dropped: Dropped) {
        self.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(dropped);
        let driver = match self.driver.try_lock() {
            Ok(driver) => Some(driver),
            Err(TryLockError::Poisoned(error)) => Some(error.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        };
        if let Some(mut driver) = driver {
            self.call(&mut driver, |_| {});
        }
        self.changed.notify_one();
    }

    /// Ends the client if it has not ended: the runtime drops its task, or the task has panicked,
    /// for example in a function of the application.
    pub(crate) fn abandon(&self) {
        let is_running = self.drive(|driver| {
            if !thread::panicking() {
                // What was added is kept.
                driver.turn();
            }
        });
        if is_running.is_some() {
            self.end("the client's task has ended".to_owned());
        }
    }

    /// Waits until a handle has called the driver.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Closes the store, and reports the reason.
    pub(crate) fn end(&self, reason: String) {
        // Who sees that something has closed finds the reason.
        self.reports.end.send_replace(End::Stopped(reason.clone()));
        let driver = self.lock().take();
        if let Some(mut driver) = driver {
            driver.stop(&reason);
        }
        self.reports.state.send_replace(State::Disconnected);
        self.reports.end.send_replace(End::Ended(reason));
    }

    /// Returns the error of a client that has stopped.
    pub(crate) fn stopped(&self) -> SyncError {
        let end = self.reports.end.borrow();
        SyncError::Stopped(end.reason().unwrap_or("the client's task has ended").to_owned())
    }
}

impl core::fmt::Debug for Shared {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Shared").field("end", &*self.reports.end.borrow()).finish_non_exhaustive()
    }
}
