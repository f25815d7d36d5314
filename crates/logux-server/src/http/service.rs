//! The way in for clients whose connections somebody else accepts.

use std::{net::SocketAddr, sync::Arc};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response, StatusCode, body::Body};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::http::{
    connection::{HttpConnection, HttpContext},
    response::text,
};

/// The way into a server for connections and requests that somebody else has accepted, such as a web application that Logux is a part of.
/// Cheap to clone.
///
/// `peer` is always the address at the other end of the connection, `None` if it has none, as on Unix sockets. Bounds on connections count
/// here too, and [trusted proxies](crate::Config::proxies) are believed.
#[derive(Clone)]
pub struct HttpService(pub(crate) Arc<HttpContext>);

impl std::fmt::Debug for HttpService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("HttpService")
    }
}

impl HttpService {
    /// Serves an accepted connection from its first byte of HTTP to its end. Anything that carries bytes will do.
    pub async fn serve<I>(&self, io: I, peer: Option<SocketAddr>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(connection) = HttpConnection::enter(&self.0, peer) {
            connection.serve(io).await;
        }
    }

    /// Answers a request as a server with a socket of its own does: the upgrade to WebSocket on any path, the application's routes,
    /// `/health`. The request has to come from hyper or what is built on it, since the connection is taken over after the answer.
    pub async fn respond<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match HttpConnection::enter(&self.0, peer) {
            Some(connection) => connection.respond(request).await,
            None => full(),
        }
    }

    /// Answers a request of a client, whatever its path is: the upgrade to WebSocket, or actions that the back end sends. Others get status 426.
    pub async fn upgrade<B>(
        &self,
        request: Request<B>,
        peer: Option<SocketAddr>,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match HttpConnection::enter(&self.0, peer) {
            Some(connection) => connection.respond_anywhere(request).await,
            None => full(),
        }
    }

    /// A route for an `axum` application, on a path of its choice. Serve the application with
    /// `into_make_service_with_connect_info::<SocketAddr>()`, so that Logux knows addresses.
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

fn full() -> Response<Full<Bytes>> {
    text(StatusCode::SERVICE_UNAVAILABLE, "There is no room for this connection now\n")
}
