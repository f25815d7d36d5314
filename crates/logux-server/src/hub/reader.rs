//! The client that reads what a handler sends.

use std::sync::Arc;

use futures_util::FutureExt as _;

use crate::hub::outbox::{Outbox, ReaderGone};

/// The client that reads what the handlers of its action send it: at its pace, not at theirs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader(Option<Arc<Outbox>>);

impl Reader {
    /// Creates the reader of an author, if it is connected.
    pub(crate) const fn new(outbox: Option<Arc<Outbox>>) -> Self {
        Self(outbox)
    }

    /// Waits until the client has read enough of what it has requested. Returns at once for an
    /// author that is not connected: what it is sent is kept in the log, or not at all.
    ///
    /// # Errors
    /// If the connection has ended, or the server stops.
    pub(crate) async fn room(&self) -> Result<(), ReaderGone> {
        match &self.0 {
            Some(outbox) => outbox.room().await,
            None => Ok(()),
        }
    }

    /// Waits until the connection has ended or the server stops. Returns at once for an author that
    /// is not connected.
    pub(crate) async fn gone(&self) {
        if let Some(outbox) = &self.0 {
            outbox.gone().await;
        }
    }

    /// Returns `true` if [`room`](Self::room) would wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.room().now_or_never().is_none()
    }
}
