//! States made of the server's log: event sourcing.

use std::fmt;

use logux::{
    Entry,
    replay::{Reducer, Timeline},
};
use tokio::sync::watch;

use crate::hub::application::EntryObserver;

/// The state that a reducer makes of what the server's log keeps, for handlers to read. Cheap to clone; made by
/// [`Builder::projection`](crate::Builder::projection).
pub struct Projection<T>(watch::Receiver<T>);

impl<T> Clone for Projection<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> fmt::Debug for Projection<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Projection")
    }
}

impl<T: Clone> Projection<T> {
    /// The state as it is now: of all actions that were kept and processed, less those that were undone, in their order.
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Waits until it is another one; `false` when the server has ended.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

struct TimelineProjection<R: Reducer> {
    timeline: Timeline<R>,
    sender: watch::Sender<R::State>,
}

impl<R> EntryObserver for TimelineProjection<R>
where
    R: Reducer<Action: Send, State: Send + Sync> + Send,
{
    fn record(&mut self, entry: &Entry) {
        self.timeline.add(entry);
        if let Some(report) = self.timeline.take_warning() {
            tracing::warn!(?report, id = %entry.meta.id, "a reducer does not understand the server's log");
        }
        if self.timeline.take_changed_since().is_some() {
            self.sender.send_replace(self.timeline.state().clone());
        }
    }
}

/// A reduction that begins with an empty log, and where its state can be read.
pub(crate) fn follow<R>(reducer: R) -> (Box<dyn EntryObserver>, Projection<R::State>)
where
    R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    let timeline = Timeline::new(reducer);
    let (sender, state) = watch::channel(timeline.state().clone());
    (Box::new(TimelineProjection { timeline, sender }), Projection(state))
}
