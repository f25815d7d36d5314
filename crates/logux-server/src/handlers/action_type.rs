//! The handlers of an action type.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::{
    Action, Meta,
    server::{FateKey, FateKeys, QueueName, Recipients, Retention, UndoTarget},
};

use crate::{
    error::HandlerError,
    handlers::{
        context::Context,
        handler::{BoxFuture, Handler, handler},
    },
    hub::recipients::IntoRecipients,
};

/// Builds an [`ActionType`], beginning with the rule for access.
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

    /// Decides whether the author may send the action. `false` undoes it with the reason `denied`.
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
            fate_keys: FateKeys::default(),
            retention: None,
            undo: None,
        }
    }

    /// Decides about access and processes the action in one step, for an application that learns
    /// the decision only by trying, such as from a request to another service. To deny, return
    /// [`HandlerError::Denied`]. Other clients receive the action after it is processed.
    pub fn access_and_process<F>(
        self,
        access_and_process: impl Fn(Context<S>) -> F + Send + Sync + 'static,
    ) -> ActionType<S>
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let process: Handler<S, ()> = handler(access_and_process);
        let process_in_access = process.clone();
        let access = move |context: Context<S>| {
            let future = process_in_access(context.clone());
            async move {
                future.await?;
                context.set(IsProcessed);
                Ok(true)
            }
        };
        // `access` is not called for the server's own actions: they are processed here.
        let process = move |context: Context<S>| {
            let future = context.get::<IsProcessed>().is_none().then(|| process(context));
            async move {
                match future {
                    Some(future) => future.await,
                    None => Ok(()),
                }
            }
        };
        self.access(access).process(process)
    }

    /// Denies the action to all clients. The application itself may still add it.
    pub fn own(self) -> ActionType<S> {
        self.access(|_| async { Ok(false) })
    }
}

/// Decides whether and how long an action is kept.
pub(crate) type RetentionRule = Arc<dyn Fn(&Action, &Meta) -> Option<Retention> + Send + Sync>;

/// Decides whether the author of a `logux/undo` may undo an action.
pub(crate) type UndoRule<S> = Arc<dyn Fn(Context<S>, UndoTarget) -> BoxFuture<bool> + Send + Sync>;

/// A mark in the context: the action was processed by `access`.
#[derive(Clone)]
struct IsProcessed;

/// The handlers of an action type.
pub struct ActionType<S = ()> {
    pub(crate) access: Handler<S, bool>,
    pub(crate) resend: Option<Handler<S, Recipients>>,
    pub(crate) process: Option<Handler<S, ()>>,
    pub(crate) finally: Option<Handler<S, ()>>,
    pub(crate) queue: QueueName,
    pub(crate) fate_keys: FateKeys,
    pub(crate) retention: Option<RetentionRule>,
    pub(crate) undo: Option<UndoRule<S>>,
}

