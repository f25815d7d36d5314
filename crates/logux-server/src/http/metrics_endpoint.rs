//! `/metrics` on an address of its own: access is controlled by the network, and a proxy in front
//! of the server does not forward to it.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HeaderValue},
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinHandle,
    time::{sleep, timeout},
};

use crate::{
    error::BuildError, hub::handle::Handle, telemetry::metrics::CONTENT_TYPE as METRICS_TYPE,
};

/// The largest number of concurrent connections.
const MAX_CONNECTIONS: usize = 16;
/// The largest lifetime of a connection. Prometheus reuses its connection, and opens another one
/// when it is closed.
const MAX_LIFETIME: Duration = Duration::from_secs(120);
/// The time limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The metrics listener; dropping it stops it.
#[derive(Debug)]
pub(crate) struct MetricsEndpoint {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsEndpoint {
    /// Starts to serve on an address.
    pub(crate) fn open(address: SocketAddr, handle: &Handle) -> Result<Self, BuildError> {
        let bind = || {
            let listener = std::net::TcpListener::bind(address)?;
            listener.set_nonblocking(true)?;
            TcpListener::from_std(listener)
        };
        let listener =
            bind().map_err(|source| BuildError::Listen { address: address.to_string(), source })?;
        let address = listener.local_addr().unwrap_or(address);
        Ok(Self { address, task: tokio::spawn(accept(listener, handle.clone())) })
    }

    /// Returns the address that it listens on.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops it, and returns when its address is free.
    pub(crate) async fn close(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for MetricsEndpoint {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn accept(listener: TcpListener, handle: Handle) {
    let connection_slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    while let Ok(permit) = connection_slots.clone().acquire_owned().await {
        let Ok((socket, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let handle = handle.clone();
        connections.spawn(async move {
            let _ = timeout(MAX_LIFETIME, serve(socket, &handle)).await;
            drop(permit);
        });
        // Remove the finished ones; the others end with this task.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, handle: &Handle) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(respond(&request, handle).await) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "HTTP connection to the metrics endpoint failed");
    }
}

async fn respond(request: &Request<Incoming>, handle: &Handle) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    match (request.method(), request.uri().path()) {
        (&Method::GET | &Method::HEAD, "/metrics") => match handle.metrics().await {
            Some(text) => {
                *response.body_mut() = Full::new(text.into());
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(METRICS_TYPE));
            }
            None => *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE,
        },
        _ => *response.status_mut() = StatusCode::NOT_FOUND,
    }
    response
}
