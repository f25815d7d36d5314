//! Reducers: what an action does to a state.

use core::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::{Malformed, settlement::Settlement};
use crate::{
    action::{Action, ActionId, Meta, Stamp},
    store::Entry,
};

/// Computes a state from actions. A reducer is pure: the same actions in the same order give the
/// same state on every node.
///
/// It depends on its arguments only: on no clock, no randomness, and no map whose order differs
/// between runs. For a small reducer, use [`untyped_reducer`] or [`typed_reducer`] with a closure.
pub trait Reducer {
    /// The type of actions that this reducer reads. An action is read once, when it arrives, and
    /// applied whenever history is replayed.
    type Action;

    /// The state. It is cloned for saved states, so clones should share structure, like the
    /// collections of `imbl`.
    type State: Clone;

    /// Reads an action. Returns `None` if it is not for this reducer.
    ///
    /// # Errors
    /// [`Malformed`] for an action of a known type that does not have the fields of this type.
    /// Every node ignores it, and the timeline reports it.
    fn read(&self, action: &Action) -> Result<Option<Self::Action>, Malformed>;

    /// Returns the state before the first action.
    fn initial(&self) -> Self::State;

    /// Applies an action. An action that is impossible in this state, such as renaming what does
    /// not exist, has no effect.
    fn apply(&self, state: &mut Self::State, action: &Self::Action, stamp: &Stamp);

    /// Applies of an undone action what other actions refer to, such as the places of the
    /// characters that it inserted, beside which others have typed meanwhile. Must commute with
    /// everything. By default, does nothing.
    fn apply_undone(&self, state: &mut Self::State, action: &Self::Action, stamp: &Stamp) {
        let _ = (state, action, stamp);
    }

    /// Returns `true` if the order in which actions are applied makes no difference. Then late
    /// actions are applied when they arrive, and history is replayed for undo only.
    /// `logux::testing::assert_commutes` tests this.
    fn commutes(&self) -> bool {
        false
    }

    /// Adds reasons for which a log keeps the action after it is settled, and indexes to find it
    /// by. By default, adds none.
    fn preadd(&self, action: &Self::Action, meta: &mut Meta) {
        let _ = (action, meta);
    }

    /// Returns the reason for which a log keeps the actions of this reducer until a snapshot
    /// settles them. By default, returns `None`: there are no snapshot actions, and each
    /// replica settles its actions after
    /// [`TimelineConfig::history`](super::TimelineConfig::history) others.
    fn document_reason(&self) -> Option<&Arc<str>> {
        None
    }

    /// Returns `true` if an action is a snapshot for this reducer, by a node that may settle
    /// actions. By default, returns `false`.
    fn is_snapshot(&self, action: &Action, id: &ActionId) -> bool {
        let _ = (action, id);
        false
    }

    /// Reads a snapshot action. The times in it are by the clock of its author, those in the result
    /// by the clock of this node: they differ by the meta time of the action less the time of its
    /// id.
    ///
    /// # Errors
    /// [`Malformed`] for a snapshot that this reducer cannot read.
    fn read_snapshot(&self, entry: &Entry) -> Result<Settlement<Self::State>, Malformed> {
        Err(Malformed::new(format!("expected no snapshot, got {}", entry.action.kind())))
    }

    /// Reports the actions that are obsolete because of `action`, which is settled. `settled`
    /// returns `true` if another action is settled too. The log may remove the reported actions, so
    /// the state must be the same without them, whatever actions arrive later.
    /// `logux::testing::assert_compaction_is_invisible` tests this.
    fn obsolete(
        &self,
        state: &Self::State,
        action: &Self::Action,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        let _ = (state, action, stamp, settled, report);
    }
}

impl<R: Reducer + ?Sized> Reducer for &R {
    type Action = R::Action;
    type State = R::State;

    fn read(&self, action: &Action) -> Result<Option<R::Action>, Malformed> {
        (**self).read(action)
    }

    fn initial(&self) -> R::State {
        (**self).initial()
    }

    fn apply(&self, state: &mut R::State, action: &R::Action, stamp: &Stamp) {
        (**self).apply(state, action, stamp);
    }

    fn apply_undone(&self, state: &mut R::State, action: &R::Action, stamp: &Stamp) {
        (**self).apply_undone(state, action, stamp);
    }

