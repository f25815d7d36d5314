//! What the application does with subscriptions to channels of a form.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::{
    Action, Meta, WallTime,
    log::Draft,
    server::{Filter, QueueName},
};

use crate::{
    error::HandlerError,
    handlers::{
        context::Context,
        handler::{Handler, handler},
    },
};

/// The beginning of what to do with subscriptions to channels of a form: who may subscribe.
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

    /// May the author subscribe? `false` undoes the subscription with the reason `denied`.
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
            replays: false,
        }
    }

    /// Decides and loads in one step, for an application that learns by trying, such as a request to another service. To deny, return
    /// [`HandlerError::Denied`]. The client is subscribed when it has loaded: what happens in the channel meanwhile is not told, so where that matters
    /// use [`access`](Self::access) and [`load`](Channel::load).
    pub fn access_and_load<F, L>(
        self,
        both: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> Channel<S>
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: Into<InitialActions> + Send + 'static,
    {
        let access = move |context: Context<S>| {
            let running = both(context.clone());
            async move {
                let loaded: InitialActions = running.await?.into();
                context.set(loaded);
                Ok(true)
            }
        };
        self.access(access)
            .load(|context| async move { Ok(context.get::<InitialActions>().unwrap_or_default()) })
    }
}

/// What to do with subscriptions to channels of a form.
pub struct Channel<S = ()> {
    pub(crate) access: Handler<S, bool>,
    pub(crate) filter: Option<Handler<S, Option<Filter>>>,
    pub(crate) load: Option<Handler<S, InitialActions>>,
    pub(crate) unsubscribe: Option<Handler<S, ()>>,
    pub(crate) finally: Option<Handler<S, ()>>,
    pub(crate) queue: QueueName,
    pub(crate) replays: bool,
}

impl<S: Send + Sync + 'static> Channel<S> {
    /// Which actions of the channel the subscriber gets. The function it returns runs for every action, so it has to be quick.
    #[must_use]
    pub fn filter<F, P>(mut self, filter: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<P, HandlerError>> + Send + 'static,
        P: Fn(&Action, &Meta) -> bool + Send + Sync + 'static,
    {
        self.filter = Some(Arc::new(move |context| {
            let running = filter(context);
            Box::pin(async move { running.await.map(|passes| Some(Arc::new(passes) as Filter)) })
        }));
        self
    }

    /// What the subscriber needs to know first: nothing, one action, or several, each maybe with its creation time or a draft of its meta.
    #[must_use]
    pub fn load<F, L>(mut self, load: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: Into<InitialActions>,
    {
        self.load = Some(handler(load));
        self
    }

    /// Called when a subscriber has left, by `logux/unsubscribe` or because its connection is gone.
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

    /// Sends a new subscriber what the server's log keeps of the channel ([`ActionType::keep`](crate::ActionType::keep)): all of it, or what it has missed since
    /// the `since` of its `logux/subscribe`, in both cases as far as its filter lets it pass. Before what [`load`](Self::load) gives.
    #[must_use]
    pub fn replay(mut self) -> Self {
        self.replays = true;
        self
    }

    /// In which of its client's queues a subscription waits, as in [`ActionType::queue`](crate::ActionType::queue).
    #[must_use]
    pub fn queue(mut self, name: &str) -> Self {
        self.queue = name.into();
        self
    }

    /// Called once at the end of a subscription's loading, whatever happened. An error here is only reported.
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

/// Actions for one client, each maybe with its creation time, or with more of its meta: what a channel has for a new subscriber, or what a client
/// is told when it connects.
#[derive(Clone, Debug, Default)]
pub struct InitialActions(pub(crate) Vec<(Action, Draft)>);

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
