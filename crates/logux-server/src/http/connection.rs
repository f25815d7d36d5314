//! One HTTP connection: its limits, the upgrade to WebSocket, and the HTTP endpoints.

use std::{
    convert::Infallible,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Body,
    header::{
        ALLOW, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT,
        SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use logux_net::websocket;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::{
    connection::{driver::serve, shared::ConnectionShared},
    connection_info::ConnectionInfo,
    http::{
        connection_limit::{ConnectionLimit, ConnectionPermit},
        control_endpoint::ControlEndpoint,
        inspector_access::InspectorAccess,
        inspector_endpoint,
        origins::OriginCheck,
        response::text,
        routes::{RequestSender, RouteTable},
        trusted_proxies::TrustedProxies,
    },
    hub::log_status::LogState,
    lifecycle::Lifecycle,
    telemetry::{
        Telemetry,
        event::{Event, RefusalReason},
    },
};

/// The time limit for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// What all HTTP connections of a server share.
pub(crate) struct HttpContext {
    pub(crate) shared: Arc<ConnectionShared>,
    pub(crate) limits: logux_net::FrameLimits,
    /// The web pages that may connect.
    pub(crate) origins: OriginCheck,
    /// The endpoint for actions of the back end, if there is one.
    pub(crate) control: Option<Arc<ControlEndpoint>>,
    /// The application's own routes; `None` if the server accepts only WebSocket.
    pub(crate) routes: Option<Arc<dyn RouteTable>>,
    pub(crate) proxies: TrustedProxies,
    pub(crate) inspector_access: InspectorAccess,
    pub(crate) connection_limit: ConnectionLimit,
    pub(crate) lifecycle: watch::Receiver<Lifecycle>,
    /// Each connection holds a sender until its end, so that a shutdown can wait for all of them.
    pub(crate) alive: mpsc::WeakSender<()>,
}

impl HttpContext {
    /// Returns the telemetry to record events in.
    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.shared.handle.telemetry()
    }
}

/// One accepted connection. Its clones live as long as the connection.
#[derive(Clone)]
pub(crate) struct HttpConnection {
    http: Arc<HttpContext>,
    peer: Option<SocketAddr>,
    _permit: Arc<ConnectionPermit>,
    _alive: mpsc::Sender<()>,
}

impl HttpConnection {
    /// Accepts a connection, unless a connection limit is reached or the server has stopped. The
    /// address of a client behind a proxy is counted later, when the request with its address is
    /// received.
    pub(crate) fn accept(http: &Arc<HttpContext>, peer: Option<SocketAddr>) -> Option<Self> {
        let address = peer.filter(|_| !http.proxies.trusts(peer)).map(|peer| peer.ip());
        let Some(permit) = http.connection_limit.try_acquire(address) else {
            http.telemetry().record(&Event::Refused { remote: peer, why: RefusalReason::TooMany });
            return None;
        };
        Some(Self {
            _permit: Arc::new(permit),
            _alive: http.alive.upgrade()?,
            http: http.clone(),
            peer,
        })
    }

    /// Serves one accepted socket.
    pub(crate) async fn serve<I>(self, io: I)
    where
        I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut lifecycle = self.http.lifecycle.clone();
        let service = service_fn(move |request| {
            let response = self.clone().respond(request);
            async move { Ok::<_, Infallible>(response.await) }
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(16 * 1024)
            .serve_connection(TokioIo::new(io), service)
            .with_upgrades();
        let mut connection = pin!(connection);
        // A dropped server ends the wait too.
        let disconnecting = async move {
            drop(lifecycle.wait_for(|lifecycle| *lifecycle == Lifecycle::Disconnecting).await)
        };
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = disconnecting => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "HTTP connection failed");
        }
    }

    /// Answers a request to this server.
    pub(crate) async fn respond<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(stopping_response) = self.stopping_response() {
            return stopping_response;
        }
        if let Some(accept) = upgrade_key(request.headers()) {
            return self.upgrade(request, accept);
        }
        let Some(routes) = &self.http.routes else { return upgrade_required() };
        let remote = self.http.proxies.client(self.peer, request.headers());
        let (method, uri, headers) = (request.method(), request.uri(), request.headers());
        let is_direct = !self.http.proxies.is_forwarded_by_other(self.peer, headers);
        if let Some(route) = routes.find(method, uri.path()) {
            let sees_inspector = is_direct
                && self.http.telemetry().inspector().is_some()
                && self.http.inspector_access.allows(remote.map(|remote| remote.ip()), headers);
            let control_address = self.control_address(headers);
            let sender = RequestSender { remote, control_address, sees_inspector };
            return route.respond(request, sender, self.http.telemetry()).await;
        }
        if is_direct
            && let Some(response) = inspector_endpoint::respond(
                &self.http.shared.handle,
                &self.http.inspector_access,
                remote,
                method,
                uri,
                headers,
            )
            .await
        {
            return response;
        }
        // hyper does not send the body of the response to a `HEAD` request.
        let is_read = [Method::GET, Method::HEAD].contains(request.method());
        let has_control = self.http.control.is_some();
        match request.uri().path() {
            "/health" if is_read => match self.http.shared.handle.log_status().state() {
                LogState::Available => text(StatusCode::OK, "Logux Server: OK\n"),
                LogState::Waiting | LogState::Closed => text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "Logux Server: the log cannot be written now\n",
                ),
            },
            "/health" => wrong_method("GET, HEAD"),
            "/" if is_read => {
                let mut response = text(StatusCode::OK, include_str!("page.html"));
                let html = HeaderValue::from_static("text/html; charset=utf-8");
                response.headers_mut().insert(CONTENT_TYPE, html);
                response
            }
            "/" if has_control && request.method() == Method::POST => self.control(request).await,
            "/" if has_control => wrong_method("GET, HEAD, POST"),
            "/" => wrong_method("GET, HEAD"),
            _ => text(StatusCode::NOT_FOUND, "Not found\n"),
        }
    }

    /// Answers a request that another server's routes have forwarded, on any path: an upgrade, or
    /// actions of the back end.
    pub(crate) async fn respond_anywhere<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some(stopping_response) = self.stopping_response() {
            return stopping_response;
        }
        match upgrade_key(request.headers()) {
            Some(accept) => self.upgrade(request, accept),
            None if request.method() == Method::POST && self.http.control.is_some() => {
                self.control(request).await
            }
            None => upgrade_required(),
        }
    }

    /// Returns the response to every request while the server stops.
    fn stopping_response(&self) -> Option<Response<Full<Bytes>>> {
        if *self.http.lifecycle.borrow() == Lifecycle::Serving {
            return None;
        }
        let mut response = text(StatusCode::SERVICE_UNAVAILABLE, "The server is stopping\n");
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        Some(response)
    }

    async fn control<B>(self, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let Some(control) = &self.http.control else {
            return text(StatusCode::NOT_FOUND, "Not found\n");
        };
        let remote = self.control_address(request.headers());
        let (status, message) =
            control.respond(&self.http.shared, request.into_body(), remote).await;
        text(status, message)
    }

    /// Returns the address of the sender of a control request. `None` if a trusted proxy has not
    /// told it.
    fn control_address(&self, headers: &HeaderMap) -> Option<IpAddr> {
        let proxies = &self.http.proxies;
        match proxies.client(self.peer, headers) {
            Some(remote) => Some(remote.ip()),
            // Only programs on this machine can open a Unix socket. A proxy on it that is trusted
            // must tell the address.
            None if !proxies.trusts(None) => Some(Ipv4Addr::LOCALHOST.into()),
            None => None,
        }
    }

    /// Upgrades the connection to WebSocket and serves it. Accepts any path, as the reference does.
    fn upgrade<B>(self, mut request: Request<B>, accept: HeaderValue) -> Response<Full<Bytes>> {
        if self.http.shared.handle.log_status().state() == LogState::Closed {
            return text(StatusCode::SERVICE_UNAVAILABLE, "The log cannot be written now\n");
        }
        let is_proxied = self.http.proxies.trusts(self.peer);
        if let Err(wrong) = self.http.origins.check(request.headers(), is_proxied) {
            let remote = self.http.proxies.client(self.peer, request.headers());
            let why = RefusalReason::Origin { page: &wrong.page, allowed: &wrong.allowed };
            self.http.telemetry().record(&Event::Refused { remote, why });
            return text(StatusCode::FORBIDDEN, "This origin is not allowed\n");
        }
        let http = &self.http;
        let remote = http.proxies.client(self.peer, request.headers());
        let mut permit_behind_proxy = None;
        if let (true, Some(remote)) = (http.proxies.trusts(self.peer), remote) {
            permit_behind_proxy = http.connection_limit.try_acquire_for_address(remote.ip());
            if permit_behind_proxy.is_none() {
                http.telemetry()
                    .record(&Event::Refused { remote: Some(remote), why: RefusalReason::TooMany });
                return text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "There is no room for this connection now\n",
                );
            }
        }
        let upgrading = hyper::upgrade::on(&mut request);
        let http_headers = stored_headers(request.headers());
        tokio::spawn(async move {
            match upgrading.await {
                Ok(upgraded) => {
                    let transport =
                        websocket::from_upgraded(TokioIo::new(upgraded), self.http.limits);
                    serve(
                        transport,
                        self.http.shared.clone(),
                        ConnectionInfo::new(remote, http_headers),
                    )
                    .await;
                }
                Err(error) => tracing::debug!(%error, "WebSocket was not opened"),
            }
            drop((self, permit_behind_proxy));
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

/// Returns the `Sec-WebSocket-Accept` value if the request asks for a WebSocket.
fn upgrade_key(headers: &HeaderMap) -> Option<HeaderValue> {
    let has = |name, word: &str| {
        let value = headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
            .unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
    };
    if !has(CONNECTION, "upgrade") || !has(UPGRADE, "websocket") {
        return None;
    }
    let key = headers.get(SEC_WEBSOCKET_KEY)?;
    HeaderValue::from_str(&derive_accept_key(key.as_bytes())).ok()
}

/// The headers of an opening handshake that concern only its connection.
const CONNECTION_HEADERS: [HeaderName; 5] =
    [CONNECTION, UPGRADE, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, SEC_WEBSOCKET_EXTENSIONS];

/// Copies the headers, without those that concern only this connection. Those of the request are
/// views into its read buffer of about 8 KiB and would keep it allocated.
fn stored_headers(headers: &HeaderMap) -> HeaderMap {
    let is_connection_header = |name: &HeaderName| CONNECTION_HEADERS.contains(name);
    let copy = |(name, value): (&HeaderName, &HeaderValue)| {
        let name = HeaderName::from_bytes(name.as_str().as_bytes()).ok()?;
        Some((name, HeaderValue::from_bytes(value.as_bytes()).ok()?))
    };
    headers.iter().filter(|(name, _)| !is_connection_header(name)).filter_map(copy).fold(
        HeaderMap::new(),
        |mut stored, (name, value)| {
            stored.append(name, value);
            stored
        },
    )
}

/// Returns the response to a request with another method than those in `allowed`.
fn wrong_method(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Wrong method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn upgrade_required() -> Response<Full<Bytes>> {
    let mut response =
        text(StatusCode::UPGRADE_REQUIRED, "Logux clients connect here by WebSocket\n");
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    response
}