    fn commutes(&self) -> bool {
        (**self).commutes()
    }

    fn preadd(&self, action: &R::Action, meta: &mut Meta) {
        (**self).preadd(action, meta);
    }

    fn document_reason(&self) -> Option<&Arc<str>> {
        (**self).document_reason()
    }

    fn is_snapshot(&self, action: &Action, id: &ActionId) -> bool {
        (**self).is_snapshot(action, id)
    }

    fn read_snapshot(&self, entry: &Entry) -> Result<Settlement<R::State>, Malformed> {
        (**self).read_snapshot(entry)
    }

    fn obsolete(
        &self,
        state: &R::State,
        action: &R::Action,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        (**self).obsolete(state, action, stamp, settled, report);
    }
}

/// Actions that a log does not have to keep any more for a reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obsolete {
    /// All actions with this reason that are before this position in the order.
    Before(Arc<str>, Stamp),
    /// One action.
    One(Arc<str>, ActionId),
}

/// A reducer that can list the parts in which two states differ, so that only these are drawn
/// again.
pub trait Diff: Reducer {
    /// The name of a part, such as the key of a record.
    type Part;

    /// Calls `part` with each part that differs. The cost should be proportional to the
    /// differences, not to the state.
    fn diff(&self, before: &Self::State, after: &Self::State, part: &mut dyn FnMut(Self::Part));
}

/// A reducer with a closure over untyped actions. Created by [`untyped_reducer`].
#[derive(Clone, Debug)]
pub struct UntypedReducer<S, F> {
    initial: S,
    apply: F,
}

/// Creates a reducer for all actions except those of Logux itself.
pub const fn untyped_reducer<S: Clone, F: Fn(&mut S, &Action)>(
    initial: S,
    apply: F,
) -> UntypedReducer<S, F> {
    UntypedReducer { initial, apply }
}

impl<S: Clone, F: Fn(&mut S, &Action)> Reducer for UntypedReducer<S, F> {
    type Action = Action;
    type State = S;

    fn read(&self, action: &Action) -> Result<Option<Action>, Malformed> {
        Ok(Some(action.clone()))
    }

    fn initial(&self) -> S {
        self.initial.clone()
    }

    fn apply(&self, state: &mut S, action: &Action, _: &Stamp) {
        (self.apply)(state, action);
    }
}

/// A reducer with a closure over actions of a Rust type. Created by [`typed_reducer`].
#[derive(Clone, Debug)]
pub struct TypedReducer<A, S, F> {
    kinds: &'static [&'static str],
    initial: S,
    apply: F,
    action: PhantomData<fn() -> A>,
}

/// Creates a reducer for actions of the listed types, which are read into a Rust type.
///
/// ```
/// use logux::replay::{Timeline, typed_reducer};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(tag = "type")]
/// enum Cart {
///     #[serde(rename = "cart/add")]
///     Add { price: u32 },
///     #[serde(rename = "cart/empty")]
///     Empty,
/// }
///
/// let reducer = typed_reducer(&["cart/add", "cart/empty"], 0_u32, |total: &mut u32, action: &Cart| match action {
///     Cart::Add { price } => *total += price,
///     Cart::Empty => *total = 0,
/// });
/// let timeline = Timeline::new(reducer);
/// assert_eq!(*timeline.state(), 0);
/// ```
pub const fn typed_reducer<A: DeserializeOwned, S: Clone, F: Fn(&mut S, &A)>(
    kinds: &'static [&'static str],
    initial: S,
    apply: F,
) -> TypedReducer<A, S, F> {
    TypedReducer { kinds, initial, apply, action: PhantomData }
}

impl<A: DeserializeOwned, S: Clone, F: Fn(&mut S, &A)> Reducer for TypedReducer<A, S, F> {
    type Action = A;
    type State = S;

    fn read(&self, action: &Action) -> Result<Option<A>, Malformed> {
        if !self.kinds.contains(&action.kind()) {
            return Ok(None);
        }
        action.parse().map(Some).map_err(|error| Malformed::new(error.to_string()))
    }

    fn initial(&self) -> S {
        self.initial.clone()
    }

    fn apply(&self, state: &mut S, action: &A, _: &Stamp) {
        (self.apply)(state, action);
    }
}
