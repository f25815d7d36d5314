//! The application's own HTTP routes, on the port of the WebSocket.

use std::{
    collections::HashMap,
    fmt,
    future::Future,
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Body,
    header::{CONTENT_TYPE, HeaderName, HeaderValue},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::{
    connection_info::cookie,
    error::{BuildError, HandlerError},
    handlers::handler::BoxFuture,
    http::response::text,
    hub::handle::Handle,
    telemetry::{
        Telemetry,
        event::{Event, Failure},
    },
};

/// The time limit for the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// Who sent a request, as far as the connection knows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RequestSender {
    /// The client's address, as reported by trusted proxies.
    pub(crate) remote: Option<SocketAddr>,
    /// The address for the mask of control requests. `None` if a trusted proxy has not told it.
    pub(crate) control_address: Option<IpAddr>,
    /// Whether the sender may see the inspector of this server.
    pub(crate) sees_inspector: bool,
}

/// A complete request to one of the application's own routes.
pub struct HttpRequest<S = ()> {
    head: Parts,
    body: Bytes,
    sender: RequestSender,
    state: Arc<S>,
    handle: Handle,
}

impl<S> HttpRequest<S> {
    /// Returns the method.
    pub const fn method(&self) -> &Method {
        &self.head.method
    }

    /// Returns the path and query.
    pub const fn uri(&self) -> &Uri {
        &self.head.uri
    }

    /// Returns the headers.
    pub const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// Returns the value of a cookie, with percent escapes decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(&self.head.headers, name)
    }

    /// Returns the body, empty if there is none. At most
    /// [`Config::max_body_bytes`](crate::Config::max_body_bytes) bytes.
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Reads the body as JSON.
    ///
    /// # Errors
    /// If the body is not JSON of this type. Passed on with `?`, the response has status 500;
    /// respond with 400 yourself if the client is at fault.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Returns the client's address, as reported by [trusted proxies](crate::Config::proxies);
    /// `None` if it has no IP address.
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.sender.remote
    }

    /// Returns what is known about the sender.
    pub(crate) const fn sender(&self) -> &RequestSender {
        &self.sender
    }

    /// Returns the application's state that was given to the builder.
    pub fn state(&self) -> &S {
        &self.state
    }

    /// Returns the handle of the server, for example to add actions.
    pub const fn server(&self) -> &Handle {
        &self.handle
    }
}

impl<S> fmt::Debug for HttpRequest<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRequest")
            .field("method", self.method())
            .field("uri", self.uri())
            .finish_non_exhaustive()
    }
}

/// The response of a route. Converted from a string, a status, both, or a whole response.
#[derive(Debug)]
pub struct HttpResponse(Response<Full<Bytes>>);

impl HttpResponse {
    /// Sets a header.
    pub(crate) fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.0.headers_mut().insert(name, HeaderValue::from_static(value));
        self
    }
}

impl From<Response<Bytes>> for HttpResponse {
    fn from(response: Response<Bytes>) -> Self {
        Self(response.map(Full::new))
    }
}

impl From<Response<String>> for HttpResponse {
    fn from(response: Response<String>) -> Self {
        Self(response.map(|text| Full::new(text.into())))
    }
}

impl From<(StatusCode, String)> for HttpResponse {
    fn from((status, text): (StatusCode, String)) -> Self {
        let mut response = Response::new(Full::new(Bytes::from(text)));
        *response.status_mut() = status;
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        Self(response)
    }
}

impl From<(StatusCode, serde_json::Value)> for HttpResponse {
    fn from((status, value): (StatusCode, serde_json::Value)) -> Self {
        let mut response = Self::from(value);
        *response.0.status_mut() = status;
        response
    }
}

impl From<(StatusCode, &str)> for HttpResponse {
    fn from((status, text): (StatusCode, &str)) -> Self {
        (status, text.to_owned()).into()
    }
}

impl From<StatusCode> for HttpResponse {
    fn from(status: StatusCode) -> Self {
        (status, String::new()).into()
    }
}

impl From<&str> for HttpResponse {
    fn from(text: &str) -> Self {
        (StatusCode::OK, text).into()
    }
}

impl From<String> for HttpResponse {
    fn from(text: String) -> Self {
        (StatusCode::OK, text).into()
    }
}

impl From<()> for HttpResponse {
    fn from((): ()) -> Self {
        StatusCode::NO_CONTENT.into()
    }
}

