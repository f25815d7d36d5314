//! The entry for connections and requests that another server accepts.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Body};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::{
    connection::{HttpConnection, HttpContext},
    response::text,
};

/// Serves connections and requests that another server has accepted, such as a web application that
/// contains Logux. Cheap to clone.
///
/// `peer` is the address at the other end of the connection; `None` if it has none, as on Unix
/// sockets. The connection limits apply, and [trusted proxies](crate::Config::proxies) are
/// supported.
#[derive(Clone)]
pub struct HttpService(pub(crate) Arc<HttpContext>);

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpService")
    }
}

impl HttpService {
    /// Serves an accepted connection from its first byte of HTTP until its end. Accepts any byte
    /// stream.
    pub async fn serve<I>(&self, io: I, peer: Option<SocketAddr>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(connection) = HttpConnection::accept(&self.0, peer) {
            connection.serve(io).await;
        }
    }

    /// Answers a request as a server with its own socket does: the upgrade to WebSocket on any
    /// path, the application's routes, `/health`. The request must come from hyper or a library on
    /// top of it, because an upgrade takes over the connection after the response.
    pub async fn respond<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match HttpConnection::accept(&self.0, peer) {
            Some(connection) => connection.respond(request).await,
            None => too_many_connections(),
        }
    }

    /// Answers a request of a client on any path: the upgrade to WebSocket, or actions of the back
    /// end. Other requests receive status 426.
    pub async fn upgrade<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match HttpConnection::accept(&self.0, peer) {
            Some(connection) => connection.respond_anywhere(request).await,
            None => too_many_connections(),
        }
    }

    /// Returns a route for an `axum` application, for any path. Serve the application with
    /// `into_make_service_with_connect_info::<SocketAddr>()`, so that Logux knows the addresses of
    /// clients.
    ///
    /// ```no_run
    /// use std::net::SocketAddr;
    /// use axum::{Router, routing::get};
    ///
    /// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
    /// let logux = logux_server::Server::builder().auth(|_| async { Ok(true) }).attach().await?;
    /// let app = Router::new().route("/", get(|| async { "Hello" })).route("/logux", logux.http_service().route());
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    /// axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
    ///     .with_graceful_shutdown(logux_server::stop_signal())
    ///     .await?;
    /// logux.shutdown().await?;
    /// # Ok(())
    /// # }
    /// ```
    #[cfg(feature = "axum")]
    pub fn route<A: Clone + Send + Sync + 'static>(&self) -> axum::routing::MethodRouter<A> {
        use axum::extract::{ConnectInfo, Request};
        let http_service = self.clone();
        axum::routing::any(move |request: Request| async move {
            let peer = request
                .extensions()
                .get::<ConnectInfo<SocketAddr>>()
                .map(|ConnectInfo(peer)| *peer);
            http_service.upgrade(request, peer).await
        })
    }
}

fn too_many_connections() -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, "There is no room for this connection now\n")
}
