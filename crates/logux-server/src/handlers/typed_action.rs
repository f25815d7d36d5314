//! Handlers that receive actions as values of the application's own types.

use std::{fmt, future::Future, marker::PhantomData, sync::Arc};

use logux::{
    Action, Meta,
    server::{FateKey, Retention, UndoTarget},
};
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

/// Builds a [`TypedActionType`], beginning with the rule for access.
pub struct TypedActionTypeBuilder<S, T>(ActionTypeBuilder<S>, PhantomData<fn(T)>);

impl<S: Send + Sync + 'static> ActionTypeBuilder<S> {
    /// Deserializes each action into a `T` first, for handlers that receive it next to the context.
    /// An action that does not match the type is undone with the reason `wrongFormat`.
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

/// The handlers of an action type whose actions are deserialized into `T`.
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

/// Converts a handler with a deserialized action into one without.
fn untyped<S, T, F, R>(
    handler: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
) -> impl Fn(Context<S>) -> BoxFuture<R> + Send + Sync + 'static
where
    S: Send + Sync + 'static,
    T: DeserializeOwned + Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: Send + 'static,
{
    move |context| {
        let action = parse_action(&context);
        let handler = handler.clone();
        Box::pin(async move { handler(context, action?).await })
    }
}

/// Deserializes the action, once for all of its handlers.
fn parse_action<S, T: DeserializeOwned + Send + Sync + 'static>(
    context: &Context<S>,
) -> Result<Arc<T>, HandlerError> {
    if let Some(value) = context.get::<Arc<T>>() {
        return Ok(value);
    }
    let value = deserialize(context, context.action())?;
    context.set(Arc::clone(&value));
    Ok(value)
}

fn deserialize<S, T: DeserializeOwned>(
    context: &Context<S>,
    action: &Action,
) -> Result<Arc<T>, HandlerError> {
    action.parse::<T>().map(Arc::new).map_err(|error| {
        context
            .server()
            .telemetry()
            .record(&Event::WrongFormat { id: &context.meta().id, error: &error });
        HandlerError::undo("wrongFormat")
    })
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send + Sync + 'static>
    TypedActionTypeBuilder<S, T>
{
    pub(crate) const fn new(builder: ActionTypeBuilder<S>) -> Self {
        Self(builder, PhantomData)
    }

    /// Like [`ActionTypeBuilder::access`].
    pub fn access<F>(
        self,
        access: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> TypedActionType<S, T>
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        TypedActionType(self.0.access(untyped(access)), PhantomData)
    }

    /// Like [`ActionTypeBuilder::access_and_process`].
    pub fn access_and_process<F>(
        self,
        access_and_process: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> TypedActionType<S, T>
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        TypedActionType(self.0.access_and_process(untyped(access_and_process)), PhantomData)
    }

    /// Like [`ActionTypeBuilder::own`].
    pub fn own(self) -> TypedActionType<S, T> {
        TypedActionType(self.0.own(), PhantomData)
    }
}

impl<S: Send + Sync + 'static, T: DeserializeOwned + Send + Sync + 'static> TypedActionType<S, T> {
    /// Like [`ActionType::resend`].
    #[must_use]
    pub fn resend<F, R>(
        self,
        resend: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<R, HandlerError>> + Send + 'static,
        R: IntoRecipients + Send + 'static,
    {
        Self(self.0.resend(untyped(resend)), PhantomData)
    }

    /// Like [`ActionType::process`].
    #[must_use]
    pub fn process<F>(
        self,
        process: impl Fn(Context<S>, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(self.0.process(untyped(process)), PhantomData)
    }

    /// Like [`ActionType::finally`]. It is also called for actions that do not match the type, so
    /// it does not receive a deserialized action.
    #[must_use]
    pub fn finally<F>(self, finally: impl Fn(Context<S>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        Self(self.0.finally(finally), PhantomData)
    }

    /// Like [`ActionType::keep`].
    #[must_use]
    pub fn keep(self, retention: Retention) -> Self {
        Self(self.0.keep(retention), PhantomData)
    }

    /// Like [`ActionType::keep_by`]. The function receives the action, because it is called before
    /// the action is deserialized.
    #[must_use]
    pub fn keep_by(
        self,
        retention: impl Fn(&Action, &Meta) -> Option<Retention> + Send + Sync + 'static,
    ) -> Self {
        Self(self.0.keep_by(retention), PhantomData)
    }

    /// Like [`ActionType::undoable`].
    #[must_use]
    pub fn undoable(self) -> Self {
        Self(self.0.undoable(), PhantomData)
    }

    /// Like [`ActionType::undoable_by`]. The function also receives the undone action,
    /// deserialized; if it does not match the type any more, the `logux/undo` is undone with the
    /// reason `wrongFormat`.
    #[must_use]
    pub fn undoable_by<F>(
        self,
        rule: impl Fn(Context<S>, UndoTarget, Arc<T>) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = Result<bool, HandlerError>> + Send + 'static,
    {
        let rule = move |context: Context<S>, target: UndoTarget| {
            let undone = deserialize(&context, &target.action.action);
            let rule = rule.clone();
            async move { rule(context, target, undone?).await }
        };
        Self(self.0.undoable_by(rule), PhantomData)
    }

    /// Like [`ActionType::fate_key`]. The function receives the action, because it is called before
    /// the action is deserialized.
    #[must_use]
    pub fn fate_key(self, fate_key: impl Fn(&Action) -> FateKey + Send + Sync + 'static) -> Self {
        Self(self.0.fate_key(fate_key), PhantomData)
    }

    /// Like [`ActionType::queue`].
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
