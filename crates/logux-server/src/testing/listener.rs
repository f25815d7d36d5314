//! The server's end of the connections of a test's clients.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
};

use hyper::HeaderMap;
use logux_net::{FrameLimits, NetError, PairTransport, pair};

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

impl TestListener {
    /// Accepts a connection, and returns the client's end.
    pub(super) fn accept(&self, info: &TestConnectionInfo) -> Result<PairTransport, NetError> {
        // The upgrade to WebSocket has this status then.
        if self.shared.handle.log_status().state() == LogState::Closed {
            return Err(NetError::Refused(503));
        }
        let (client, server) = pair(self.limits);
        let TestConnectionInfo { address, http_headers } = info.clone();
        let remote = Some(SocketAddr::from((address, 1)));
        tokio::spawn(serve(server, self.shared.clone(), ConnectionInfo::new(remote, http_headers)));
        Ok(client)
    }
}

impl fmt::Debug for TestListener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TestListener")
    }
}
