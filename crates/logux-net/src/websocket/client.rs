//! The client's end.

use core::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};
use std::{io, net::IpAddr};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    client_async,
    tungstenite::{Error, handshake::client::generate_key, protocol::Role},
};

use super::WebSocketTransport;
pub use super::tls::ClientIo;
use crate::{Connector, FrameLimits, NetError, bytes_io::poll_fill};

/// A connector for WebSocket URLs: `ws://` and, with the feature `tls`, `wss://`.
///
/// ```no_run
/// # async fn connect() -> Result<(), logux_net::NetError> {
/// use logux_net::{Connector, websocket::WebSocketConnector};
///
/// let connector = WebSocketConnector::new("wss://example.com/logux")?.header("cookie", "token=1")?;
/// let connection = connector.connect().await?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct WebSocketConnector {
    url: String,
    uri: Uri,
    host: String,
    port: u16,
    #[cfg(feature = "tls")]
    secure: bool,
    headers: HeaderMap,
    limits: FrameLimits,
    timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<std::sync::Arc<rustls::ClientConfig>>,
}

/// Whether a host is this one: a loopback address, or a name that is reserved for one (RFC 6761).
fn is_own_host(host: &str) -> bool {
    let name = host.trim_end_matches('.').to_ascii_lowercase();
    let is_loopback = |address: IpAddr| address.to_canonical().is_loopback();
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<IpAddr>().is_ok_and(is_loopback)
}

impl WebSocketConnector {
    /// Creates a connector for a URL. The default path is `/`, the default port 80 or 443. `ws://`
    /// is for the own host: see [`insecure`](Self::insecure).
    ///
    /// # Errors
    ///
    /// [`NetError::Insecure`] for `ws://` to another host, [`NetError::Address`] if the URL is
    /// invalid, has no host, has a scheme other than `ws` and `wss`, has a user name, or requires
    /// TLS in a build without it.
    pub fn new(url: &str) -> Result<Self, NetError> {
        let connector = Self::insecure(url)?;
        let is_encrypted = connector.uri.scheme_str() == Some("wss");
        if is_encrypted || is_own_host(&connector.host) {
            Ok(connector)
        } else {
            Err(NetError::Insecure(connector.url))
        }
    }

