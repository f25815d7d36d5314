//! What the application does with actions and channels.

use std::{fmt, future::Future, marker::PhantomData, pin::Pin, sync::Arc};

use logux::{Action, Meta, WallTime, server::Filter, server::Recipients};

use crate::{Context, HandlerError};

/// What a handler gives back, some time.
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send>>;
pub(crate) type Handler<S, T> = Arc<dyn Fn(Context<S>) -> Running<T> + Send + Sync>;

fn handler<S, T, R, F>(handler: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Handler<S, T>
where
    S: Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Into<T>,
{
    Arc::new(move |context| {
        let running = handler(context);
        Box::pin(async move { running.await.map(Into::into) })
    })
}

/// The beginning of what to do with actions of a type: who may do them.
pub struct NewActionType<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for NewActionType<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewActionType")
    }
}

impl<S: Send + Sync + 'static> NewActionType<S> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// May the author do this? `false` undoes the action with the reason `denied`.
    pub fn access<F>(self, access: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> ActionType<S>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        ActionType { access: handler(access), resend: None, process: None, finally: None }
    }

    /// No client may do this; the application itself may.
    pub fn own(self) -> ActionType<S> {
        self.access(|_| async { Ok(false) })
    }
}

/// What to do with actions of a type.
pub struct ActionType<S = ()> {
    pub(crate) access: Handler<S, bool>,
    pub(crate) resend: Option<Handler<S, Recipients>>,
    pub(crate) process: Option<Handler<S, ()>>,
    pub(crate) finally: Option<Handler<S, ()>>,
}

impl<S: Send + Sync + 'static> ActionType<S> {
    /// Who gets the action too: a channel name, a list of them, or [`Recipients`].
    #[must_use]
    pub fn resend<F, R>(mut self, resend: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: IntoRecipients,
    {
        self.resend = Some(Arc::new(move |context| {
            let running = resend(context);
            Box::pin(async move { running.await.map(IntoRecipients::into_recipients) })
        }));
        self
    }

    /// Do it. The author is told `logux/processed` afterwards, or `logux/undo` after an error.
    #[must_use]
    pub fn process<F>(mut self, process: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.process = Some(handler(process));
        self
    }

    /// Called once at the end, whatever happened. An error here is only reported.
    #[must_use]
    pub fn finally<F>(mut self, finally: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.finally = Some(handler(finally));
        self
    }
}

impl<S> fmt::Debug for ActionType<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActionType").finish_non_exhaustive()
    }
}

/// The beginning of what to do with subscriptions to channels of a form: who may subscribe.
pub struct NewChannel<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for NewChannel<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewChannel")
    }
}

impl<S: Send + Sync + 'static> NewChannel<S> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// May the author subscribe? `false` undoes the subscription with the reason `denied`.
    pub fn access<F>(self, access: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Channel<S>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        Channel { access: handler(access), filter: None, load: None, unsubscribe: None, finally: None }
    }
}

/// What to do with subscriptions to channels of a form.
pub struct Channel<S = ()> {
    pub(crate) access: Handler<S, bool>,
    pub(crate) filter: Option<Handler<S, Option<Filter>>>,
    pub(crate) load: Option<Handler<S, Loaded>>,
    pub(crate) unsubscribe: Option<Handler<S, ()>>,
    pub(crate) finally: Option<Handler<S, ()>>,
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

    /// What the subscriber needs to know first: nothing, one action, or several, each maybe with its creation time.
    #[must_use]
    pub fn load<F, L>(mut self, load: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<L, HandlerError>> + Send + 'static,
        L: Into<Loaded>,
    {
        self.load = Some(handler(load));
        self
    }

    /// Called when a subscriber has left, by `logux/unsubscribe` or because its connection is gone.
    #[must_use]
    pub fn unsubscribe<F>(mut self, unsubscribe: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.unsubscribe = Some(handler(unsubscribe));
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

/// Something that says who gets an action.
pub trait IntoRecipients {
    /// Who gets it.
    fn into_recipients(self) -> Recipients;
}

impl IntoRecipients for Recipients {
    fn into_recipients(self) -> Recipients {
        self
    }
}

impl IntoRecipients for &str {
    fn into_recipients(self) -> Recipients {
        Recipients::channel(self)
    }
}

impl IntoRecipients for String {
    fn into_recipients(self) -> Recipients {
        Recipients::channel(self)
    }
}

impl<T: Into<Arc<str>>> IntoRecipients for Vec<T> {
    fn into_recipients(self) -> Recipients {
        Recipients { channels: self.into_iter().map(Into::into).collect(), ..Recipients::default() }
    }
}

/// Actions for a new subscriber, each maybe with its creation time.
#[derive(Clone, Debug, Default)]
pub struct Loaded(pub(crate) Vec<(Action, Option<WallTime>)>);

impl From<()> for Loaded {
    fn from((): ()) -> Self {
        Self::default()
    }
}

impl From<Action> for Loaded {
    fn from(action: Action) -> Self {
        Self(vec![(action, None)])
    }
}

impl From<Option<Action>> for Loaded {
    fn from(action: Option<Action>) -> Self {
        Self(action.into_iter().map(|action| (action, None)).collect())
    }
}

impl From<Vec<Action>> for Loaded {
    fn from(actions: Vec<Action>) -> Self {
        Self(actions.into_iter().map(|action| (action, None)).collect())
    }
}

impl From<Vec<(Action, WallTime)>> for Loaded {
    fn from(actions: Vec<(Action, WallTime)>) -> Self {
        Self(actions.into_iter().map(|(action, time)| (action, Some(time))).collect())
    }
}
