//! Handlers that get an action as a value of the application's own type.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::server::Retention;
use serde::de::DeserializeOwned;

use crate::{
    error::HandlerError,
    handlers::{
        action_type::{ActionType, ActionTypeBuilder},
        context::Context,
        handler::BoxFuture,
    },
    hub::recipients::IntoRecipients,
    telemetry::event::Event,
};

/// The beginning of what to do with actions of a type that are read into `T`: who may do them.
pub struct TypedActionTypeBuilder<S, T>(ActionTypeBuilder<S>, PhantomData<fn(T)>);

impl<S: Send + Sync + 'static> ActionTypeBuilder<S> {
    /// Reads each action into a type of yours first, for handlers that take it beside the context. An action that does not fit is undone
    /// with the reason `wrongFormat`.
    ///
    /// ```
    /// # use logux_server::Server;
    /// #[derive(serde::Deserialize)]
    /// struct Rename {
    ///     user: String,
    ///     name: String,
    /// }
    ///
    /// let server = Server::builder().action_type("user/rename", |action| {
    ///     action
    ///         .typed::<Rename>()
    ///         .access(|context, rename| async move { Ok(context.user_id() == Some(&*rename.user)) })
    ///         .resend(|_, rename| async move { Ok(format!("users/{}", rename.user)) })
    ///         .process(|_, rename| async move {
    ///             println!("{} is {} now", rename.user, rename.name);
    ///             Ok(())
    ///         })
    /// });
    /// ```
    pub fn typed<T: DeserializeOwned + Send + Sync + 'static>(
        self,
    ) -> TypedActionTypeBuilder<S, T> {
        TypedActionTypeBuilder::new(self)
    }
}

/// What to do with actions of a type that are read into `T`.
pub struct TypedActionType<S, T>(ActionType<S>, PhantomData<fn(T)>);

impl<S, T> fmt::Debug for TypedActionTypeBuilder<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TypedActionTypeBuilder")
    }
}

impl<S, T> fmt::Debug for TypedActionType<S, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TypedActionType").field(&self.0).finish()
    }
}

/// Calls a handler with the action read.
fn with<S, T, F, R>(
    handler: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
) -> impl Fn(Context<S>) -> BoxFuture<R> + Send + Sync + 'static
where
    S: Send + Sync + 'static,
    T: DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Send + 'static,
{
    move |context| {
        let read = read(&context);
        let handler = handler.clone();
        Box::pin(async move { handler(context, read?).await })
    }
}

/// The action as a value. The first handler reads it, the others find it.
fn read<S, T: DeserializeOwned + Send + Sync + 'static>(
    context: &Context<S>,
) -> Result<Arc<T>, HandlerError> {
    if let Some(known) = context.get::<Arc<T>>() {
        return Ok(known);
    }
    let value = context.parse::<T>().map(Arc::new).map_err(|error| {
        context
            .server()
            .telemetry()
            .record(&Event::WrongFormat { id: &context.meta().id, error: &error });
        HandlerError::undo("wrongFormat")
    })?;
    context.set(value.clone());
    Ok(value)
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send + Sync + 'static>
    TypedActionTypeBuilder<S, T>
{
    pub(crate) const fn new(new: ActionTypeBuilder<S>) -> Self {
        Self(new, PhantomData)
    }

    /// As [`ActionTypeBuilder::access`].
    pub fn access<F>(
        self,
        access: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> TypedActionType<S, T>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        TypedActionType(self.0.access(with(access)), PhantomData)
    }

    /// As [`ActionTypeBuilder::access_and_process`].
    pub fn access_and_process<F>(
        self,
        both: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> TypedActionType<S, T>
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        TypedActionType(self.0.access_and_process(with(both)), PhantomData)
    }

    /// As [`ActionTypeBuilder::own`].
    pub fn own(self) -> TypedActionType<S, T> {
        TypedActionType(self.0.own(), PhantomData)
    }
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send + Sync + 'static> TypedActionType<S, T> {
    /// As [`ActionType::resend`].
    #[must_use]
    pub fn resend<F, R>(
        self,
        resend: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: IntoRecipients + Send + 'static,
    {
        Self(self.0.resend(with(resend)), PhantomData)
    }

    /// As [`ActionType::process`].
    #[must_use]
    pub fn process<F>(
        self,
        process: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(self.0.process(with(process)), PhantomData)
    }

    /// As [`ActionType::finally`]: called for actions that do not fit, too, so it does not get them read.
    #[must_use]
    pub fn finally<F>(self, finally: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(self.0.finally(finally), PhantomData)
    }

    /// As [`ActionType::keep`].
    #[must_use]
    pub fn keep(self, keep: Retention) -> Self {
        Self(self.0.keep(keep), PhantomData)
    }

    /// As [`ActionType::queue`].
    #[must_use]
    pub fn queue(self, name: &str) -> Self {
        Self(self.0.queue(name), PhantomData)
    }
}

impl<S, T> From<TypedActionType<S, T>> for ActionType<S> {
    fn from(typed: TypedActionType<S, T>) -> Self {
        typed.0
    }
}
