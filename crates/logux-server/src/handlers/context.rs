//! What a handler knows about the action it is called for.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use hyper::{HeaderMap, http::Extensions};
use logux::{
    Action, Entry, Json, Meta, NodeId,
    action::{ActionError, Subprotocol},
    log::Draft,
    server::{HandlerRequest, HandlerResponse, RequestId, RequestKind},
};
use serde::de::DeserializeOwned;

use crate::{
    connection_info::{ConnectionInfo, cookie},
    handlers::pattern::Params,
    hub::handle::{Handle, HandlerResponses},
};

/// One action and who sent it. Cheap to clone.
pub struct Context<S = ()> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    request: HandlerRequest,
    params: Params,
    info: Arc<ConnectionInfo>,
    data: Mutex<Extensions>,
    state: Arc<S>,
    handle: Handle,
}

impl<S> Clone for Context<S> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<S> std::fmt::Debug for Context<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Context")
            .field("request", &self.inner.request)
            .field("params", &self.inner.params)
            .finish()
    }
}

impl<S> Context<S> {
    pub(crate) fn new(
        request: HandlerRequest,
        params: Params,
        info: Arc<ConnectionInfo>,
        state: Arc<S>,
        handle: Handle,
    ) -> Self {
        Self {
            inner: Arc::new(Inner { request, params, info, data: Mutex::default(), state, handle }),
        }
    }

    /// The action.
    pub fn action(&self) -> &Action {
        &self.inner.request.entry.action
    }

    /// The meta of the action.
    pub fn meta(&self) -> &Meta {
        &self.inner.request.entry.meta
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.inner.request.entry
    }

    /// Reads the action into a type of yours.
    ///
    /// # Errors
    /// [`ActionError::Read`] when the fields do not fit; passed on by `?` it undoes the action with the reason `error`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ActionError> {
        self.action().parse()
    }

    /// The user who sent the action, if clients say so in their node ids.
    pub fn user_id(&self) -> Option<&str> {
        self.node_id().user_id()
    }

    /// The client that sent the action: `user:client`.
    pub fn client_id(&self) -> &str {
        self.node_id().client_id()
    }

    /// The node that sent the action.
    pub fn node_id(&self) -> &NodeId {
        &self.inner.request.author.node
    }

    /// Whether the action is the server's own.
    pub fn is_server(&self) -> bool {
        self.node_id().is_server()
    }

    /// The application's protocol version that the author speaks.
    pub fn subprotocol(&self) -> Option<&Subprotocol> {
        self.inner.request.author.subprotocol.as_ref()
    }

    /// What the client says about itself: a JSON object, as it was when the action came to be processed.
    pub fn headers(&self) -> Option<&Json> {
        self.inner.request.author.headers.as_ref()
    }

    /// The headers of the HTTP request that opened the author's connection. Empty when the author is not connected any more, or is the
    /// server itself.
    pub fn http_headers(&self) -> &HeaderMap {
        &self.inner.info.http_headers
    }

    /// A cookie of that request, percent escapes decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(self.http_headers(), name)
    }

    /// The address that the author connects from, or that of a proxy between.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.inner.info.remote
    }

    /// Keeps a value for the handlers that are called after this one for the same action: what `access` has found, `process` need not
    /// look for again. One value of each type; returns the one it replaces.
    pub fn set<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.data().insert(value)
    }

    /// The value of this type that an earlier handler has [`set`](Self::set).
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.data().get().cloned()
    }

    fn data(&self) -> MutexGuard<'_, Extensions> {
        // A panic of another holder leaves the map whole: every change is one call.
        self.inner.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A parameter of the channel's name: `id` in `users/:id`, or a group of a regular expression by its name or number. Empty if there is none of this name.
    pub fn param(&self, name: &str) -> &str {
        self.inner.params.get(name).map_or("", String::as_str)
    }

    /// What all handlers share, given to the builder.
    pub fn state(&self) -> &S {
        &self.inner.state
    }

    /// The server, for actions of your own.
    pub fn server(&self) -> &Handle {
        &self.inner.handle
    }

    /// Sends an action to the author's client alone.
    pub async fn send_back(&self, action: Action) {
        self.send_back_with(action, Draft::default()).await;
    }

    /// Sends an action to the author's client alone, with meta of its own, such as its creation time or a reason to keep it in the server's log.
    pub async fn send_back_with(&self, action: Action, draft: Draft) {
        self.answer(vec![HandlerResponse::Action(action, Box::new(draft))]).await;
    }

    pub(crate) async fn answer(&self, answers: HandlerResponses) {
        self.inner.handle.answer(self.request_id(), answers).await;
    }

    pub(crate) fn request_kind(&self) -> RequestKind {
        self.inner.request.kind
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.inner.request.id
    }
}
