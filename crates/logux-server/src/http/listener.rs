//! Sockets that clients connect to.

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

/// How long a client may take to shake hands for TLS.
const TLS_HANDSHAKE: Duration = Duration::from_secs(15);
/// How many connections may wait to be accepted.
const BACKLOG: u32 = 4_096;

/// A socket that listens, for [`Builder::listen_on`](crate::Builder::listen_on). From the moment when it is made connections wait in it;
/// they are served when the server has started. Sockets that another program has opened, such as systemd, are made into one by `from`.
#[derive(Debug)]
pub struct Listener(Inner);

#[derive(Debug)]
enum Inner {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(std::os::unix::net::UnixListener, Option<crate::http::unix::SocketFile>),
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Address {
    /// At an IP address and a port.
    Tcp(SocketAddr),
    /// At a file; `None` for a socket without a name.
    #[cfg(unix)]
    Unix(Option<std::path::PathBuf>),
}

impl Listener {
    /// Listens on an address; port 0 takes a free one. Has to be called within a runtime.
    ///
    /// # Errors
    /// [`BuildError::Listen`] when the operating system does not let it.
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

    /// Listens on a Unix socket. A file that a server has left behind there is replaced; the file is removed when the server stops.
    /// `mode` is who may connect, such as `0o660`; what the process's umask says unless given. There is no TLS on it.
    ///
    /// # Errors
    /// [`BuildError::Listen`] when somebody listens there, or the operating system does not let it.
    #[cfg(unix)]
    pub fn unix(path: impl AsRef<std::path::Path>, mode: Option<u32>) -> Result<Self, BuildError> {
        let path = path.as_ref();
        let (listener, file) = crate::http::unix::bind(path, mode)
            .map_err(|source| BuildError::Listen { address: path.display().to_string(), source })?;
        Ok(Self(Inner::Unix(listener, Some(file))))
    }

    /// Where it listens.
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

    /// Begins to serve the connections that come. TCP is wrapped in TLS when there is a certificate.
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
                let listener = unix::Accepting {
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

/// What all who come through a socket meet.
#[derive(Clone)]
pub(crate) struct ListenerContext {
    pub(crate) http: Arc<HttpContext>,
    pub(crate) certificate: Option<Certificate>,
}

/// A socket of either kind.
trait Accept: Send + 'static {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, and the address of the one at its other end if it has one.
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

    pub(super) struct Accepting {
        pub(super) listener: tokio::net::UnixListener,
        pub(super) _file: Option<crate::http::unix::SocketFile>,
    }

    impl Accept for Accepting {
        type Io = tokio::net::UnixStream;

        async fn next(&self) -> io::Result<(tokio::net::UnixStream, Option<SocketAddr>)> {
            self.listener.accept().await.map(|(socket, _)| (socket, None))
        }
    }
}

/// Serves every connection that comes.
async fn accept(listener: impl Accept, context: ListenerContext) {
    loop {
        let (socket, peer) = match listener.next().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: those in use will come back.
                context
                    .http
                    .telemetry()
                    .record(&Event::Failed { what: Failure::Accept, error: &error });
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(connection) = HttpConnection::enter(&context.http, peer) else { continue };
        let tls = context.certificate.as_ref().map(Certificate::acceptor);
        tokio::spawn(async move {
            match tls {
                None => connection.serve(socket).await,
                Some(tls) => match timeout(TLS_HANDSHAKE, tls.accept(socket)).await {
                    Ok(Ok(socket)) => connection.serve(socket).await,
                    _ => tracing::debug!(?peer, "TLS handshake failed"),
                },
            }
        });
    }
}
