//! Connecting and reconnecting.

use core::{fmt, future::Future};
use std::{path::PathBuf, time::Duration};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    Backoff, FrameLimits, JsonLinesTransport, NetError, ReconnectError, ReconnectPolicy, Transport,
    json_lines,
};

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

/// A connector that follows a [`ReconnectPolicy`].
///
/// Each [`connect`](Self::connect) after the first waits for the delay of the policy. The returned
/// connections are not observed: call `connect` again when the last one has ended, and pass error
/// messages of the peer to [`peer_error`](Self::peer_error).
///
/// ```
/// # use futures_util::StreamExt;
/// # use logux_net::{Backoff, Connector, Reconnector, ReconnectError};
/// # async fn run(connector: impl Connector) -> Result<(), ReconnectError> {
/// let mut connections = Reconnector::new(connector, Backoff::default());
/// loop {
///     let mut connection = connections.connect().await?;
///     while let Some(Ok(frame)) = connection.next().await {
///         println!("{frame}");
///     }
/// }
/// # }
/// ```
pub struct Reconnector<C> {
    connector: C,
    policy: ReconnectPolicy,
    random: Box<dyn FnMut() -> f64 + Send>,
    phase: Phase,
    last_error: Option<NetError>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next attempt may begin immediately.
    Fresh,
    /// An attempt or a connection is in progress; the next call means that it has ended.
    Busy,
    /// The next attempt begins at this time.
    Waiting(Instant),
}

impl<C: Connector> Reconnector<C> {
    /// Creates a reconnector with the random numbers of the current thread's generator.
    pub fn new(connector: C, backoff: Backoff) -> Self {
        Self::with_random(connector, backoff, rand::random::<f64>)
    }

    /// Creates a reconnector with the given source of random numbers in 0.0..1.0.
    pub fn with_random(
        connector: C,
        backoff: Backoff,
        random: impl FnMut() -> f64 + Send + 'static,
    ) -> Self {
        Self {
            connector,
            policy: ReconnectPolicy::new(backoff),
            random: Box::new(random),
            phase: Phase::Fresh,
            last_error: None,
        }
    }

    /// Makes the next connection, with the delays and as many attempts as the policy allows.
    ///
    /// Cancel safe: after a cancelled call the next one continues the delay; a cancelled attempt
    /// counts as failed.
    ///
    /// # Errors
    ///
    /// [`ReconnectError`] if the policy allows no more attempts. [`last_error`](Self::last_error)
    /// returns the error of the last attempt.
    pub async fn connect(&mut self) -> Result<C::Transport, ReconnectError> {
        loop {
            match self.phase {
                Phase::Fresh => {}
                Phase::Busy => {
                    let delay = self.policy.next_delay((self.random)())?;
                    self.phase = Phase::Waiting(Instant::now() + delay);
                    continue;
                }
                Phase::Waiting(until) => sleep_until(until).await,
            }
            self.phase = Phase::Busy;
            self.policy.connecting();
            match self.connector.connect().await {
                Ok(transport) => {
                    self.policy.connected();
                    self.last_error = None;
                    return Ok(transport);
                }
                Err(error) => self.last_error = Some(error),
            }
        }
    }

    /// Records an `["error", kind, …]` message of the peer; after a fatal kind the next
    /// [`connect`](Self::connect) fails.
    pub fn peer_error(&mut self, kind: &str) {
        self.policy.peer_error(kind);
    }

    /// Returns the error of the last attempt. `None` after a successful one.
    pub const fn last_error(&self) -> Option<&NetError> {
        self.last_error.as_ref()
    }

    /// Resets the reconnector: no delay, no counted attempts, no fatal error. For example when the
    /// network is available again or the user has signed in.
    pub const fn reset(&mut self) {
        self.policy.reset();
        self.phase = Phase::Fresh;
    }

    /// Returns the connector, for example to change its token.
    pub const fn connector_mut(&mut self) -> &mut C {
        &mut self.connector
    }
}

impl<C: fmt::Debug> fmt::Debug for Reconnector<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnector")
            .field("connector", &self.connector)
            .field("policy", &self.policy)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
