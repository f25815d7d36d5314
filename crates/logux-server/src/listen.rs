//! Sockets that clients connect to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, time::timeout};
use tokio_rustls::TlsAcceptor;

use crate::{
    BuildError,
    http::Http,
    room::Room,
    watch::{Event, Failure, Refusal},
};

/// How long a client may take to shake hands for TLS.
const TLS_HANDSHAKE: Duration = Duration::from_secs(15);

/// Listens on an address.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, BuildError> {
    let bind = || {
        let socket = if address.is_ipv4() { tokio::net::TcpSocket::new_v4() } else { tokio::net::TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(4_096)
    };
    bind().map_err(|source| BuildError::Listen { address, source })
}

/// Serves every connection that comes.
pub(crate) async fn accept(listener: TcpListener, http: Http, tls: Option<TlsAcceptor>, room: Room) {
    loop {
        let (socket, remote) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, most likely: those in use will come back.
                http.watch().note(&Event::Failed { what: Failure::Accept, error: &error });
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Some(place) = room.enter(remote.ip()) else {
            http.watch().note(&Event::Refused { remote: Some(remote), why: Refusal::TooMany });
            continue;
        };
        let _ = socket.set_nodelay(true);
        let mut http = http.clone();
        http.place = Some(Arc::new(place));
        let tls = tls.clone();
        tokio::spawn(async move {
            match tls {
                None => http.serve(socket, Some(remote)).await,
                Some(tls) => match timeout(TLS_HANDSHAKE, tls.accept(socket)).await {
                    Ok(Ok(socket)) => http.serve(socket, Some(remote)).await,
                    _ => tracing::debug!(%remote, "TLS handshake failed"),
                },
            }
        });
    }
}
