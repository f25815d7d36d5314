//! One object that several nodes share, as the state of a log.

use core::marker::PhantomData;
use std::sync::Arc;

use super::crdt::Crdt;
use crate::{
    action::{Action, ActionError, ActionId, Meta, Stamp, push_once},
    log::{Draft, Log, LogError},
    replay::{Diff, Malformed, Obsolete, Reducer, Saved, Timeline},
    store::{Entry, Store},
    time::WallTime,
};

/// A [`Reducer`] for one object of type `C`, whose operations stand in actions of one type: `{"type":"tasks","op":"insert",…}`.
///
/// The log keeps what matters for the object: an action has a reason for each part of the object it is about, such as `tasks/title`, and loses it when a
/// later one, that nobody can take back any more, has made it of no consequence.
#[derive(Clone, Debug)]
pub struct Shared<C> {
    kind: Arc<str>,
    object: PhantomData<fn() -> C>,
}

impl<C: Crdt> Shared<C> {
    /// The object whose actions have this type.
    pub fn new(kind: impl Into<Arc<str>>) -> Self {
        Self { kind: kind.into(), object: PhantomData }
    }

    /// The type of the actions.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The action of an operation.
    ///
    /// # Errors
    /// [`ActionError::Write`] for a value that cannot be JSON, such as a map whose keys are no text.
    pub fn action(&self, op: &C::Op) -> Result<Action, ActionError> {
        Action::typed(&self.kind, op)
    }

    fn reason(&self, slot: &str) -> Arc<str> {
        format!("{}/{slot}", self.kind).into()
    }
}

impl<C: Crdt> Reducer for Shared<C> {
    type Action = C::Op;
    type State = C;

    fn read(&self, action: &Action) -> Result<Option<C::Op>, Malformed> {
        if action.kind() != &*self.kind {
            return Ok(None);
        }
        let op = action.parse().map_err(|error| Malformed::new(error.to_string()))?;
        C::check(&op)?;
        Ok(Some(op))
    }

    fn initial(&self) -> C {
        C::default()
    }

    #[inline]
    fn apply(&self, state: &mut C, op: &C::Op, stamp: &Stamp) {
        state.apply(op, stamp);
    }

    fn commutes(&self) -> bool {
        true
    }

    fn preadd(&self, op: &C::Op, meta: &mut Meta) {
        C::slots(op, &meta.stamp(), &mut |slot| push_once(&mut meta.reasons, self.reason(&slot)));
    }

    fn obsolete(
        &self,
        state: &C,
        op: &C::Op,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    ) {
        state.obsolete(op, stamp, settled, &mut |obsolete| {
            tell(match obsolete {
                Obsolete::Before(slot, stamp) => Obsolete::Before(self.reason(&slot), stamp),
                Obsolete::One(slot, id) => Obsolete::One(self.reason(&slot), id),
            });
        });
    }
}

impl<C: Crdt> Diff for Shared<C> {
    type Part = C::Part;

    fn diff(&self, before: &C, after: &C, part: &mut dyn FnMut(C::Part)) {
        before.diff(after, part);
    }
}

impl<C: Crdt> Saved for Shared<C> {
    const NAME: &'static str = C::NAME;
    const VERSION: u32 = C::VERSION;
}

/// Why an edit was not made.
#[derive(Debug)]
#[non_exhaustive]
pub enum EditError<E, S> {
    /// The operation cannot be made: the error of what was tried.
    Op(E),
    /// The operation is beyond a limit.
    Malformed(Malformed),
    /// Its value cannot be JSON.
    Action(ActionError),
    /// The store failed.
    Log(LogError<S>),
}

impl<E: core::fmt::Display, S: core::fmt::Display> core::fmt::Display for EditError<E, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Op(error) => error.fmt(f),
            Self::Malformed(error) => error.fmt(f),
            Self::Action(error) => error.fmt(f),
            Self::Log(error) => error.fmt(f),
        }
    }
}

impl<E: core::error::Error + 'static, S: core::error::Error + 'static> core::error::Error
    for EditError<E, S>
{
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        Some(match self {
            Self::Op(error) => error,
            Self::Malformed(error) => error,
            Self::Action(error) => error,
            Self::Log(error) => error,
        })
    }
}

impl<S: Store, C: Crdt> Log<S, Timeline<Shared<C>>> {
    /// Changes the object: `make` gets it as it is and the id that the action will have, and makes the operation.
    ///
    /// # Errors
    /// What `make` says; [`EditError::Malformed`] for an operation beyond a limit; when the store fails. The object is as it was then.
    pub fn edit<E>(
        &mut self,
        now: WallTime,
        make: impl FnOnce(&C, &ActionId) -> Result<C::Op, E>,
    ) -> Result<Entry, EditError<E, S::Error>> {
        let id = self.generate_id(now);
        let op = make(self.state(), &id).map_err(EditError::Op)?;
        C::check(&op).map_err(EditError::Malformed)?;
        let action = self.timeline().reducer().action(&op).map_err(EditError::Action)?;
        let as_is = Entry::new(action.clone(), Meta::new(id.clone()));
        let added = self
            .add(now, action, Draft { id: Some(id), ..Draft::default() })
            .map_err(EditError::Log)?;
        // The id is new, so the log has not got it yet.
        Ok(added.unwrap_or(as_is))
    }
}
