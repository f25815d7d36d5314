//! States that are computed from the server's log (event sourcing).

use std::fmt;

use logux::{
    Entry,
    action::DocumentKey,
    replay::{Reducer, Timeline},
};
use tokio::sync::watch;

use crate::hub::application::EntryObserver;

/// The state that a reducer computes from the actions that the server's log keeps, for handlers to
/// read. Cheap to clone; created by [`Builder::projection`](crate::Builder::projection).
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
    /// Returns a clone of the current state: of all kept and processed actions except those that
    /// were undone, in their order.
    pub fn get(&self) -> T {
        self.0.borrow().clone()
    }

    /// Waits until the state changes. Returns `false` if the server has ended.
    pub async fn changed(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// Adds the entries of the log to a timeline, and publishes its state.
struct TimelineProjection<R: Reducer> {
    timeline: Timeline<R>,
    sender: watch::Sender<R::State>,
}

impl<R> EntryObserver for TimelineProjection<R>
where
    R: Reducer<Action: Send, State: Send + Sync> + Send,
{
    fn record(&mut self, entry: &Entry, _: Option<&DocumentKey>) {
        self.timeline.add(entry);
        if let Some(warning) = self.timeline.take_warning() {
            tracing::warn!(
                report = ?warning,
                id = %entry.meta.id,
                "a reducer does not understand the server's log"
            );
        }
        if self.timeline.take_changed_since().is_some() {
            self.sender.send_replace(self.timeline.state().clone());
        }
    }

    fn needs_earlier(&self) -> bool {
        true
    }
}

/// Creates a projection of an empty log, and the observer that updates it.
pub(crate) fn create<R>(reducer: R) -> (Box<dyn EntryObserver>, Projection<R::State>)
where
    R: Reducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    let timeline = Timeline::new(reducer);
    let (sender, state) = watch::channel(timeline.state().clone());
    (Box::new(TimelineProjection { timeline, sender }), Projection(state))
}