impl<S: Send + Sync + 'static> ActionType<S> {
    /// Returns who else receives the action: a channel name, a list of names, or [`Recipients`].
    #[must_use]
    pub fn resend<F, R>(mut self, resend: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: IntoRecipients,
    {
        self.resend = Some(Arc::new(move |context| {
            let future = resend(context);
            Box::pin(async move { future.await.map(IntoRecipients::into_recipients) })
        }));
        self
    }

    /// Processes the action. Then its author receives `logux/processed`, or `logux/undo` after an
    /// error. After a crash, the handler may be called again for the same action: see
    /// [`exactly_once`](crate::exactly_once).
    #[must_use]
    pub fn process<F>(mut self, process: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.process = Some(handler(process));
        self
    }

    /// Sets the queue of its client in which an action waits. Actions in one queue are processed
    /// one after the other, and if one fails, those that wait after it with the same
    /// [`fate_key`](Self::fate_key) are undone; different queues run concurrently. Default: one
    /// queue for all types and channels.
    #[must_use]
    pub fn queue(mut self, name: &str) -> Self {
        self.queue = name.into();
        self
    }

    /// Names what an action depends on, such as the record that it edits. If an action fails,
    /// actions that wait after it in the same queue and have the same key are undone too, with the
    /// reason `error`. Default: one key for all actions of a queue, so that a failure undoes all
    /// that the client did after it. [`FateKey::none`] is the key of an action that fails alone.
    ///
    /// The key is compared between all types: the edits of a [sync map](crate::Builder::sync_map)
    /// have the key `PLURAL/ID`. The function is called for every action, so it must be quick.
    ///
    /// ```
    /// use logux::server::FateKey;
    /// use logux_server::Server;
    ///
    /// let server = Server::builder().action_type("tasks/rename", |action| {
    ///     action
    ///         .access(|context| async move { Ok(context.user_id() == Some("10")) })
    ///         .process(|_| async { Ok(()) })
    ///         .fate_key(|action| match action.str_field("id") {
    ///             Some(id) => format!("tasks/{id}").into(),
    ///             None => FateKey::none(),
    ///         })
    /// });
    /// ```
    #[must_use]
    pub fn fate_key(
        mut self,
        fate_key: impl Fn(&Action) -> FateKey + Send + Sync + 'static,
    ) -> Self {
        self.fate_keys = FateKeys::by(fate_key);
        self
    }

    /// Keeps processed actions of this type in the server's log, for channels with
    /// [`replay`](crate::Channel::replay) and for
    /// [`Builder::projection`](crate::Builder::projection).
    #[must_use]
    pub fn keep(self, retention: Retention) -> Self {
        self.keep_by(move |_, _| Some(retention.clone()))
    }

    /// Decides for each action whether and how long it is kept, as [`keep`](Self::keep) does for
    /// all of them. `None` does not keep it. The function is called for every action, so it must be
    /// quick.
    #[must_use]
    pub fn keep_by(
        mut self,
        retention: impl Fn(&Action, &Meta) -> Option<Retention> + Send + Sync + 'static,
    ) -> Self {
        self.retention = Some(Arc::new(retention));
        self
    }

    /// Lets the user who sent an action undo it, from any client of the user, by a `logux/undo`
    /// with its id; without a user, the client that sent it. In the same way, the user who sent an
    /// undo may undo the undo. Default: clients may undo nothing. See [`undo`](crate::undo).
    ///
    /// Actions are undone as long as they are kept, so the type also needs [`keep`](Self::keep) or
    /// [`keep_by`](Self::keep_by).
    ///
    /// ```
    /// use logux::server::Retention;
    /// use logux_server::Server;
    ///
    /// let server = Server::builder().action_type("notes/edit", |action| {
    ///     action
    ///         .access(|context| async move { Ok(context.user_id().is_some()) })
    ///         .resend(|_| async { Ok("notes") })
    ///         .keep(Retention::forever("notes"))
    ///         .undoable()
    /// });
    /// ```
    #[must_use]
    pub fn undoable(self) -> Self {
        self.undoable_by(|context, target| async move { Ok(target.is_by(context.node_id())) })
    }

    /// Decides who may undo an action of this type, or an undo of it, as
    /// [`undoable`](Self::undoable) does for its author. `false` undoes the `logux/undo` with the
    /// reason `denied`. The action in the context is the `logux/undo`.
    ///
    /// ```
    /// use logux::server::Retention;
    /// use logux_server::Server;
    ///
    /// let server = Server::builder().action_type("posts/add", |action| {
    ///     action
    ///         .access(|context| async move { Ok(context.user_id().is_some()) })
    ///         .resend(|_| async { Ok("posts") })
    ///         .keep(Retention::last("posts", 1_000))
    ///         .undoable_by(|context, target| async move {
    ///             let is_moderator = context.user_id() == Some("moderator");
    ///             Ok(is_moderator || target.is_by(context.node_id()))
    ///         })
    /// });
    /// ```
    #[must_use]
    pub fn undoable_by<F>(
        mut self,
        rule: impl Fn(Context<S>, UndoTarget) -> F + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        self.undo = Some(Arc::new(move |context, target| Box::pin(rule(context, target))));
        self
    }

    /// Called once at the end, also if a handler failed or panicked. An error of this handler is
    /// only reported.
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
