//! What the application does with actions of a type.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::{
    Action, Meta,
    server::{QueueName, Recipients, Retention},
};

use crate::{
    error::HandlerError,
    handlers::{
        context::Context,
        handler::{Handler, handler},
    },
    hub::recipients::IntoRecipients,
};

/// The beginning of what to do with actions of a type: who may do them.
pub struct ActionTypeBuilder<S>(PhantomData<fn(S)>);

impl<S> fmt::Debug for ActionTypeBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActionTypeBuilder")
    }
}

impl<S: Send + Sync + 'static> ActionTypeBuilder<S> {
    pub(crate) const fn new() -> Self {
        Self(PhantomData)
    }

    /// May the author do this? `false` undoes the action with the reason `denied`.
    pub fn access<F>(
        self,
        access: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> ActionType<S>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        ActionType {
            access: handler(access),
            resend: None,
            process: None,
            finally: None,
            queue: QueueName::default(),
            keep: None,
        }
    }

    /// Decides and does it in one step, for an application that learns by trying, such as a request to another service. To deny, return
    /// [`HandlerError::Denied`]. Others get the action when it is done.
    pub fn access_and_process<F>(
        self,
        both: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> ActionType<S>
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let both: Handler<S, ()> = handler(both);
        let first = both.clone();
        let access = move |context: Context<S>| {
            let running = first(context.clone());
            async move {
                running.await?;
                context.set(IsDone);
                Ok(true)
            }
        };
        // The server's own actions are not asked about: they are done here.
        let process = move |context: Context<S>| {
            let running = context.get::<IsDone>().is_none().then(|| both(context));
            async move {
                match running {
                    Some(running) => running.await,
                    None => Ok(()),
                }
            }
        };
        self.access(access).process(process)
    }

    /// No client may do this; the application itself may.
    pub fn own(self) -> ActionType<S> {
        self.access(|_| async { Ok(false) })
    }
}

/// Tells why an action is kept.
pub(crate) type KeepRule = Arc<dyn Fn(&Action, &Meta) -> Option<Retention> + Send + Sync>;

/// Set when an action was done while its access was decided.
#[derive(Clone)]
struct IsDone;

/// What to do with actions of a type.
pub struct ActionType<S = ()> {
    pub(crate) access: Handler<S, bool>,
    pub(crate) resend: Option<Handler<S, Recipients>>,
    pub(crate) process: Option<Handler<S, ()>>,
    pub(crate) finally: Option<Handler<S, ()>>,
    pub(crate) queue: QueueName,
    pub(crate) keep: Option<KeepRule>,
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

    /// Do it. The author is told `logux/processed` afterwards, or `logux/undo` after an error. It may be asked again after a
    /// crash: see [`exactly_once`](crate::exactly_once).
    #[must_use]
    pub fn process<F>(mut self, process: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.process = Some(handler(process));
        self
    }

    /// In which of its client's queues an action waits. Actions in one queue are done one after the other, and when one of them fails those that
    /// wait behind it are undone; different queues run side by side. All types and channels share one unless told otherwise.
    #[must_use]
    pub fn queue(mut self, name: &str) -> Self {
        self.queue = name.into();
        self
    }

    /// Why the server's log keeps actions of this type once they are done, and how long: for subscribers that
    /// [`replay`](crate::Channel::replay), and for [`Builder::projection`](crate::Builder::projection).
    #[must_use]
    pub fn keep(self, keep: Retention) -> Self {
        self.keep_by(move |_, _| Some(keep.clone()))
    }

    /// The same for each action: the reason may depend on it. `None` does not keep it. Called for every action, so it has to be quick.
    #[must_use]
    pub fn keep_by(
        mut self,
        keep: impl Fn(&Action, &Meta) -> Option<Retention> + Send + Sync + 'static,
    ) -> Self {
        self.keep = Some(Arc::new(keep));
        self
    }

    /// Called once at the end, whatever happened, if only that a handler panicked. An error here is only reported.
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
