//! Documents and records that open in the task of a client, which has no type parameter for them.

use core::any::Any;
use std::sync::Arc;

use logux::{
    Entry,
    action::{AccessList, DocumentKey},
    client::{DocumentStatus, NeededSubscriptions, Subscription, SubscriptionState, UndoState},
    replay::{NamedReducer, TimelineSet},
};
use tokio::sync::{oneshot, watch};

/// Opens a timeline in the task of a client.
pub(crate) trait Opening: Send {
    fn name(&self) -> &Arc<str>;

    /// Returns the document whose status the handle shows.
    fn document(&self) -> Option<DocumentKey>;

    /// Opens the timeline with what the log has of it.
    fn open(
        self: Box<Self>,
        timelines: &mut TimelineSet,
        entries: &[Entry],
        last_added: u64,
    ) -> Box<dyn View>;

    /// Adds a handle to a timeline that is open.
    fn join(self: Box<Self>, view: &mut dyn View, timelines: &TimelineSet);
}

/// The state of an open timeline, as its handles see it.
pub(crate) trait View: Send {
    /// Publishes the state. `is_own`: only the user's own changes are new in it.
    fn publish(&mut self, timelines: &TimelineSet, is_own: bool);

    /// Replies to the new handles.
    fn reply(&mut self);

    /// Publishes whether there are steps to undo and to redo.
    fn set_undo(&mut self, undo: UndoState);

    /// Publishes what has become of a document.
    fn set_document(&mut self, document: DocumentReport);

    /// Publishes that the refused edits of a document have changed.
    fn refused_changed(&mut self);

    /// Returns the subscriptions that the handles need.
    fn subscriptions(&mut self) -> &mut NeededSubscriptions;

    /// Publishes what has become of the subscriptions.
    fn publish_subscriptions(&mut self);

    /// Records that a handle with this subscription was dropped. Returns whether it was the last
    /// handle.
    fn release(&mut self, subscription: Option<&Subscription>) -> bool;

    fn as_any(&mut self) -> &mut dyn Any;
}

/// What the handles of a view show.
#[derive(Clone)]
pub(crate) struct Shown<S> {
    pub(crate) state: S,
    pub(crate) undo: UndoState,
    pub(crate) document: DocumentReport,
    /// How often the refused edits have changed.
    pub(crate) refused_changes: u64,
}

/// What a handle shows about a document, besides its state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DocumentReport {
    pub(crate) status: DocumentStatus,
    pub(crate) access: Option<AccessList>,
}

impl DocumentReport {
    /// The report of what is open without a subscription.
    const fn local() -> Self {
        Self { status: DocumentStatus::Ready, access: None }
    }
}

/// What a new handle receives.
pub(crate) struct Receivers<S> {
    pub(crate) shown: watch::Receiver<Shown<S>>,
    /// `None` without a subscription.
    pub(crate) subscription: Option<watch::Receiver<SubscriptionState>>,
}

/// Receives what a new handle shows. `None` if the name is open with another type.
pub(crate) type Reply<S> = oneshot::Sender<Option<Receivers<S>>>;

/// [`Opening`] of a reducer.
pub(crate) struct OpeningOf<R: NamedReducer> {
    pub(crate) reducer: R,
    pub(crate) subscription: Option<Subscription>,
    pub(crate) reply: Reply<R::State>,
}

/// The reply to a new handle, and the state of its subscription.
type NewHandle<S> = (Reply<S>, Option<watch::Receiver<SubscriptionState>>);

/// [`View`] of a reducer.
struct ViewOf<R: NamedReducer> {
    name: Arc<str>,
    sender: watch::Sender<Shown<R::State>>,
    handles: usize,
    subscriptions: NeededSubscriptions,
    /// What the handles see of the subscriptions.
    states: Vec<(Subscription, watch::Sender<SubscriptionState>)>,
    new_handles: Vec<NewHandle<R::State>>,
}

