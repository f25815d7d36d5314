//! What a client reports while it runs: received actions, messages of the server, its status.

use logux::{Entry, client::Status};
use tokio::sync::{
    broadcast::{self, error},
    watch,
};

use crate::{EncryptionFailure, shared::End};

/// A message of the server to the people behind the client, or a fault of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerMessage {
    /// The text of a `debug` message. Servers send it in development, such as the reason why an
    /// action failed, before the action is undone.
    Debug(String),
    /// The kind of an `error` message, such as `wrong-credentials`. The connection ends with it.
    Error(String),
    /// What the server has sent is wrong, for this reason. If it violates the protocol, the client
    /// connects again; if it is one action that cannot be, such as the answer to an action that
    /// this client has not made yet, the action is ignored. Own actions and what the store has are
    /// not affected.
    Fault(String),
}

/// A receiver of events, until the client has ended.
#[derive(Debug)]
pub(crate) struct Events<T> {
    events: broadcast::Receiver<T>,
    end: watch::Receiver<End>,
}

impl<T: Clone> Events<T> {
    pub(crate) fn new(events: &broadcast::Sender<T>, end: &watch::Sender<End>) -> Self {
        Self { events: events.subscribe(), end: end.subscribe() }
    }

    /// Returns the next event if there was one. Passes the number of missed events to `missed`.
    fn try_next(&mut self, missed: impl Fn(u64)) -> Option<T> {
        loop {
            match self.events.try_recv() {
                Ok(event) => return Some(event),
                Err(error::TryRecvError::Lagged(count)) => missed(count),
                Err(_) => return None,
            }
        }
    }

    /// Waits for the next event; `None` when the client has ended.
    pub(crate) async fn next(&mut self, missed: impl Fn(u64)) -> Option<T> {
        loop {
            let event = tokio::select! {
                biased;
                event = self.events.recv() => Some(event),
                _ = self.end.wait_for(|end| matches!(end, End::Ended(_))) => None,
            };
            match event {
                Some(Ok(event)) => return Some(event),
                Some(Err(error::RecvError::Lagged(count))) => missed(count),
                Some(Err(error::RecvError::Closed)) => return None,
                // The last events were before the end.
                None => return self.try_next(missed),
            }
        }
    }
}

fn warn_missed(missed: u64) {
    tracing::warn!(missed, "actions were lost because they were read too slowly");
}

/// Actions received from the server.
#[derive(Debug)]
pub struct Actions(pub(crate) Events<Entry>);

impl Actions {
    /// Returns the next action if one was received.
    pub fn try_next(&mut self) -> Option<Entry> {
        self.0.try_next(warn_missed)
    }

    /// Waits for the next action; `None` when the client has ended. Actions that a slow reader
    /// missed are skipped, with a warning in the log.
    pub async fn next(&mut self) -> Option<Entry> {
        self.0.next(warn_missed).await
    }
}

/// Messages of the server to the people behind the client.
#[derive(Debug)]
pub struct ServerMessages(pub(crate) Events<ServerMessage>);

impl ServerMessages {
    /// Returns the next message if one was received.
    pub fn try_next(&mut self) -> Option<ServerMessage> {
        self.0.try_next(|_| {})
    }

    /// Waits for the next message; `None` when the client has ended.
    pub async fn next(&mut self) -> Option<ServerMessage> {
        self.0.next(|_| {}).await
    }
}

/// The changes of a client's [`Status`]. Each refused action is one, also if the status stays
/// [`Denied`](Status::Denied) or [`Error`](Status::Error).
#[derive(Debug)]
pub struct StatusChanges(pub(crate) Events<Status>);

impl StatusChanges {
    /// Returns the next status if it has changed.
    pub fn try_next(&mut self) -> Option<Status> {
        self.0.try_next(|_| {})
    }

    /// Waits for the next status; `None` when the client has ended.
    pub async fn next(&mut self) -> Option<Status> {
        self.0.next(|_| {}).await
    }
}

/// The actions that were not encrypted or not decrypted.
#[derive(Debug)]
pub struct EncryptionFailures(pub(crate) Events<EncryptionFailure>);

impl EncryptionFailures {
    /// Returns the next failure if there was one.
    pub fn try_next(&mut self) -> Option<EncryptionFailure> {
        self.0.try_next(|_| {})
    }

    /// Waits for the next failure; `None` when the client has ended.
    pub async fn next(&mut self) -> Option<EncryptionFailure> {
        self.0.next(|_| {}).await
    }
}
