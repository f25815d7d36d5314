//! The handlers of the channels whose names match a pattern.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::{
    Action, Meta, WallTime,
    action::ActionError,
    log::Draft,
    server::{Filter, QueueName},
};
use serde_json::Value;

use crate::{
    error::HandlerError,
    handlers::{
        context::Context,
        handler::{Handler, handler},
    },
};

/// Builds a [`Channel`], beginning with the rule for access.
pub struct ChannelBuilder<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for ChannelBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelBuilder")
    }
}

impl<S: Send + Sync + 'static> ChannelBuilder<S> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// Decides whether the author may subscribe. `false` undoes the subscription with the reason
    /// `denied`.
    pub fn access<F>(self, access: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Channel<S>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        Channel {
            access: handler(access),
            filter: None,
            load: None,
            unsubscribe: None,
            finally: None,
            queue: QueueName::default(),
            replay: None,
            has_presence: false,
        }
    }

    /// Decides about access and loads the state in one step, for an application that learns the
    /// decision only by trying, such as from a request to another service. To deny, return
    /// [`HandlerError::Denied`].
    ///
    /// The client is subscribed after the state is loaded, so it misses actions that are sent to
    /// the channel in between. Where that matters, use [`access`](Self::access) and
    /// [`load`](Channel::load).
    pub fn access_and_load<F, L>(
        self,
        access_and_load: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> Channel<S>
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: TryInto<InitialActions, Error: Into<HandlerError>> + Send + 'static,
    {
        let access = move |context: Context<S>| {
            let future = access_and_load(context.clone());
            async move {
                let actions: InitialActions = future.await?.try_into().map_err(Into::into)?;
                context.set(actions);
                Ok(true)
            }
        };
        self.access(access)
            .load(|context| async move { Ok(context.get::<InitialActions>().unwrap_or_default()) })
    }
}

/// Decides whether a `logux/subscribe` receives the kept actions of the channel.
pub(crate) type ReplayRule = Arc<dyn Fn(&Action) -> bool + Send + Sync>;

/// The handlers of the channels whose names match a pattern.
pub struct Channel<S = ()> {
    pub(crate) access: Handler<S, bool>,
    pub(crate) filter: Option<Handler<S, Option<Filter>>>,
    pub(crate) load: Option<Handler<S, InitialActions>>,
    pub(crate) unsubscribe: Option<Handler<S, ()>>,
    pub(crate) finally: Option<Handler<S, ()>>,
    pub(crate) queue: QueueName,
    pub(crate) replay: Option<ReplayRule>,
    pub(crate) has_presence: bool,
}

impl<S: Send + Sync + 'static> Channel<S> {
    /// Returns a function that decides which actions of the channel the subscriber receives. The
    /// function is called for every action, so it must be quick.
    #[must_use]
    pub fn filter<F, P>(mut self, filter: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<P, HandlerError>> + Send + 'static,
        P: Fn(&Action, &Meta) -> bool + Send + Sync + 'static,
    {
        self.filter = Some(Arc::new(move |context| {
            let future = filter(context);
            Box::pin(async move { future.await.map(|passes| Some(Arc::new(passes) as Filter)) })
        }));
        self
    }

    /// Loads the state of the channel for a new subscriber, as actions: none, one, or several, each
    /// optionally with its creation time or a draft of its meta. Values of `json!` are actions too:
    /// see [`InitialActions`].
    ///
    /// They are sent at the pace of the client. To read a large state in parts, use
    /// [`Context::send_page`]. Of one user, 4 states are loaded at a time.
    ///
    /// ```
    /// # use logux_server::Server;
    /// # use serde_json::json;
    /// let server = Server::builder().channel("users/:id", |channel| {
    ///     channel.access(|_| async { Ok(true) }).load(|context| async move {
    ///         Ok(json!({"type": "users/set", "id": context.param("id"), "name": "Ada"}))
    ///     })
    /// });
    /// ```
    #[must_use]
    pub fn load<F, L>(mut self, load: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: TryInto<InitialActions, Error: Into<HandlerError>>,
    {
        self.load = Some(handler(load));
        self
    }

    /// Called when a subscription has ended, by `logux/unsubscribe` or because the connection was
    /// closed.
    #[must_use]
    pub fn unsubscribe<F>(
        mut self,
        unsubscribe: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.unsubscribe = Some(handler(unsubscribe));
        self
    }

    /// Sends a new subscriber the actions of the channel that the server's log keeps
    /// ([`ActionType::keep`](crate::ActionType::keep)): all of them, or those after the `since` of
    /// its `logux/subscribe`, in both cases those that pass its filter. They precede the actions of
    /// [`load`](Self::load).
    #[must_use]
    pub fn replay(mut self) -> Self {
        self.replay = Some(Arc::new(|_| true));
        self
    }

    /// Replays the channel as [`replay`](Self::replay) does, for the subscriptions that a rule
    /// selects.
    #[must_use]
    pub(crate) fn replay_if(
        mut self,
        rule: impl Fn(&Action) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.replay = Some(Arc::new(rule));
        self
    }

    /// Decides as [`filter`](Self::filter) does, also that there is no filter.
    #[must_use]
    pub(crate) fn filter_if<F>(
        mut self,
        filter: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<Option<Filter>, HandlerError>> + Send + 'static,
    {
        self.filter = Some(handler(filter));
        self
    }

    /// Lets subscribers show themselves to each other: each sends `presence/set` with its own
    /// state, such as a name, a colour and cursors, and receives the states of the others in
    /// `presence/changed`. States are never kept; one ends with its connection, with the
    /// subscription, or 30 s after it was last sent. See [`presence`](crate::presence).
    ///
    /// ```
    /// # use logux_server::Server;
    /// let server = Server::builder()
    ///     .channel("boards/:id", |channel| channel.access(|_| async { Ok(true) }).presence());
    /// ```
    #[must_use]
    pub fn presence(mut self) -> Self {
        self.has_presence = true;
        self
    }

    /// Sets the queue of its client in which a subscription waits, as
    /// [`ActionType::queue`](crate::ActionType::queue) does.
    #[must_use]
    pub fn queue(mut self, name: &str) -> Self {
        self.queue = name.into();
        self
    }

    /// Called once when a subscription has been loaded, also if a handler failed or panicked. An
    /// error of this handler is only reported.
    #[must_use]
    pub fn finally<F>(mut self, finally: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.finally = Some(handler(finally));
        self
    }
}

impl<S> fmt::Debug for Channel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Channel").finish_non_exhaustive()
    }
}

