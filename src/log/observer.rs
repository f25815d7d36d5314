//! Who sees what happens in a log.

use crate::{
    action::{Action, Meta},
    store::Entry,
};

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
}
