//! Seeing inside: whatever happens on a server is noted here, at one place, for everybody who keeps an eye on it.
//!
//! Read [`Event`], then [`log`], which makes log lines of them.

mod event;
mod log;

use std::sync::Arc;

pub(crate) use event::{Event, Failure, Limit, Refusal};

/// Tells everybody who keeps an eye on the server. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch(Arc<Watchers>);

#[derive(Debug, Default)]
struct Watchers {
    /// Whether log lines may show what is in actions.
    development: bool,
}

impl Watch {
    pub(crate) fn new(development: bool) -> Self {
        Self(Arc::new(Watchers { development }))
    }

    /// Notes what happened.
    pub(crate) fn note(&self, event: &Event<'_>) {
        log::write(event, self.0.development);
    }
}
