//! The type of handlers. Action types and channels consist of them.

use std::{future::Future, pin::Pin, sync::Arc};

use crate::{error::HandlerError, handlers::context::Context};

/// The future of a handler.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send>>;

/// A handler that returns a `T`.
pub(crate) type Handler<S, T> = Arc<dyn Fn(Context<S>) -> BoxFuture<T> + Send + Sync>;

/// Boxes a handler, and converts its result. A result that cannot be converted is an error of the
/// handler.
pub(crate) fn handler<S, T, R, F>(
    handler: impl Fn(Context<S>) -> F + Send + Sync + 'static,
) -> Handler<S, T>
where
    S: Send + Sync + 'static,
    F: Future<Output = Result<R, HandlerError>> + Send + 'static,
    R: TryInto<T, Error: Into<HandlerError>>,
{
    Arc::new(move |context| {
        let future = handler(context);
        Box::pin(async move { future.await?.try_into().map_err(Into::into) })
    })
}
