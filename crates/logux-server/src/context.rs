//! What a handler knows about the action it is called for.

use std::sync::Arc;

use logux::{
    Action, Json, Meta, NodeId, WallTime,
    action::{ActionError, Subprotocol},
    server::{Answer, Ask, Job},
};
use serde::de::DeserializeOwned;

use crate::{Handle, Params};

/// One action and who sent it. Cheap to clone.
pub struct Context<S = ()> {
    inner: Arc<Inner<S>>,
}

struct Inner<S> {
    ask: Ask,
    params: Params,
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
        f.debug_struct("Context").field("ask", &self.inner.ask).field("params", &self.inner.params).finish()
    }
}

impl<S> Context<S> {
    pub(crate) fn new(ask: Ask, params: Params, state: Arc<S>, handle: Handle) -> Self {
        Self { inner: Arc::new(Inner { ask, params, state, handle }) }
    }

    /// The action.
    pub fn action(&self) -> &Action {
        &self.inner.ask.entry.action
    }

    /// The meta of the action.
    pub fn meta(&self) -> &Meta {
        &self.inner.ask.entry.meta
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
        &self.inner.ask.author.node
    }

    /// Whether the action is the server's own.
    pub fn is_server(&self) -> bool {
        self.node_id().is_server()
    }

    /// The application's protocol version that the author speaks.
    pub fn subprotocol(&self) -> Option<&Subprotocol> {
        self.inner.ask.author.subprotocol.as_ref()
    }

    /// What the client says about itself: a JSON object, as it was when the action came to be processed.
    pub fn headers(&self) -> Option<&Json> {
        self.inner.ask.author.headers.as_ref()
    }

    /// A parameter of the channel's name: `id` in `users/:id`. Empty if there is none of this name.
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
        self.answer(Answer::Action(action, None)).await;
    }

    /// Sends an action to the author's client alone, created at this time.
    pub async fn send_back_at(&self, action: Action, time: WallTime) {
        self.answer(Answer::Action(action, Some(time))).await;
    }

    pub(crate) async fn answer(&self, answer: Answer) {
        self.inner.handle.answer(self.job(), answer).await;
    }

    pub(crate) fn job(&self) -> Job {
        self.inner.ask.job
    }
}
