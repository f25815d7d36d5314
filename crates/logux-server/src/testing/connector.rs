//! The connection of a test client to the server, which can be cut.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt as _, future::select};
use hyper::HeaderMap;
use logux_net::{FrameLimits, NetError, PairTransport, pair};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    connection::{driver::serve, shared::ConnectionShared},
    connection_info::ConnectionInfo,
    hub::log_status::LogState,
};

/// What a server needs to serve a connection.
#[derive(Clone)]
pub(super) struct TestListener {
    pub(super) shared: Arc<ConnectionShared>,
    pub(super) limits: FrameLimits,
}

impl fmt::Debug for TestListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestListener")
    }
}

/// What the server knows about the connections of a client.
#[derive(Clone, Debug)]
pub(super) struct TestConnectionInfo {
    pub(super) address: IpAddr,
    pub(super) http_headers: HeaderMap,
}

impl Default for TestConnectionInfo {
    fn default() -> Self {
        Self { address: Ipv4Addr::LOCALHOST.into(), http_headers: HeaderMap::new() }
    }
}

/// The connector of one client.
#[derive(Clone, Debug)]
pub(super) struct TestConnector {
    listener: TestListener,
    info: TestConnectionInfo,
    is_available: Arc<watch::Sender<bool>>,
    forwarding: Arc<Mutex<Option<AbortHandle>>>,
}

impl TestConnector {
    pub(super) fn new(listener: TestListener, info: TestConnectionInfo) -> Self {
        Self {
            listener,
            info,
            is_available: Arc::new(watch::Sender::new(true)),
            forwarding: Arc::default(),
        }
    }

    /// Returns a new connection as soon as it is not cut.
    pub(super) async fn connect(self) -> Result<PairTransport, NetError> {
        // The sender lives as long as `self`.
        let _ = self.is_available.subscribe().wait_for(|is_available| *is_available).await;
        // The upgrade to WebSocket has this status then.
        if self.listener.shared.handle.log_status().state() == LogState::Closed {
            return Err(NetError::Refused(503));
        }
        let ((client, client_side), (server_side, server)) =
            (pair(FrameLimits::default()), pair(self.listener.limits));
        let TestConnectionInfo { address, http_headers } = self.info;
        let remote = Some(SocketAddr::from((address, 1)));
        tokio::spawn(serve(server, self.listener.shared, ConnectionInfo { remote, http_headers }));
        let forwarding = tokio::spawn(forward_frames(client_side, server_side)).abort_handle();
        *self.forwarding.lock().unwrap_or_else(PoisonError::into_inner) = Some(forwarding);
        Ok(client)
    }

    /// Cuts the connection, and delays new ones until [`restore`](Self::restore).
    pub(super) fn cut(&self) {
        self.is_available.send_replace(false);
        if let Some(forwarding) =
            self.forwarding.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            forwarding.abort();
        }
    }

    /// Allows connections again.
    pub(super) fn restore(&self) {
        self.is_available.send_replace(true);
    }
}

/// Forwards frames in both directions until one end is closed. When it is dropped, both ends see a
/// broken connection.
async fn forward_frames(client_side: PairTransport, server_side: PairTransport) {
    let ((to_client, from_client), (to_server, from_server)) =
        (client_side.split(), server_side.split());
    select(from_client.forward(to_server), from_server.forward(to_client)).await;
}
