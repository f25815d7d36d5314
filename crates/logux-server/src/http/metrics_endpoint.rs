//! `/metrics` on an address of its own: who can reach it may read it, and a proxy in front of the server does not lead there.

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

/// How many may read at a time.
const READERS: usize = 16;
/// How long one connection may last. Prometheus asks again over it, and opens another one without a word when it is gone.
const LIFETIME: Duration = Duration::from_secs(120);
/// How long a reader may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(10);

/// The listener; dropping it ends it.
#[derive(Debug)]
pub(crate) struct MetricsEndpoint {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl MetricsEndpoint {
    /// Begins to serve on an address.
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

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it, and returns when its address is free.
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
    let readers = Arc::new(Semaphore::new(READERS));
    let mut connections = tokio::task::JoinSet::new();
    while let Ok(permit) = readers.clone().acquire_owned().await {
        let Ok((socket, _)) = listener.accept().await else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let handle = handle.clone();
        connections.spawn(async move {
            let _ = timeout(LIFETIME, serve(socket, &handle)).await;
            drop(permit);
        });
        // Those that have ended are forgotten; all end with this task.
        while connections.try_join_next().is_some() {}
    }
}

async fn serve(socket: TcpStream, handle: &Handle) {
    let service =
        service_fn(|request| async move { Ok::<_, Infallible>(respond(&request, handle).await) });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(socket), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "HTTP connection of a reader of metrics failed");
    }
}

async fn respond(request: &Request<Incoming>, handle: &Handle) -> Response<Full<Bytes>> {
    let mut response = Response::default();
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => match handle.metrics().await {
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
