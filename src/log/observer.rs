//! Observers: values that see the actions that are added to a log and removed from it.

use std::sync::Arc;

use crate::{
    action::{Action, ActionId, Meta},
    store::{Criteria, Entry},
};

/// A change that an observer requests of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObserverRequest {
    /// Remove a reason from the actions that match the criteria.
    RemoveReason(Arc<str>, Criteria),
    /// Remove all reasons of an action except this one; if the action does not have it, the
    /// action is removed.
    RetainReason(ActionId, Arc<str>),
    /// Add the reasons of one action to those of another.
    CopyReasons {
        /// The action whose reasons are copied.
        from: ActionId,
        /// The action that gets them.
        to: ActionId,
        /// A reason that is not copied.
        except: Arc<str>,
    },
}

/// Sees the actions that are added to a log and removed from it. By default, every method does
/// nothing.
///
/// A pair of observers is an observer; the first is always called before the second.
pub trait Observer {
    /// Called before an action is added. May set reasons, indexes and other meta. A change of the
    /// id has no effect.
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        let _ = (action, meta);
    }

    /// Called after an action was added. If `meta.added` is `None`, the action was not kept.
    fn added(&mut self, entry: &Entry) {
        let _ = entry;
    }

    /// Called after an action was removed: its last reason was removed, or it never had one.
    fn cleaned(&mut self, entry: &Entry) {
        let _ = entry;
    }

    /// Returns the next request to the log. The log calls this after each change, until it returns
    /// `None`.
    fn next_request(&mut self) -> Option<ObserverRequest> {
        None
    }
}

impl Observer for () {}

impl<O: Observer + ?Sized> Observer for Box<O> {
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        (**self).preadd(action, meta);
    }

    fn added(&mut self, entry: &Entry) {
        (**self).added(entry);
    }

    fn cleaned(&mut self, entry: &Entry) {
        (**self).cleaned(entry);
    }

    fn next_request(&mut self) -> Option<ObserverRequest> {
        (**self).next_request()
    }
}

impl<A: Observer, B: Observer> Observer for (A, B) {
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        self.0.preadd(action, meta);
        self.1.preadd(action, meta);
    }

    fn added(&mut self, entry: &Entry) {
        self.0.added(entry);
        self.1.added(entry);
    }

    fn cleaned(&mut self, entry: &Entry) {
        self.0.cleaned(entry);
        self.1.cleaned(entry);
    }

    fn next_request(&mut self) -> Option<ObserverRequest> {
        self.0.next_request().or_else(|| self.1.next_request())
    }
}
