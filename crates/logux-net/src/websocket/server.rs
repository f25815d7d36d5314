//! The server's end.

use bytes::BytesMut;
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    accept_hdr_async,
    tungstenite::{
        Error,
        handshake::server::{ErrorResponse, Response},
        protocol::Role,
    },
};

use super::WebSocketTransport;
use crate::{FrameLimits, NetError};

/// Creates the server's end of a connection after an HTTP upgrade by another library, for example
/// hyper.
///
/// On a TCP socket disable Nagle's algorithm first (`set_nodelay(true)`), otherwise small frames
/// are delayed.
pub fn from_upgraded<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    limits: FrameLimits,
) -> WebSocketTransport<IO> {
    WebSocketTransport::new(io, Role::Server, limits, BytesMut::new())
}

/// Performs the HTTP upgrade on a new connection, on any path, and returns the transport and the
/// request with its path, query and headers.
///
/// It waits for the peer without a time limit: set one. After an invalid request the connection is
/// closed without a response.
///
/// # Errors
///
/// [`NetError::Handshake`] if the request is not an upgrade as RFC 6455 defines it,
/// [`NetError::Io`] if the connection fails.
pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    limits: FrameLimits,
) -> Result<(WebSocketTransport<IO>, Request<()>), NetError> {
    let mut seen = None;
    #[allow(clippy::result_large_err, reason = "tungstenite's signature")]
    let keep = |request: &Request<()>, response: Response| -> Result<Response, ErrorResponse> {
        seen = Some(request.clone());
        Ok(response)
    };
    let upgraded = accept_hdr_async(io, keep).await.map_err(|error| match error {
        Error::Io(error) => NetError::Io(error),
        other => NetError::Handshake(other.to_string()),
    })?;
    let request = seen.ok_or_else(|| NetError::Handshake("no request".to_owned()))?;
    // tungstenite's buffer is empty: it refuses a peer that sends frames before the response.
    Ok((from_upgraded(upgraded.into_inner(), limits), request))
}
