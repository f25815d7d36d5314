//! Who sees what happens in a log.

use std::sync::Arc;

use crate::{
    action::{Action, ActionId, Meta, NameList},
    store::{Criteria, Entry},
};

/// What an observer wants done with the log it observes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ObserverRequest {
    /// Take a reason from the actions that meet the criteria.
    RemoveReason(Arc<str>, Criteria),
    /// Give an action these reasons in place of its own; without any it is removed.
    SetReasons(ActionId, NameList),
    /// Give an action the reasons of another, besides its own.
    CopyReasons {
        /// Whose reasons.
        from: ActionId,
        /// Who gets them.
        to: ActionId,
        /// All but this one.
        except: Arc<str>,
    },
}

/// Sees actions come and go. Every method does nothing unless you write it.
///
/// A pair of observers is an observer: the first sees everything first.
pub trait Observer {
    /// Before an action is added: the place to set reasons, indexes and other meta. The id stays what it is.
    fn preadd(&mut self, action: &Action, meta: &mut Meta) {
        let _ = (action, meta);
    }

    /// An action was added. Without `meta.added` it was not kept.
    fn added(&mut self, entry: &Entry) {
        let _ = entry;
    }

    /// An action is gone: its last reason was taken, or it never had one.
    fn cleaned(&mut self, entry: &Entry) {
        let _ = entry;
    }

    /// What the log has to do next. The log asks after each change, until `None`.
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
