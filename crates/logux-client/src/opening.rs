//! Documents and records that open in the task of a client, which has no type parameter for them.

use core::any::Any;
use std::sync::Arc;

use logux::{
    Entry,
    replay::{NamedReducer, TimelineSet},
};
use tokio::sync::{oneshot, watch};

/// Opens a timeline in the task of a client, and replies with its state.
pub(crate) trait Opening: Send {
    fn name(&self) -> &Arc<str>;

    /// Opens the timeline with what the log has of it.
    fn open(
        self: Box<Self>,
        timelines: &mut TimelineSet,
        entries: &[Entry],
        last_added: u64,
    ) -> Box<dyn View>;

    /// Replies with the state of a timeline that is open.
    fn join(self: Box<Self>, view: &dyn View);
}

/// The state of an open timeline, as its handles see it.
pub(crate) trait View: Send {
    /// Publishes the state.
    fn publish(&self, timelines: &TimelineSet);

    fn as_any(&self) -> &dyn Any;
}

/// Receives the state. `None` if the name is open with another type.
pub(crate) type Reply<S> = oneshot::Sender<Option<watch::Receiver<S>>>;

/// [`Opening`] of a reducer.
pub(crate) struct OpeningOf<R: NamedReducer> {
    pub(crate) reducer: R,
    pub(crate) reply: Reply<R::State>,
}

/// [`View`] of a reducer.
struct ViewOf<R: NamedReducer> {
    name: Arc<str>,
    sender: watch::Sender<R::State>,
}

impl<R> Opening for OpeningOf<R>
where
    R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    fn name(&self) -> &Arc<str> {
        self.reducer.name()
    }

    fn open(
        self: Box<Self>,
        timelines: &mut TimelineSet,
        entries: &[Entry],
        last_added: u64,
    ) -> Box<dyn View> {
        let (name, empty) = (self.reducer.name().clone(), self.reducer.initial());
        timelines.insert(self.reducer, entries, last_added);
        let timeline = timelines.timeline::<R>(&name);
        let state = timeline.map_or(empty, |timeline| timeline.state().clone());
        let (sender, state) = watch::channel(state);
        let _ = self.reply.send(Some(state));
        Box::new(ViewOf::<R> { name, sender })
    }

    fn join(self: Box<Self>, view: &dyn View) {
        let view = view.as_any().downcast_ref::<ViewOf<R>>();
        let _ = self.reply.send(view.map(|view| view.sender.subscribe()));
    }
}

impl<R> View for ViewOf<R>
where
    R: NamedReducer<State: Send + Sync> + 'static,
{
    fn publish(&self, timelines: &TimelineSet) {
        if let Some(timeline) = timelines.timeline::<R>(&self.name) {
            self.sender.send_replace(timeline.state().clone());
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}
