//! Handlers as values: what the application does with actions (`action_type`) and channels (`channel`) is made of them.

use std::{future::Future, pin::Pin, sync::Arc};

use logux::server::Recipients;

use crate::{Context, HandlerError};

/// What a handler gives back, some time.
pub(crate) type Running<T> = Pin<Box<dyn Future<Output = Result<T, HandlerError>> + Send>>;
pub(crate) type Handler<S, T> = Arc<dyn Fn(Context<S>) -> Running<T> + Send + Sync>;

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
