//! The traits through which the hub's driver calls the application.

use std::{future::Future, pin::Pin, sync::Arc};

use logux::{
    Entry, NodeId,
    action::DocumentKey,
    log::LogError,
    server::{HandlerRequest, Hub, SettlementRequest},
    store::Store,
};

use crate::{
    connection_info::ConnectionInfo,
    hub::{handle::Handle, reader::Reader},
};

/// The connection of an action's author; an empty one if it is not connected.
#[derive(Clone, Debug)]
pub(crate) struct AuthorConnection {
    pub(crate) info: Arc<ConnectionInfo>,
    pub(crate) reader: Reader,
}

impl AuthorConnection {
    /// Returns the value for an author that is not connected.
    pub(crate) fn none() -> Self {
        Self { info: ConnectionInfo::none(), reader: Reader::default() }
    }
}

/// The application, as the hub calls it.
pub(crate) trait ApplicationHandlers: Send + Sync + 'static {
    /// Handles one request of the hub, and sends the responses through `handle`.
    fn run(
        self: Arc<Self>,
        request: HandlerRequest,
        author: AuthorConnection,
        handle: Handle,
    ) -> impl Future<Output = ()> + Send + 'static;

    /// Makes a snapshot of a document, and passes it to the hub. `None` if the kind is unknown.
    fn settle(
        &self,
        request: SettlementRequest,
        handle: &Handle,
    ) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>;

    /// Handles the end of a subscription. `None` if the channel has no handler for it.
    fn unsubscribed(
        &self,
        node: NodeId,
        channel: Arc<str>,
        handle: &Handle,
    ) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>>;
}

/// Observes the entries that the server's log keeps.
pub(crate) trait EntryObserver: Send {
    /// Receives an entry that is kept, or the undo of one, and the document that it is about.
    fn record(&mut self, entry: &Entry, document: Option<&DocumentKey>);

    /// Returns whether the observer also needs the entries from before the start. By default not.
    fn needs_earlier(&self) -> bool {
        false
    }
}

/// Passes the entries from before the start to the observers that need them.
pub(crate) fn record_earlier<St: Store>(
    hub: &Hub<St>,
    observers: &mut [Box<dyn EntryObserver>],
) -> Result<(), LogError<St::Error>> {
    let mut observers: Vec<_> =
        observers.iter_mut().filter(|observer| observer.needs_earlier()).collect();
    if observers.is_empty() {
        return Ok(());
    }
    hub.recorded(|entry| observers.iter_mut().for_each(|observer| observer.record(entry, None)))
}
