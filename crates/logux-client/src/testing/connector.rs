//! The connection of a test's client to its server, which can be cut.

use core::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _, future::select};
use logux::{
    Action,
    wire::{Message, MessageLimits, decode},
};
use logux_net::{Connector, Frame, FrameLimits, NetError, PairTransport, Transport as _, pair};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

/// The connector of one client, without a network. Clones are the same connector.
///
/// Its connections can be [cut](Self::cut), without a close message to either end.
#[derive(Clone)]
pub struct TestConnector(Arc<Shared>);

/// Accepts a connection, and returns the client's end of it.
type Accept = dyn Fn() -> Result<PairTransport, NetError> + Send + Sync;

struct Shared {
    accept: Box<Accept>,
    is_available: watch::Sender<bool>,
    forwarding: Mutex<Option<AbortHandle>>,
    /// The receivers of the actions that the client sends.
    listeners: Mutex<Vec<mpsc::UnboundedSender<Action>>>,
}

impl TestConnector {
    /// Creates a connector from a function that accepts a connection: the server serves one end of
    /// a [`pair`], the function returns the other one. It is called within the client's runtime.
    pub fn new(
        accept: impl Fn() -> Result<PairTransport, NetError> + Send + Sync + 'static,
    ) -> Self {
        Self(Arc::new(Shared {
            accept: Box::new(accept),
            is_available: watch::Sender::new(true),
            forwarding: Mutex::default(),
            listeners: Mutex::default(),
        }))
    }

    /// Cuts the connection, and delays new ones until [`restore`](Self::restore). Before the start
    /// of a client, it begins without a connection.
    pub fn cut(&self) {
        self.0.is_available.send_replace(false);
        if let Some(forwarding) = lock(&self.0.forwarding).take() {
            forwarding.abort();
        }
    }

    /// Allows connections again.
    pub fn restore(&self) {
        self.0.is_available.send_replace(true);
    }

    /// Returns the actions that the client sends from now on, as they are on the wire.
    pub(super) fn sent(&self) -> mpsc::UnboundedReceiver<Action> {
        let (sender, receiver) = mpsc::unbounded_channel();
        lock(&self.0.listeners).push(sender);
        receiver
    }
}

impl Connector for TestConnector {
    type Transport = PairTransport;

    async fn connect(&self) -> Result<PairTransport, NetError> {
        let shared = &self.0;
        // The sender lives as long as `self`.
        let _ = shared.is_available.subscribe().wait_for(|is_available| *is_available).await;
        let server_side = (shared.accept)()?;
        let (client, client_side) = pair(FrameLimits::default());
        let forwarding = tokio::spawn(forward_frames(client_side, server_side, shared.clone()));
        *lock(&shared.forwarding) = Some(forwarding.abort_handle());
        Ok(client)
    }
}

impl fmt::Debug for TestConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestConnector")
            .field("is_available", &*self.0.is_available.borrow())
            .finish_non_exhaustive()
    }
}

/// Forwards frames in both directions until one end is closed. When it is dropped, both ends see a
/// broken connection.
async fn forward_frames(
    mut client_side: PairTransport,
    mut server_side: PairTransport,
    shared: Arc<Shared>,
) {
    // The ends have limits of their own.
    let limits = FrameLimits { max_frame: usize::MAX, ..FrameLimits::default() };
    client_side.set_limits(limits);
    server_side.set_limits(limits);
    let ((to_client, from_client), (to_server, from_server)) =
        (client_side.split(), server_side.split());
    let from_client = from_client.inspect_ok(|frame| shared.listen(frame));
    select(from_client.forward(to_server), from_server.forward(to_client)).await;
}

impl Shared {
    /// Passes the actions of a frame of the client to the listeners.
    fn listen(&self, frame: &Frame) {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| !listener.is_closed());
        if listeners.is_empty() {
            return;
        }
        let limits = MessageLimits { action_bytes: usize::MAX, ..MessageLimits::default() };
        let Ok(Message::Sync(message)) = decode(frame.as_str(), &limits) else { return };
        for entry in message.entries {
            for listener in &*listeners {
                let _ = listener.send(entry.action.clone());
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
