//! Connecting.

use core::future::Future;
use std::{path::PathBuf, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use crate::{FrameLimits, JsonLinesTransport, NetError, Transport, json_lines};

/// A way to connect to the other node, any number of times.
///
/// Closures that return a future are connectors too.
pub trait Connector: Send + Sync {
    /// The type of the connections.
    type Transport: Transport;

    /// Makes a new connection.
    ///
    /// # Errors
    ///
    /// The reason of the failure. Trying again later may help if [`NetError::blame`] is the
    /// network.
    fn connect(&self) -> impl Future<Output = Result<Self::Transport, NetError>> + Send;
}

impl<F, R, T> Connector for F
where
    F: Fn() -> R + Send + Sync,
    R: Future<Output = Result<T, NetError>> + Send,
    T: Transport,
{
    type Transport = T;

    fn connect(&self) -> impl Future<Output = Result<T, NetError>> + Send {
        self()
    }
}

/// The time limit for connecting over TCP or to a Unix socket.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A connector for JSON lines over TCP, with a time-out of 30 s.
#[derive(Clone, Debug)]
pub struct TcpJsonLinesConnector {
    /// The address, as `host:port`.
    pub address: String,
    /// The limits of the connections.
    pub limits: FrameLimits,
}

impl Connector for TcpJsonLinesConnector {
    type Transport = JsonLinesTransport<TcpStream>;

    async fn connect(&self) -> Result<Self::Transport, NetError> {
        let connected = timeout(TIMEOUT, json_lines::connect_tcp(&self.address, self.limits)).await;
        connected.map_err(|_| NetError::ConnectTimeout(TIMEOUT))?
    }
}

/// A connector for JSON lines over a Unix socket, with a time-out of 30 s.
#[cfg(unix)]
#[derive(Clone, Debug)]
pub struct UnixJsonLinesConnector {
    /// The path of the socket.
    pub path: PathBuf,
    /// The limits of the connections.
    pub limits: FrameLimits,
}

#[cfg(unix)]
impl Connector for UnixJsonLinesConnector {
    type Transport = JsonLinesTransport<tokio::net::UnixStream>;

    async fn connect(&self) -> Result<Self::Transport, NetError> {
        let connected = timeout(TIMEOUT, json_lines::connect_unix(&self.path, self.limits)).await;
        connected.map_err(|_| NetError::ConnectTimeout(TIMEOUT))?
    }
}
