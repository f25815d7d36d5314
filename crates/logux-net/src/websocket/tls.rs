//! The stream below a client's WebSocket: TCP, or TLS over TCP.

use core::{
    pin::Pin,
    task::{Context, Poll},
};
use std::io::{self, IoSlice};
#[cfg(feature = "tls")]
use std::sync::Arc;

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

/// The socket of a client: with TLS for `wss://`, without for `ws://`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ClientIo {
    /// TCP without encryption.
    Plain(TcpStream),
    /// TLS over TCP. Boxed, because its state takes about 1 KB.
    #[cfg(feature = "tls")]
    Tls(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

/// Encrypts a connection to `host`, with the given or the default configuration.
#[cfg(feature = "tls")]
pub(super) async fn encrypt(
    socket: TcpStream,
    host: &str,
    config: Option<Arc<rustls::ClientConfig>>,
) -> io::Result<ClientIo> {
    let name = rustls::pki_types::ServerName::try_from(host.to_owned())
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    let config = match config {
        Some(config) => config,
        None => default_config()?,
    };
    let stream = tokio_rustls::TlsConnector::from(config).connect(name, socket).await?;
    Ok(ClientIo::Tls(Box::new(stream)))
}

/// Returns a configuration that trusts Mozilla's certificate authorities, as compiled in.
///
/// With compiled-in authorities a program trusts the same ones on every machine, even in a
/// container without certificates. For other authorities pass a configuration.
#[cfg(feature = "tls")]
fn default_config() -> io::Result<Arc<rustls::ClientConfig>> {
    use std::sync::OnceLock;
    static CONFIG: OnceLock<Arc<rustls::ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(config.clone());
    }
    let roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(CONFIG.get_or_init(|| Arc::new(config)).clone())
}

macro_rules! delegate {
    ($self:expr, $stream:ident => $call:expr) => {
        match $self.get_mut() {
            ClientIo::Plain(stream) => {
                let $stream = Pin::new(stream);
                $call
            }
            #[cfg(feature = "tls")]
            ClientIo::Tls(stream) => {
                let $stream = Pin::new(&mut **stream);
                $call
            }
        }
    };
}

impl AsyncRead for ClientIo {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_read(cx, buf))
    }
}

impl AsyncWrite for ClientIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self, stream => stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self, stream => stream.poll_shutdown(cx))
    }
}
