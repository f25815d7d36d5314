//! Making connections, and making them again.

use core::{fmt, future::Future};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until, timeout},
};

use crate::{Backoff, Limits, LinesTransport, NetError, Reconnect, Stopped, Transport, lines};

/// A way to the other node that can be gone any number of times.
///
/// Closures that return a future are connectors too.
pub trait Connector: Send + Sync {
    /// What a connection is.
    type Transport: Transport;

    /// Makes a new connection.
    ///
    /// # Errors
    ///
    /// Why there is none. Trying again later may help if [`NetError::blame`] is the network.
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

/// How long connecting over TCP or to a Unix socket may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Connects with JSON lines over TCP, within 30 s.
#[derive(Clone, Debug)]
pub struct TcpLines {
    /// `host:port`.
    pub address: String,
    /// The limits of the connections.
    pub limits: Limits,
}

impl Connector for TcpLines {
    type Transport = LinesTransport<TcpStream>;

    async fn connect(&self) -> Result<Self::Transport, NetError> {
        let connected = timeout(TIMEOUT, lines::tcp(&self.address, self.limits)).await;
        connected.map_err(|_| NetError::ConnectTimeout(TIMEOUT))?
    }
}

/// Connects with JSON lines to a Unix socket, within 30 s.
#[cfg(unix)]
#[derive(Clone, Debug)]
pub struct UnixLines {
    /// The file of the socket.
    pub path: PathBuf,
    /// The limits of the connections.
    pub limits: Limits,
}

#[cfg(unix)]
impl Connector for UnixLines {
    type Transport = LinesTransport<tokio::net::UnixStream>;

    async fn connect(&self) -> Result<Self::Transport, NetError> {
        let connected = timeout(TIMEOUT, lines::unix(&self.path, self.limits)).await;
        connected.map_err(|_| NetError::ConnectTimeout(TIMEOUT))?
    }
}

/// A connector with the patience of a [`Reconnect`] policy.
///
/// Each [`connect`](Self::connect) after the first waits as the policy says. It does not watch the connections it gives away:
/// ask for the next one when the last has ended, and tell [`peer_error`](Self::peer_error) what the peer said.
///
/// ```
/// # use futures_util::StreamExt;
/// # use logux_net::{Backoff, Connector, Reconnecting, Stopped};
/// # async fn run(connector: impl Connector) -> Result<(), Stopped> {
/// let mut connections = Reconnecting::new(connector, Backoff::default());
/// loop {
///     let mut connection = connections.connect().await?;
///     while let Some(Ok(frame)) = connection.next().await {
///         println!("{frame}");
///     }
/// }
/// # }
/// ```
pub struct Reconnecting<C> {
    connector: C,
    policy: Reconnect,
    random: Box<dyn FnMut() -> f64 + Send>,
    phase: Phase,
    last_error: Option<NetError>,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    /// The next attempt may begin at once.
    Fresh,
    /// An attempt or a connection is under way, so the next call means that it is over.
    Busy,
    /// The next attempt begins at this time.
    Waiting(Instant),
}

impl<C: Connector> Reconnecting<C> {
    /// Connects with `connector`, with random numbers of the operating system.
    pub fn new(connector: C, backoff: Backoff) -> Self {
        // Each `RandomState` has keys of its own that nobody can predict; 53 bits of a hash fill an `f64`.
        Self::with_random(connector, backoff, || {
            let bits = RandomState::new().build_hasher().finish() >> 11;
            bits as f64 / (1_u64 << 53) as f64
        })
    }

    /// Connects with `connector`, with random numbers in 0.0..1.0 of the caller.
    pub fn with_random(
        connector: C,
        backoff: Backoff,
        random: impl FnMut() -> f64 + Send + 'static,
    ) -> Self {
        Self {
            connector,
            policy: Reconnect::new(backoff),
            random: Box::new(random),
            phase: Phase::Fresh,
            last_error: None,
        }
    }

    /// Makes the next connection, waiting and trying as often as the policy allows.
    ///
    /// Cancel safe: after a cancelled call the next one goes on with the wait; a cancelled attempt counts as failed.
    ///
    /// # Errors
    ///
    /// [`Stopped`] when the policy allows no more attempts. The reason of the last failure is in
    /// [`last_error`](Self::last_error).
    pub async fn connect(&mut self) -> Result<C::Transport, Stopped> {
        loop {
            match self.phase {
                Phase::Fresh => {}
                Phase::Busy => {
                    let delay = self.policy.lost((self.random)())?;
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

    /// The peer sent `["error", kind, …]`: a fatal kind stops the next [`connect`](Self::connect).
    pub fn peer_error(&mut self, kind: &str) {
        self.policy.peer_error(kind);
    }

    /// Why the last attempt failed. `None` after a connection.
    pub const fn last_error(&self) -> Option<&NetError> {
        self.last_error.as_ref()
    }

    /// Begins anew at once: no wait, no attempts counted, no fatal error. For when the network or the user has come back.
    pub const fn restart(&mut self) {
        self.policy.restart();
        self.phase = Phase::Fresh;
    }

    /// The connector, for instance to give it a new token.
    pub const fn connector_mut(&mut self) -> &mut C {
        &mut self.connector
    }
}

impl<C: fmt::Debug> fmt::Debug for Reconnecting<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reconnecting")
            .field("connector", &self.connector)
            .field("policy", &self.policy)
            .field("phase", &self.phase)
            .finish_non_exhaustive()
    }
}
