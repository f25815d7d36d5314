//! Documents and records that open in the task of a client, which has no type parameter for them.

use core::any::Any;
use std::{collections::VecDeque, sync::Arc};

use logux::{
    Entry,
    client::{Subscription, SubscriptionState, UndoState},
    replay::{NamedReducer, TimelineSet},
};
use tokio::sync::{oneshot, watch};

/// Opens a timeline in the task of a client.
pub(crate) trait Opening: Send {
    fn name(&self) -> &Arc<str>;

    /// Opens the timeline with what the log has of it.
    fn open(
        self: Box<Self>,
        timelines: &mut TimelineSet,
        entries: &[Entry],
        last_added: u64,
    ) -> Box<dyn View>;

    /// Adds a handle to a timeline that is open.
    fn join(self: Box<Self>, view: &mut dyn View);
}

/// The state of an open timeline, as its handles see it.
pub(crate) trait View: Send {
    /// Publishes the state.
    fn publish(&mut self, timelines: &TimelineSet);

    /// Replies to the new handles.
    fn reply(&mut self);

    /// Publishes whether there are steps to undo and to redo.
    fn set_undo(&mut self, undo: UndoState);

    /// Publishes what has become of a subscription of the timeline.
    fn subscription_changed(&mut self, subscription: &Subscription, state: &SubscriptionState);

    /// Records that a handle was dropped. Returns whether it was the last one.
    fn release(&mut self) -> bool;

    /// Requests the subscription again, for another user.
    fn restart(&mut self);

    /// Returns the next request to the server.
    fn next_request(&mut self) -> Option<Request>;

    fn as_any(&mut self) -> &mut dyn Any;
}

/// A request of a view to the server.
pub(crate) enum Request {
    Subscribe(Subscription),
    Unsubscribe(Subscription),
}

/// What a handle shows.
#[derive(Clone)]
pub(crate) struct Shown<S> {
    pub(crate) state: S,
    /// `None` without a subscription.
    pub(crate) subscription: Option<SubscriptionState>,
    pub(crate) undo: UndoState,
}

/// A subscription that some handles need.
#[derive(Default)]
pub(crate) struct Needed {
    subscription: Option<Subscription>,
    pub(crate) state: Option<SubscriptionState>,
}

impl Needed {
    /// Records that a handle needs the subscription, and returns the request for it, if the server
    /// was not asked or has refused it.
    pub(crate) fn need(&mut self, subscription: Option<Subscription>) -> Option<Request> {
        use SubscriptionState::{Loading, Subscribed};
        let subscription = subscription?;
        if matches!(self.state, Some(Loading | Subscribed)) {
            return None;
        }
        self.state = Some(Loading);
        self.subscription = Some(subscription.clone());
        Some(Request::Subscribe(subscription))
    }

    /// Sets the state, if the change is about this subscription. Returns whether it is.
    pub(crate) fn set(&mut self, subscription: &Subscription, state: &SubscriptionState) -> bool {
        let is_own = self.subscription.as_ref() == Some(subscription);
        if is_own {
            self.state = Some(state.clone());
        }
        is_own
    }

    /// Returns the request for the subscription, whatever the server has said of it.
    pub(crate) fn restart(&mut self) -> Option<Request> {
        self.state = None;
        let subscription = self.subscription.take();
        self.need(subscription)
    }

    /// Returns the request that ends the subscription, if the server has it.
    pub(crate) fn leave(&mut self) -> Option<Request> {
        use SubscriptionState::{Loading, Subscribed};
        let is_wanted = matches!(self.state, Some(Loading | Subscribed));
        self.state = None;
        self.subscription.take().filter(|_| is_wanted).map(Request::Unsubscribe)
    }
}

/// Receives the state. `None` if the name is open with another type.
pub(crate) type Reply<S> = oneshot::Sender<Option<watch::Receiver<Shown<S>>>>;

/// [`Opening`] of a reducer.
pub(crate) struct OpeningOf<R: NamedReducer> {
    pub(crate) reducer: R,
    pub(crate) subscription: Option<Subscription>,
    pub(crate) reply: Reply<R::State>,
}

/// [`View`] of a reducer.
struct ViewOf<R: NamedReducer> {
    name: Arc<str>,
    sender: watch::Sender<Shown<R::State>>,
    handles: usize,
    needed: Needed,
    requests: VecDeque<Request>,
    new_handles: Vec<Reply<R::State>>,
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
        let mut needed = Needed::default();
        let requests = needed.need(self.subscription).into_iter().collect();
        let subscription = needed.state.clone();
        let shown = Shown { state, subscription, undo: UndoState::default() };
        let sender = watch::Sender::new(shown);
        let new_handles = vec![self.reply];
        Box::new(ViewOf::<R> { name, sender, handles: 1, needed, requests, new_handles })
    }

    fn join(self: Box<Self>, view: &mut dyn View) {
        let Some(view) = view.as_any().downcast_mut::<ViewOf<R>>() else {
            let _ = self.reply.send(None);
            return;
        };
        view.handles += 1;
        view.requests.extend(view.needed.need(self.subscription));
        view.publish_subscription();
        view.new_handles.push(self.reply);
    }
}

impl<R: NamedReducer> ViewOf<R> {
    fn publish_subscription(&self) {
        let state = &self.needed.state;
        self.sender.send_if_modified(|shown| {
            let is_new = shown.subscription != *state;
            shown.subscription.clone_from(state);
            is_new
        });
    }
}

impl<R> View for ViewOf<R>
where
    R: NamedReducer<State: Send + Sync> + 'static,
{
    fn publish(&mut self, timelines: &TimelineSet) {
        if let Some(timeline) = timelines.timeline::<R>(&self.name) {
            self.sender.send_modify(|shown| shown.state = timeline.state().clone());
        }
    }

    fn reply(&mut self) {
        for reply in self.new_handles.drain(..) {
            let _ = reply.send(Some(self.sender.subscribe()));
        }
    }

    fn set_undo(&mut self, undo: UndoState) {
        self.sender.send_if_modified(|shown| {
            let is_new = shown.undo != undo;
            shown.undo = undo;
            is_new
        });
    }

    fn subscription_changed(&mut self, subscription: &Subscription, state: &SubscriptionState) {
        if self.needed.set(subscription, state) {
            self.publish_subscription();
        }
    }

    fn release(&mut self) -> bool {
        self.handles -= 1;
        if self.handles == 0 {
            self.requests.extend(self.needed.leave());
        }
        self.handles == 0
    }

    fn restart(&mut self) {
        self.requests.extend(self.needed.restart());
        self.publish_subscription();
    }

    fn next_request(&mut self) -> Option<Request> {
        self.requests.pop_front()
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
