//! The argument of a handler.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use hyper::{HeaderMap, http::Extensions};
use logux::{
    Action, Entry, Json, Meta, NodeId,
    action::{ActionError, Subprotocol},
    log::Draft,
    server::{HandlerRequest, HandlerResponse, RequestId, RequestKind, SessionId},
};
use serde::de::DeserializeOwned;

use crate::{
    claims::{Claims, UnknownClaims},
    connection_info::cookie,
    error::HandlerError,
    handlers::{
        channel::{InitialActions, PAGE_BYTES},
        pattern::Params,
    },
    hub::{
        application::AuthorConnection,
        handle::{Handle, HandlerResponses, PageResult},
    },
};

/// The argument of a handler: an action with its author, and the server. Cheap to clone.
pub struct Context<S = ()> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    request: HandlerRequest,
    params: Params,
    connection: AuthorConnection,
    data: Mutex<Extensions>,
    /// The size of the actions that were sent back since the hub last handled all of them.
    sent_bytes: AtomicUsize,
    state: Arc<S>,
    handle: Handle,
}

/// The action that takes the place of the one of a context, by `resend`: others receive it, and the
/// log keeps it.
#[derive(Clone)]
pub(crate) struct Replacement(pub(crate) Action);

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
        connection: AuthorConnection,
        state: Arc<S>,
        handle: Handle,
    ) -> Self {
        let (data, sent_bytes) = (Mutex::default(), AtomicUsize::new(0));
        Self {
            inner: Arc::new(Inner { request, params, connection, data, sent_bytes, state, handle }),
        }
    }

    /// Returns the action.
    pub fn action(&self) -> &Action {
        &self.inner.request.entry.action
    }

    /// Returns the meta of the action.
    pub fn meta(&self) -> &Meta {
        &self.inner.request.entry.meta
    }

    /// Returns the context of another action in place of this one, by the same author.
    pub(crate) fn with_action(&self, action: Action) -> Self {
        let Inner { request, params, connection, state, handle, .. } = &*self.inner;
        let entry = Arc::new(Entry::new(action, request.entry.meta.clone()));
        let request = HandlerRequest { entry, ..request.clone() };
        Self::new(request, params.clone(), connection.clone(), state.clone(), handle.clone())
    }

    pub(crate) fn entry(&self) -> &Entry {
        &self.inner.request.entry
    }

    /// Deserializes the action.
    ///
    /// # Errors
    /// [`ActionError::Read`] if the fields do not match the type. If a handler returns it with `?`,
    /// the action is undone with the reason `error`.
    pub fn parse<T: DeserializeOwned>(&self) -> Result<T, ActionError> {
        self.action().parse()
    }

    /// Returns the user who sent the action. `None` if the node id has no user.
    pub fn user_id(&self) -> Option<&str> {
        self.node_id().user_id()
    }

    /// Returns the client that sent the action: `user:client`.
    pub fn client_id(&self) -> &str {
        self.node_id().client_id()
    }

    /// Returns the node that sent the action.
    pub fn node_id(&self) -> &NodeId {
        &self.inner.request.author.node
    }

    /// Returns `true` if the server itself added the action.
    pub fn is_server(&self) -> bool {
        self.node_id().is_server()
    }

    /// Returns the claims of the author's login
    /// ([`AuthOutcome::with_claims`](crate::AuthOutcome::with_claims)): those of the connection
    /// that sent the action or, if it has ended, those of the user's latest login.
    ///
    /// # Errors
    /// [`HandlerError::Unavailable`] if the author is not connected, and its claims are not known:
    /// the server has restarted, or 10,000 others have logged in since then. Pass it on: the
    /// action is neither undone nor lost, and its handlers are called again when the user connects.
    /// Actions of the server itself have no claims.
    pub fn claims(&self) -> Result<Claims, HandlerError> {
        if self.is_server() {
            return Ok(Claims::default());
        }
        let of_connection = self.inner.connection.info.claims.get().cloned();
        let known = of_connection.or_else(|| self.server().known_claims().find(self.node_id()));
        known.ok_or_else(|| HandlerError::unavailable(UnknownClaims))
    }

    /// Returns the version of the application's own protocol that the author uses.
    pub fn subprotocol(&self) -> Option<&Subprotocol> {
        self.inner.request.author.subprotocol.as_ref()
    }

    /// Returns the headers of the client, a JSON object, as they were when the action was given to
    /// its handlers.
    pub fn headers(&self) -> Option<&Json> {
        self.inner.request.author.headers.as_ref()
    }

    /// Returns the headers of the HTTP request that opened the author's connection. Empty if the
    /// author is no longer connected, or is the server itself.
    pub fn http_headers(&self) -> &HeaderMap {
        &self.inner.connection.info.http_headers
    }

    /// Returns a cookie of that request, percent-decoded.
    pub fn cookie(&self, name: &str) -> Option<String> {
        cookie(self.http_headers(), name)
    }

    /// Returns the address of the author, or of a proxy that is not
    /// [trusted](crate::Config::proxies). `None` if the author is not connected, or not by IP.
    pub fn remote(&self) -> Option<SocketAddr> {
        self.inner.connection.info.remote
    }

    /// Stores a value for the handlers that are called later for the same action, so that `process`
    /// can use the results of `access`. There is one value per type; returns the previous one.
    pub fn set<T: Clone + Send + Sync + 'static>(&self, value: T) -> Option<T> {
        self.data().insert(value)
    }

    /// Returns the value of this type that an earlier handler has [`set`](Self::set).
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.data().get().cloned()
    }

    fn data(&self) -> MutexGuard<'_, Extensions> {
        // A poisoned lock is consistent: every change is one call.
        self.inner.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a parameter of the channel's name: `id` of `users/:id`, or a group of a regular
    /// expression by its name or number. Empty if there is no such parameter.
    pub fn param(&self, name: &str) -> &str {
        self.inner.params.get(name).map_or("", String::as_str)
    }

    /// Returns the state that all handlers share, from
    /// [`Server::builder_with`](crate::Server::builder_with).
    pub fn state(&self) -> &S {
        &self.inner.state
    }

    /// Returns the server, to add actions of the application's own.
    pub fn server(&self) -> &Handle {
        &self.inner.handle
    }

    /// Sends an action to the author's client alone. Waits until the client has read most of what
    /// this and other handlers of its actions have sent to it.
    pub async fn send_back(&self, action: Action) {
        self.send_back_with(action, Draft::default()).await;
    }

    /// Sends an action to the author's client alone, with optional meta, such as its creation time
    /// or a reason to keep it in the server's log. Waits as [`send_back`](Self::send_back) does.
    pub async fn send_back_with(&self, action: Action, draft: Draft) {
        // For a client that has left, the log keeps the action if it belongs to the answer.
        let _ = self.inner.connection.reader.room().await;
        let bytes = action.as_json().len();
        let responses = vec![HandlerResponse::Action(action, Box::new(draft))];
        if self.inner.sent_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes < PAGE_BYTES {
            return self.respond(responses).await;
        }
        // What is in the queue of the hub is not in the outbox yet: wait for it.
        self.inner.sent_bytes.store(0, Ordering::Relaxed);
        let _ = self.inner.handle.send_page(self.request_id(), responses).await;
    }

    /// Sends a part of a channel's state to the subscriber, for a [`load`](crate::Channel::load)
    /// that reads a large state in pages. First waits until the client has read most of the earlier
    /// pages: so a state of any size needs the memory of a page, and no slow client loses its
    /// connection because of its own state. The later actions of the client are processed in the
    /// meantime.
    ///
    /// A page of about 64 KiB is a good size. One action is never split.
    ///
    /// ```
    /// # use logux::Action;
    /// # use logux_server::{HandlerError, Server};
    /// # async fn rows_after(_: u64) -> Result<Vec<(u64, String)>, HandlerError> { Ok(Vec::new()) }
    /// let server = Server::builder().channel("rows", |channel| {
    ///     channel.access(|_| async { Ok(true) }).load(|context| async move {
    ///         let mut last = 0;
    ///         loop {
    ///             let rows = rows_after(last).await?;
    ///             let Some((number, _)) = rows.last() else { return Ok(()) };
    ///             last = *number;
    ///             let page = rows.iter().map(|(_, json)| Action::new(json.as_str()));
    ///             context.send_page(page.collect::<Result<Vec<_>, _>>()?).await?;
    ///         }
    ///     })
    /// });
    /// ```
    ///
    /// # Errors
    /// [`HandlerError::Gone`] if the client has left or has unsubscribed, or if the server stops.
    /// Return it from the handler.
    pub async fn send_page(&self, page: impl Into<InitialActions>) -> Result<(), HandlerError> {
        self.wait_for_reader().await?;
        let InitialActions(actions) = page.into();
        let response = |(action, draft)| HandlerResponse::Action(action, Box::new(draft));
        self.respond_with_page(actions.into_iter().map(response).collect()).await.map(drop)
    }

    /// Waits until a subscriber has read most of the state that it was sent. If it has not yet,
    /// the later actions of its client do not wait for the rest.
    pub(crate) async fn wait_for_reader(&self) -> Result<(), HandlerError> {
        let reader = &self.inner.connection.reader;
        if reader.is_busy() {
            self.respond(vec![HandlerResponse::Paused]).await;
        }
        reader.room().await.map_err(|_| HandlerError::Gone)
    }

    /// Waits until the author's client has left or the server stops.
    pub(crate) async fn client_left(&self) {
        self.inner.connection.reader.gone().await;
    }

    /// Sends responses of which one may be a page. Returns whether the log has more kept actions.
    pub(crate) async fn respond_with_page(
        &self,
        responses: HandlerResponses,
    ) -> Result<bool, HandlerError> {
        match self.inner.handle.send_page(self.request_id(), responses).await {
            PageResult::Sent => Ok(false),
            PageResult::SentWithMore => Ok(true),
            PageResult::NotNeeded => Err(HandlerError::Gone),
        }
    }

    pub(crate) async fn respond(&self, responses: HandlerResponses) {
        self.inner.handle.respond(self.request_id(), responses).await;
    }

    /// Returns the connection of the author. `None` if it is not connected.
    pub(crate) fn session(&self) -> Option<SessionId> {
        self.inner.request.author.session
    }

    pub(crate) fn request_kind(&self) -> RequestKind {
        self.inner.request.kind
    }

    pub(crate) fn request_id(&self) -> RequestId {
        self.inner.request.id
    }
}
