//! What connects a client to the server, and can be cut.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use futures_util::{StreamExt as _, future::select};
use hyper::HeaderMap;
use logux_net::{FrameLimits, NetError, PairTransport, pair};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    connection::{driver::serve, shared::ConnectionShared},
    connection_info::ConnectionInfo,
};

/// Where cables are plugged in: what a server needs to serve a connection.
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

/// The way of one client to the server.
#[derive(Clone, Debug)]
pub(super) struct TestConnector {
    listener: TestListener,
    http_headers: HeaderMap,
    is_whole: Arc<watch::Sender<bool>>,
    running: Arc<Mutex<Option<AbortHandle>>>,
}

impl TestConnector {
    pub(super) fn new(listener: TestListener, http_headers: HeaderMap) -> Self {
        Self {
            listener,
            http_headers,
            is_whole: Arc::new(watch::Sender::new(true)),
            running: Arc::default(),
        }
    }

    /// A new connection, as soon as the cable is whole.
    pub(super) async fn connect(self) -> Result<PairTransport, NetError> {
        // The sender lives as long as this.
        let _ = self.is_whole.subscribe().wait_for(|is_whole| *is_whole).await;
        let ((client, near), (far, server)) =
            (pair(self.listener.limits), pair(self.listener.limits));
        let remote = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
        tokio::spawn(serve(
            server,
            self.listener.shared,
            ConnectionInfo { remote, http_headers: self.http_headers },
        ));
        let running = tokio::spawn(carry(near, far)).abort_handle();
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(running);
        Ok(client)
    }

    pub(super) fn cut(&self) {
        self.is_whole.send_replace(false);
        if let Some(running) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            running.abort();
        }
    }

    pub(super) fn mend(&self) {
        self.is_whole.send_replace(true);
    }
}

/// Carries frames both ways until one end is closed. When it is dropped, both ends see a connection that broke.
async fn carry(near: PairTransport, far: PairTransport) {
    let ((to_near, from_near), (to_far, from_far)) = (near.split(), far.split());
    select(from_near.forward(to_far), from_far.forward(to_near)).await;
}