/// The actions that a client receives when it subscribes or connects, each optionally with its
/// creation time or a draft of its meta.
///
/// Made from `()`, an [`Action`], an `Option` or `Vec` of actions, or a `Vec` of pairs of an action
/// and its time or [`Draft`]. In each of these, an action can also be a [`Value`] of `json!`; a
/// single array of `json!` is a list of actions, and `null` is none. A value that is not an action
/// is an error of the handler ([`ActionError`]).
#[derive(Clone, Debug, Default)]
pub struct InitialActions(pub(crate) Vec<(Action, Draft)>);

/// The size of the actions at which a page ends, in bytes. The last action may exceed it.
pub(crate) const PAGE_BYTES: usize = 64 * 1024;

/// The largest number of actions in a page.
pub(crate) const PAGE_ACTIONS: usize = 200;

impl InitialActions {
    /// Divides the actions into pages.
    pub(crate) fn into_pages(self) -> impl Iterator<Item = Self> {
        let mut rest = self.0.into_iter().peekable();
        std::iter::from_fn(move || {
            rest.peek()?;
            let (mut page, mut bytes) = (Vec::new(), 0);
            while page.len() < PAGE_ACTIONS && bytes < PAGE_BYTES {
                let Some(item) = rest.next() else { break };
                bytes += item.0.as_json().len();
                page.push(item);
            }
            Some(Self(page))
        })
    }
}

impl From<()> for InitialActions {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Action> for InitialActions {
    fn from(action: Action) -> Self {
        Self(vec![(action, Draft::default())])
    }
}

impl From<Option<Action>> for InitialActions {
    fn from(action: Option<Action>) -> Self {
        action.map_or_else(Self::default, Self::from)
    }
}

impl From<Vec<Action>> for InitialActions {
    fn from(actions: Vec<Action>) -> Self {
        Self(actions.into_iter().map(|action| (action, Draft::default())).collect())
    }
}

impl From<Vec<(Action, WallTime)>> for InitialActions {
    fn from(actions: Vec<(Action, WallTime)>) -> Self {
        actions.into_iter().map(|(action, time)| (action, Some(time))).collect::<Vec<_>>().into()
    }
}

impl From<Vec<(Action, Option<WallTime>)>> for InitialActions {
    fn from(actions: Vec<(Action, Option<WallTime>)>) -> Self {
        let draft = |time| Draft { time, ..Draft::default() };
        Self(actions.into_iter().map(|(action, time)| (action, draft(time))).collect())
    }
}

impl From<Vec<(Action, Draft)>> for InitialActions {
    fn from(actions: Vec<(Action, Draft)>) -> Self {
        Self(actions)
    }
}

impl TryFrom<Value> for InitialActions {
    type Error = ActionError;

    fn try_from(value: Value) -> Result<Self, ActionError> {
        match value {
            Value::Null => Ok(Self::default()),
            Value::Array(values) => values.try_into(),
            value => Action::try_from(value).map(Self::from),
        }
    }
}

impl TryFrom<Option<Value>> for InitialActions {
    type Error = ActionError;

    fn try_from(value: Option<Value>) -> Result<Self, ActionError> {
        Ok(value.map(Action::try_from).transpose()?.into())
    }
}

impl TryFrom<Vec<Value>> for InitialActions {
    type Error = ActionError;

    fn try_from(values: Vec<Value>) -> Result<Self, ActionError> {
        let actions = values.into_iter().map(Action::try_from).collect::<Result<Vec<_>, _>>()?;
        Ok(actions.into())
    }
}

impl TryFrom<Vec<(Value, WallTime)>> for InitialActions {
    type Error = ActionError;

    fn try_from(values: Vec<(Value, WallTime)>) -> Result<Self, ActionError> {
        actions_with(values).map(Self::from)
    }
}

impl TryFrom<Vec<(Value, Option<WallTime>)>> for InitialActions {
    type Error = ActionError;

    fn try_from(values: Vec<(Value, Option<WallTime>)>) -> Result<Self, ActionError> {
        actions_with(values).map(Self::from)
    }
}

impl TryFrom<Vec<(Value, Draft)>> for InitialActions {
    type Error = ActionError;

    fn try_from(values: Vec<(Value, Draft)>) -> Result<Self, ActionError> {
        actions_with(values).map(Self::from)
    }
}

/// Makes actions of values, each with what belongs to it.
fn actions_with<T>(values: Vec<(Value, T)>) -> Result<Vec<(Action, T)>, ActionError> {
    values.into_iter().map(|(value, with)| Ok((Action::try_from(value)?, with))).collect()
}