impl From<serde_json::Value> for HttpResponse {
    fn from(value: serde_json::Value) -> Self {
        let mut response = Self::from(value.to_string());
        response.0.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

type Handler<S> = Arc<dyn Fn(HttpRequest<S>) -> BoxFuture<HttpResponse> + Send + Sync>;

/// The routes that the application has registered.
pub(crate) struct Routes<S> {
    by_path: HashMap<String, Vec<(Method, Handler<S>)>>,
    /// Paths, without a slash at the end, with a handler for all requests to them and below them.
    below: Vec<(&'static str, Handler<S>)>,
    fallback: Option<Handler<S>>,
}

impl<S> Default for Routes<S> {
    fn default() -> Self {
        Self { by_path: HashMap::new(), below: Vec::new(), fallback: None }
    }
}

pub(crate) fn handler<S, F, R>(
    handler: impl Fn(HttpRequest<S>) -> F + Send + Sync + 'static,
) -> Handler<S>
where
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<HttpResponse>,
{
    Arc::new(move |request| {
        let response = handler(request);
        Box::pin(async move { response.await.map(Into::into) })
    })
}

impl<S> Routes<S> {
    pub(crate) fn add(
        &mut self,
        method: Method,
        path: &str,
        handler: Handler<S>,
    ) -> Result<(), BuildError> {
        if !path.starts_with('/') {
            return Err(BuildError::Route {
                path: path.to_owned(),
                why: "a path must start with `/`",
            });
        }
        let handlers = self.by_path.entry(path.to_owned()).or_default();
        if handlers.iter().any(|(other, _)| *other == method) {
            return Err(BuildError::Route {
                path: path.to_owned(),
                why: "it already has a handler for this method",
            });
        }
        handlers.push((method, handler));
        Ok(())
    }

    /// Adds a handler for all requests to a path and below it that have no handler of their own.
    pub(crate) fn add_below(
        &mut self,
        path: &'static str,
        handler: Handler<S>,
    ) -> Result<(), BuildError> {
        if self.below.iter().any(|(other, _)| *other == path) {
            let why = "the server has its own handler there already";
            return Err(BuildError::Route { path: path.to_owned(), why });
        }
        self.below.push((path, handler));
        Ok(())
    }

    pub(crate) fn set_other(&mut self, handler: Handler<S>) -> Result<(), BuildError> {
        match self.fallback.replace(handler) {
            None => Ok(()),
            Some(_) => Err(BuildError::DuplicateFallback("other HTTP requests")),
        }
    }

    /// Returns the handler of a request. `HEAD` uses the handler of `GET`; hyper does not send the
    /// body.
    fn find(&self, method: &Method, path: &str) -> Option<Handler<S>> {
        let handlers = self.by_path.get(path).map(Vec::as_slice).unwrap_or_default();
        let exact = handlers.iter().find(|(own, _)| own == method);
        let found = exact.or_else(|| {
            handlers.iter().find(|(own, _)| method == Method::HEAD && own == Method::GET)
        });
        let is_below = |start: &str| {
            path.strip_prefix(start).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let below = || self.below.iter().find(|(start, _)| is_below(start));
        let found = found.map(|(_, handler)| handler);
        let found = found.or_else(|| below().map(|(_, handler)| handler));
        found.or(self.fallback.as_ref()).cloned()
    }
}

/// The routes of a running server, independent of the type of its state.
pub(crate) trait RouteTable: Send + Sync {
    /// Returns the route of a request. O(methods of the path).
    fn find(&self, method: &Method, path: &str) -> Option<Route>;
}

/// Routes with the state and the handle for their handlers.
pub(crate) struct BoundRoutes<S> {
    pub(crate) routes: Routes<S>,
    pub(crate) max_body_bytes: usize,
    pub(crate) state: Arc<S>,
    pub(crate) handle: Handle,
}

impl<S: Send + Sync + 'static> RouteTable for BoundRoutes<S> {
    fn find(&self, method: &Method, path: &str) -> Option<Route> {
        let handler = self.routes.find(method, path)?;
        let (state, handle) = (self.state.clone(), self.handle.clone());
        let call =
            move |head, body, sender| handler(HttpRequest { head, body, sender, state, handle });
        Some(Route { max_body_bytes: self.max_body_bytes, call: Box::new(call) })
    }
}

/// The handler of one request.
pub(crate) struct Route {
    max_body_bytes: usize,
    call: Box<dyn FnOnce(Parts, Bytes, RequestSender) -> BoxFuture<HttpResponse> + Send>,
}

impl Route {
    pub(crate) async fn respond<B>(
        self,
        request: Request<B>,
        sender: RequestSender,
        telemetry: &Telemetry,
    ) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (head, body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let body =
            match timeout(BODY_TIMEOUT, Limited::new(body, self.max_body_bytes).collect()).await {
                Err(_) => return text(StatusCode::REQUEST_TIMEOUT, "Too slow\n"),
                Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                    return text(StatusCode::PAYLOAD_TOO_LARGE, "Too long\n");
                }
                Ok(Err(_)) => return text(StatusCode::BAD_REQUEST, "The body is cut off\n"),
                Ok(Ok(body)) => body.to_bytes(),
            };
        let call = self.call;
        let response = async move { call(head, body, sender).await };
        let failed = |error: &dyn fmt::Display| {
            telemetry.record(&Event::Failed { what: Failure::Route { path: &path }, error });
            text(StatusCode::INTERNAL_SERVER_ERROR, "Internal error\n")
        };
        match AssertUnwindSafe(response).catch_unwind().await {
            Ok(Ok(HttpResponse(response))) => response,
            Ok(Err(HandlerError::Denied)) => text(StatusCode::FORBIDDEN, "Denied\n"),
            Ok(Err(HandlerError::Undo { reason, .. })) => {
                HttpResponse::from((StatusCode::BAD_REQUEST, reason)).0
            }
            Ok(Err(HandlerError::Failed(error) | HandlerError::Unavailable(error))) => {
                failed(&error)
            }
            Ok(Err(
                HandlerError::NotFound | HandlerError::UnknownType | HandlerError::WrongChannel,
            )) => text(StatusCode::NOT_FOUND, "Not found\n"),
            Ok(Err(HandlerError::Gone)) => failed(&HandlerError::Gone.message()),
            Err(_) => failed(&"the handler panicked"),
        }
    }
}