    /// Creates a connector as [`new`](Self::new) does, also for `ws://` to other hosts: whoever is
    /// on the way can read and change what is sent, with the token of the user. For networks that
    /// encrypt by other means.
    ///
    /// # Errors
    ///
    /// [`NetError::Address`], as `new`.
    pub fn insecure(url: &str) -> Result<Self, NetError> {
        let bad =
            |problem: &str| NetError::Address { url: url.to_owned(), problem: problem.to_owned() };
        let uri: Uri =
            url.parse().map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
        let secure = match uri.scheme_str() {
            Some("ws") => false,
            Some("wss") if cfg!(feature = "tls") => true,
            Some("wss") => return Err(bad("this build does not support TLS")),
            _ => return Err(bad("expected a URL that begins with ws:// or wss://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("no host"))?;
        if authority.as_str().contains('@') {
            return Err(bad("expected a URL without a user name"));
        }
        // Only in URLs, IPv6 addresses are in brackets.
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(bad("no host"));
        }
        Ok(Self {
            port: authority.port_u16().unwrap_or(if secure { 443 } else { 80 }),
            url: url.to_owned(),
            uri,
            host,
            #[cfg(feature = "tls")]
            secure,
            headers: HeaderMap::new(),
            limits: FrameLimits::default(),
            timeout: Duration::from_secs(30),
            #[cfg(feature = "tls")]
            tls: None,
        })
    }

    /// Adds a header to the request, such as a cookie.
    ///
    /// # Errors
    ///
    /// [`NetError::Address`] if the name or the value is invalid, or the header is part of the
    /// handshake.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, NetError> {
        let bad = |problem: String| NetError::Address { url: self.url.clone(), problem };
        let name =
            HeaderName::try_from(name).map_err(|error| bad(format!("header {name}: {error}")))?;
        let value =
            HeaderValue::try_from(value).map_err(|error| bad(format!("header {name}: {error}")))?;
        let taken = ["host", "connection", "upgrade"].contains(&name.as_str())
            || name.as_str().starts_with("sec-websocket-");
        if taken {
            return Err(bad(format!("header {name} is part of the handshake")));
        }
        self.headers.append(name, value);
        Ok(self)
    }

    /// Sets the limits of the connections.
    #[must_use]
    pub const fn limits(mut self, limits: FrameLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the time limit for name resolution, connecting and the handshake together.
    /// Default: 30 s.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the TLS configuration for `wss://`. Default: trusts Mozilla's certificate authorities.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, config: std::sync::Arc<rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }

    async fn open(&self) -> Result<WebSocketTransport<ClientIo>, NetError> {
        let socket = TcpStream::connect((self.host.as_str(), self.port)).await?;
        socket.set_nodelay(true)?;
        #[cfg(feature = "tls")]
        if self.secure {
            let io = super::tls::encrypt(socket, &self.host, self.tls.clone()).await?;
            return self.upgrade(io).await;
        }
        self.upgrade(ClientIo::Plain(socket)).await
    }

    /// Performs the HTTP upgrade over an existing stream.
    ///
    /// # Errors
    ///
    /// [`NetError::Refused`] with the status if the server refuses, [`NetError::Handshake`] if its
    /// response is not a WebSocket handshake, [`NetError::Io`] if the connection fails.
    pub async fn upgrade<IO>(&self, io: IO) -> Result<WebSocketTransport<IO>, NetError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut request = Request::get(self.uri.clone())
            .header("Host", self.uri.authority().map_or("", |authority| authority.as_str()))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", generate_key())
            .body(())
            .map_err(|error| NetError::Handshake(error.to_string()))?;
        request.headers_mut().extend(self.headers.clone());
        let (upgraded, _) =
            client_async(request, HeadReader::new(io)).await.map_err(|error| match error {
                Error::Io(error) => NetError::Io(error),
                Error::Http(response) => NetError::Refused(response.status().as_u16()),
                other => NetError::Handshake(other.to_string()),
            })?;
        let HeadReader { io, early, .. } = upgraded.into_inner();
        Ok(WebSocketTransport::new(io, Role::Client, self.limits, early))
    }
}

impl Connector for WebSocketConnector {
    type Transport = WebSocketTransport<ClientIo>;

    async fn connect(&self) -> Result<Self::Transport, NetError> {
        timeout(self.timeout, self.open())
            .await
            .map_err(|_| NetError::ConnectTimeout(self.timeout))?
    }
}

/// Lets the handshake read exactly the HTTP head, because the first frames of the server may follow
/// in the same read.
struct HeadReader<IO> {
    io: IO,
    early: BytesMut,
    /// The number of matched bytes of [`HEAD_END`].
    matched: usize,
}

const HEAD_END: &[u8; 4] = b"\r\n\r\n";

impl<IO> HeadReader<IO> {
    fn new(io: IO) -> Self {
        Self { io, early: BytesMut::new(), matched: 0 }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for HeadReader<IO> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            ready!(poll_fill(&mut this.io, &mut this.early, cx))?;
        }
        let mut count = 0;
        while count < this.early.len().min(buf.remaining()) && this.matched < HEAD_END.len() {
            let byte = this.early[count];
            this.matched = match byte {
                _ if byte == HEAD_END[this.matched] => this.matched + 1,
                b'\r' => 1,
                _ => 0,
            };
            count += 1;
        }
        buf.put_slice(&this.early[..count]);
        this.early.advance(count);
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for HeadReader<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_host_is_reached_without_encryption() {
        for url in [
            "ws://localhost:31337",
            "ws://app.LOCALHOST./x",
            "ws://127.0.0.9",
            "ws://[::1]:1",
            "ws://[::ffff:127.0.0.1]",
        ] {
            assert!(WebSocketConnector::new(url).is_ok(), "{url}");
        }
        for url in ["ws://example.com", "ws://localhost.example.com", "ws://10.0.0.1", "ws://[::2]"]
        {
            let refused = WebSocketConnector::new(url);
            assert!(matches!(refused, Err(NetError::Insecure(named)) if named == url), "{url}");
            assert!(WebSocketConnector::insecure(url).is_ok(), "{url}");
        }
    }
}
