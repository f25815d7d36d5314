//! Sockets that clients connect to, over TCP or Unix sockets.

use std::{
    fmt,
    future::Future,
    io,
    net::{SocketAddr, TcpListener},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};

use crate::{
    error::BuildError,
    http::{
        connection::{HttpConnection, HttpContext},
        tls::Certificate,
    },
    telemetry::event::{Event, Failure},
};

/// The time limit of a TLS handshake.
const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// The largest number of connections that wait to be accepted.
const BACKLOG: u32 = 4_096;

/// A listening socket, for [`Builder::listen_on`](crate::Builder::listen_on). Connections are
/// queued from its creation and served after the server has started. A socket that another program
/// has opened, such as systemd, is converted with `from`.
#[derive(Debug)]
pub struct Listener(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, Option<crate::http::unix::SocketFile>),
}

/// The address of a [`Listener`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// An IP address and a port.
    Tcp(SocketAddr),
    /// The path of a Unix socket; `None` for a socket without a name.
    #[cfg(unix)]
    Unix(Option<std::path::PathBuf>),
}

impl Listener {
    /// Listens on an address. Port 0 selects a free port. Must be called within a runtime.
    ///
    /// # Errors
    /// [`BuildError::Listen`] if the operating system refuses.
    pub fn tcp(address: SocketAddr) -> Result<Self, BuildError> {
        let bind = || {
            let socket = if address.is_ipv4() {
                tokio::net::TcpSocket::new_v4()
            } else {
                tokio::net::TcpSocket::new_v6()
            }?;
            socket.set_reuseaddr(true)?;
            socket.bind(address)?;
            socket.listen(BACKLOG)?.into_std()
        };
        let listener =
            bind().map_err(|source| BuildError::Listen { address: address.to_string(), source })?;
        Ok(Self(Inner::Tcp(listener)))
    }

    /// Listens on a Unix socket, without TLS. A socket file that a stopped server has left is
    /// replaced; the file is removed when the server stops. `mode` is the permissions of the file,
    /// such as `0o660`; it defaults to those that the process's umask gives.
    ///
    /// # Errors
    /// [`BuildError::Listen`] if another process listens on the path, or the operating system
    /// refuses.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<std::path::Path>, mode: Option<u32>) -> Result<Self, BuildError> {
        let path = path.as_ref();
        let (listener, file) = crate::http::unix::bind(path, mode)
            .map_err(|source| BuildError::Listen { address: path.display().to_string(), source })?;
        Ok(Self(Inner::Unix(listener, Some(file))))
    }

    /// Returns the address that it listens on.
    pub fn address(&self) -> Address {
        match &self.0 {
            Inner::Tcp(listener) => Address::Tcp(
                listener.local_addr().unwrap_or_else(|_| SocketAddr::from(([0, 0, 0, 0], 0))),
            ),
            #[cfg(unix)]
            Inner::Unix(listener, file) => Address::Unix(match file {
                Some(file) => Some(file.path().to_owned()),
                None => listener
                    .local_addr()
                    .ok()
                    .and_then(|address| address.as_pathname().map(Into::into)),
            }),
        }
    }

    /// Starts to serve its connections. TCP uses TLS if the context has a certificate.
    pub(crate) fn accept(
        self,
        context: ListenerContext,
    ) -> io::Result<tokio::task::JoinHandle<()>> {
        Ok(match self.0 {
            Inner::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                tokio::spawn(accept(tokio::net::TcpListener::from_std(listener)?, context))
            }
            #[cfg(unix)]
            Inner::Unix(listener, file) => {
                listener.set_nonblocking(true)?;
                let context = ListenerContext { certificate: None, ..context };
                let listener = unix::UnixAcceptor {
                    listener: tokio::net::UnixListener::from_std(listener)?,
                    _file: file,
                };
                tokio::spawn(accept(listener, context))
            }
        })
    }
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self(Inner::Tcp(listener))
    }
}

#[cfg(unix)]
impl From<std::os::unix::net::UnixListener> for Listener {
    fn from(listener: std::os::unix::net::UnixListener) -> Self {
        Self(Inner::Unix(listener, None))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            #[cfg(unix)]
            Self::Unix(path) => match path {
                Some(path) => write!(f, "unix:{}", path.display()),
                None => f.write_str("unix:"),
            },
        }
    }
}

/// What all connections of one listener share.
#[derive(Clone)]
pub(crate) struct ListenerContext {
    pub(crate) http: Arc<HttpContext>,
    pub(crate) certificate: Option<Certificate>,
}

/// A listening socket of either kind.
trait Accept: Send + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Accepts the next connection, and returns the address of its peer if it has one.
    fn next(&self) -> impl Future<Output = io::Result<(Self::Io, Option<SocketAddr>)>> + Send;
}

impl Accept for tokio::net::TcpListener {
    type Io = TcpStream;

    async fn next(&self) -> io::Result<(TcpStream, Option<SocketAddr>)> {
        let (socket, peer) = self.accept().await?;
        let _ = socket.set_nodelay(true);
        Ok((socket, Some(peer)))
    }
}

#[cfg(unix)]
mod unix {
    use super::{Accept, SocketAddr, io};

    pub(super) struct UnixAcceptor {
        pub(super) listener: tokio::net::UnixListener,
        pub(super) _file: Option<crate::http::unix::SocketFile>,
    }

    impl Accept for UnixAcceptor {
        type Io = tokio::net::UnixStream;

        async fn next(&self) -> io::Result<(tokio::net::UnixStream, Option<SocketAddr>)> {
            self.listener.accept().await.map(|(socket, _)| (socket, None))
        }
    }
}

/// Accepts connections and serves each of them in a task.
async fn accept(listener: impl Accept, context: ListenerContext) {
    loop {
        let (socket, peer) = match listener.next().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually there are no file descriptors left: wait until connections are closed.
                context
                    .http
                    .telemetry()
                    .record(&Event::Failed { what: Failure::Accept, error: &error });
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(connection) = HttpConnection::accept(&context.http, peer) else { continue };
        let tls = context.certificate.as_ref().map(Certificate::acceptor);
        tokio::spawn(async move {
            match tls {
                None => connection.serve(socket).await,
                Some(tls) => match timeout(TLS_HANDSHAKE_TIMEOUT, tls.accept(socket)).await {
                    Ok(Ok(socket)) => connection.serve(socket).await,
                    _ => tracing::debug!(?peer, "TLS handshake failed"),
                },
            }
        });
    }
}
