//! What an action does to a state.

use core::marker::PhantomData;
use std::sync::Arc;

use serde::de::DeserializeOwned;

use super::Malformed;
use crate::action::{Action, ActionId, Meta, Stamp};

/// Makes a state of actions. Pure: the same actions in the same order give the same state on every node.
///
/// It looks at nothing but its arguments: no clock, no randomness, no map whose order changes from run to run. For a few lines, take
/// [`untyped_reducer`] or [`typed_reducer`] with a closure.
pub trait Reducer {
    /// An action as this reducer understands it. Read once when the action comes, applied as often as history is replayed.
    type Action;

    /// The state. Cloned for checkpoints, so a clone should share what it can, as the collections of `imbl` do.
    type State: Clone;

    /// Reads an action. `None`: it is not for this reducer.
    ///
    /// # Errors
    /// [`Malformed`] for an action of a known type that does not have its fields. It is ignored, on every node alike, and reported.
    fn read(&self, action: &Action) -> Result<Option<Self::Action>, Malformed>;

    /// The state before the first action.
    fn initial(&self) -> Self::State;

    /// Applies an action. An action that asks for the impossible, such as to rename what does not exist, does nothing.
    fn apply(&self, state: &mut Self::State, action: &Self::Action, stamp: &Stamp);

    /// Whether the order in which actions are applied makes no difference. Then late actions are applied as they come, and nothing is
    /// replayed but undo. `logux::testing::assert_commutes` proves the claim.
    fn commutes(&self) -> bool {
        false
    }

    /// Adds reasons for which a log should keep the action beyond the time of undo, and indexes to find it by. None by default.
    fn preadd(&self, action: &Self::Action, meta: &mut Meta) {
        let _ = (action, meta);
    }

    /// Tells which actions do not matter any more because of `action`, which nobody can take back now. `settled` says whether
    /// that is true of another action too. What is told here may be forgotten: the state must be the same without it, whatever
    /// comes. `logux::testing::assert_compaction_is_invisible` proves it.
    fn obsolete(
        &self,
        state: &Self::State,
        action: &Self::Action,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    ) {
        let _ = (state, action, stamp, settled, tell);
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

    fn commutes(&self) -> bool {
        (**self).commutes()
    }

    fn preadd(&self, action: &R::Action, meta: &mut Meta) {
        (**self).preadd(action, meta);
    }

    fn obsolete(
        &self,
        state: &R::State,
        action: &R::Action,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    ) {
        (**self).obsolete(state, action, stamp, settled, tell);
    }
}

/// Actions that a log need not keep for a reason any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Obsolete {
    /// All that are older than this place in the order.
    Before(Arc<str>, Stamp),
    /// One action.
    One(Arc<str>, ActionId),
}

/// A reducer that can tell which parts of a state differ, so that only those are drawn again.
pub trait Diff: Reducer {
    /// The name of a part, such as the key of a record.
    type Part;

    /// Names the parts that differ. Should cost what differs, not what there is.
    fn diff(&self, before: &Self::State, after: &Self::State, part: &mut dyn FnMut(Self::Part));
}

/// A reducer of a closure over actions as they are. Made by [`untyped_reducer`].
#[derive(Clone, Debug)]
pub struct UntypedReducer<S, F> {
    initial: S,
    apply: F,
}

/// A reducer that is given every action but those of Logux itself.
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

/// A reducer of a closure over actions of a type of yours. Made by [`typed_reducer`].
#[derive(Clone, Debug)]
pub struct TypedReducer<A, S, F> {
    kinds: &'static [&'static str],
    initial: S,
    apply: F,
    action: PhantomData<fn() -> A>,
}

/// A reducer that is given actions of the named types, read into a type of yours.
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