impl<R> Opening for OpeningOf<R>
where
    R: NamedReducer<Action: Send, State: Send + Sync> + Send + 'static,
{
    fn name(&self) -> &Arc<str> {
        self.reducer.name()
    }

    fn document(&self) -> Option<DocumentKey> {
        let (name, kind) = (self.reducer.name(), self.reducer.kind()?);
        let is_whole = self.subscription.as_ref() == Some(&Subscription::to(&**name));
        // The name is the channel of the document: the kind, a slash and the id.
        let id = name.get(kind.len() + 1..).filter(|_| is_whole)?;
        Some(DocumentKey::new(kind.clone(), id))
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
        let sender = watch::Sender::new(Shown {
            state,
            undo: UndoState::default(),
            document: DocumentReport::local(),
            refused_changes: 0,
        });
        let subscriptions = NeededSubscriptions::new(name.clone());
        let (states, new_handles) = (Vec::new(), Vec::new());
        let mut view = ViewOf::<R> { name, sender, handles: 0, subscriptions, states, new_handles };
        view.add_handle(self.subscription, self.reply);
        // The lists begin with the records of this device.
        view.publish(timelines, false);
        Box::new(view)
    }

    fn join(self: Box<Self>, view: &mut dyn View, timelines: &TimelineSet) {
        let Some(view) = view.as_any().downcast_mut::<ViewOf<R>>() else {
            let _ = self.reply.send(None);
            return;
        };
        view.add_handle(self.subscription, self.reply);
        view.publish(timelines, false);
    }
}

impl<R: NamedReducer> ViewOf<R> {
    fn add_handle(&mut self, subscription: Option<Subscription>, reply: Reply<R::State>) {
        self.handles += 1;
        let receiver = subscription.map(|subscription| self.need(subscription));
        self.new_handles.push((reply, receiver));
    }

    /// Records that a handle needs a subscription. Returns the receiver of its state.
    fn need(&mut self, subscription: Subscription) -> watch::Receiver<SubscriptionState> {
        self.subscriptions.need(&subscription);
        self.publish_states();
        if let Some((_, state)) = self.states.iter().find(|(known, _)| *known == subscription) {
            return state.subscribe();
        }
        let (state, receiver) = watch::channel(SubscriptionState::Loading);
        self.states.push((subscription, state));
        receiver
    }

    fn publish_states(&mut self) {
        self.states.retain(|(subscription, sender)| {
            let Some(state) = self.subscriptions.state(subscription) else { return false };
            sender.send_if_modified(|shown| {
                let is_new = shown != state;
                shown.clone_from(state);
                is_new
            });
            true
        });
    }
}

impl<R> View for ViewOf<R>
where
    R: NamedReducer<State: Send + Sync> + 'static,
{
    fn publish(&mut self, timelines: &TimelineSet, is_own: bool) {
        if let Some(timeline) = timelines.timeline::<R>(&self.name) {
            if let Some(records) = (timeline.state() as &dyn Any).downcast_ref() {
                self.subscriptions.update_records(records, is_own);
                if self.subscriptions.take_excess() {
                    tracing::warn!(plural = %self.name, "too many records to subscribe to each");
                }
            }
            self.sender.send_modify(|shown| shown.state = timeline.state().clone());
        }
    }

    fn reply(&mut self) {
        for (reply, subscription) in self.new_handles.drain(..) {
            let shown = self.sender.subscribe();
            let _ = reply.send(Some(Receivers { shown, subscription }));
        }
    }

    fn set_undo(&mut self, undo: UndoState) {
        self.sender.send_if_modified(|shown| {
            let is_new = shown.undo != undo;
            shown.undo = undo;
            is_new
        });
    }

    fn set_document(&mut self, document: DocumentReport) {
        self.sender.send_if_modified(|shown| {
            let is_new = shown.document != document;
            shown.document = document;
            is_new
        });
    }

    fn refused_changed(&mut self) {
        self.sender.send_modify(|shown| shown.refused_changes += 1);
    }

    fn subscriptions(&mut self) -> &mut NeededSubscriptions {
        &mut self.subscriptions
    }

    fn publish_subscriptions(&mut self) {
        self.publish_states();
    }

    fn release(&mut self, subscription: Option<&Subscription>) -> bool {
        self.handles -= 1;
        if let Some(subscription) = subscription {
            self.subscriptions.leave(subscription);
        }
        self.handles == 0
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}
