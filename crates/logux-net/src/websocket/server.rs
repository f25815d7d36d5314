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
use crate::{Limits, NetError};

/// The server's end of a connection whose HTTP upgrade was done by somebody else, for instance by hyper.
///
/// On a TCP socket turn Nagle's algorithm off first (`set_nodelay(true)`), otherwise small frames wait.
pub fn from_upgraded<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    limits: Limits,
) -> WebSocketTransport<IO> {
    WebSocketTransport::new(io, Role::Server, limits, BytesMut::new())
}

/// Does the HTTP upgrade on a new connection, on any path, and returns the request with it: its path, query and headers.
///
/// It waits for the peer without a time limit: put one around it. What does not ask for a WebSocket is answered by
/// closing the connection.
///
/// # Errors
///
/// [`NetError::Handshake`] if the request is not the upgrade of RFC 6455, [`NetError::Io`] if the connection fails.
pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(
    io: IO,
    limits: Limits,
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
    // Nothing is lost with tungstenite's buffer: it refuses a peer that sends frames before our answer.
    Ok((from_upgraded(upgraded.into_inner(), limits), request))
}
