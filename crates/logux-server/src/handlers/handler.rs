//! Handlers as values: what the application does with actions (`action_type`) and channels (`channel`) is made of them.

use std::{future::Future, pin::Pin, sync::Arc};

use crate::{error::HandlerError, handlers::context::Context};

/// What a handler gives back, some time.
pub(crate) type BoxFuture<T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send>>;
pub(crate) type Handler<S, T> = Arc<dyn Fn(Context<S>) -> BoxFuture<T> + Send + Sync>;

pub(crate) fn handler<S, T, R, F>(
    handler: impl Fn(Context<S>) -> F + Send + Sync + 'static,
) -> Handler<S, T>
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
