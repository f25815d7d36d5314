//! HTTP in front of the WebSocket: the upgrade, a health check, a page.

use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{
        CONNECTION, CONTENT_TYPE, HeaderMap, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, UPGRADE,
    },
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use logux_net::websocket;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::mpsc,
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    connection::{Shared, serve},
    control::Control,
    origin::Origin,
    room::Place,
    watch::{Event, Refusal, Watch},
};

/// How long a client may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(15);

/// What one accepted socket needs to be served.
#[derive(Clone)]
pub(crate) struct Http {
    pub(crate) shared: Arc<Shared>,
    pub(crate) limits: logux_net::Limits,
    /// The origins of pages that may connect, if not all may.
    pub(crate) origins: Option<Arc<[String]>>,
    /// For actions of the back end, if there is one.
    pub(crate) control: Option<Arc<Control>>,
    /// Dropped by each connection at its end, so that a stop can wait for all.
    pub(crate) alive: mpsc::Sender<()>,
    /// The connection's place among those that there may be.
    pub(crate) place: Option<Arc<Place>>,
}

impl Http {
    /// Where to note what happens.
    pub(crate) fn watch(&self) -> &Watch {
        self.shared.handle.watch()
    }

    /// Serves one accepted socket.
    pub(crate) async fn serve<I>(self, io: I, remote: Option<SocketAddr>)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let service = service_fn(move |request| {
            let response = self.clone().respond(request, remote);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let served = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades()
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, "HTTP connection failed");
        }
    }

    async fn respond(self, request: Request<Incoming>, remote: Option<SocketAddr>) -> Response<Full<Bytes>> {
        if let Some(accept) = upgrade_key(request.headers()) {
            if !self.is_allowed(request.headers()) {
                self.watch().note(&Event::Refused { remote, why: Refusal::Origin });
                return text(StatusCode::FORBIDDEN, "This origin is not allowed\n");
            }
            return self.upgrade(request, remote, accept);
        }
        match (request.method(), request.uri().path()) {
            (&Method::POST, "/") if let Some(control) = &self.control => {
                let address = remote.map(|remote| remote.ip());
                let (status, words) = control.respond(&self.shared, request.into_body(), address).await;
                text(status, words)
            }
            (&Method::GET, "/health") => text(StatusCode::OK, "Logux Server: OK\n"),
            (&Method::GET, "/") => {
                let mut response = text(StatusCode::OK, include_str!("page.html"));
                let html = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, html);
                response
            }
            (_, "/") if self.control.is_some() => text(StatusCode::METHOD_NOT_ALLOWED, "Wrong method"),
            _ => text(StatusCode::NOT_FOUND, "Not found\n"),
        }
    }

    /// Whether a page of this origin may connect. Who sends none is no browser, and could say anything.
    fn is_allowed(&self, headers: &HeaderMap) -> bool {
        let (Some(allowed), Some(origin)) = (&self.origins, headers.get(ORIGIN)) else { return true };
        allowed.iter().any(|allowed| origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes()))
    }

    /// Answers that the connection becomes a WebSocket, and serves it as such. Any path will do, as in the reference.
    fn upgrade(
        self,
        mut request: Request<Incoming>,
        remote: Option<SocketAddr>,
        accept: HeaderValue,
    ) -> Response<Full<Bytes>> {
        let http_headers = std::mem::take(request.headers_mut());
        tokio::spawn(async move {
            match hyper::upgrade::on(request).await {
                Ok(upgraded) => {
                    let transport = websocket::from_upgraded(TokioIo::new(upgraded), self.limits);
                    serve(transport, self.shared, Origin { remote, http_headers }).await;
                }
                Err(error) => tracing::debug!(%error, "WebSocket was not opened"),
            }
            drop((self.alive, self.place));
        });
        let mut response = text(StatusCode::SWITCHING_PROTOCOLS, "");
        let headers = response.headers_mut();
        headers.remove(CONTENT_TYPE);
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
        response
    }
}

/// The proof that the server understood the request for a WebSocket, if it was one.
fn upgrade_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, word: &str| {
        let value = headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        return None;
    }
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

fn text(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
