//! A CRDT that several nodes share, as the state of a log.

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

/// A [`Reducer`] for one object of type `C`. Its operations are actions of one type:
/// `{"type":"tasks","op":"insert",…}`.
///
/// The log keeps the actions that the object needs: an action has a reason for each of its
/// [slots](Crdt::slots), such as `tasks/value` for a register, and loses the reason when it is
/// obsolete because of a settled action.
#[derive(Clone, Debug)]
pub struct Shared<C> {
    kind: Arc<str>,
    object: PhantomData<fn() -> C>,
}

impl<C: Crdt> Shared<C> {
    /// Creates a reducer of the actions with the type `kind`.
    pub fn new(kind: impl Into<Arc<str>>) -> Self {
        Self { kind: kind.into(), object: PhantomData }
    }

    /// Returns the type of the actions.
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Returns the action of an operation.
    ///
    /// # Errors
    /// [`ActionError::Write`] for a value that cannot be represented in JSON, such as a map with
    /// keys that are not strings.
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
        report: &mut dyn FnMut(Obsolete),
    ) {
        state.obsolete(op, stamp, settled, &mut |obsolete| {
            report(match obsolete {
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

/// The error of [`Log::edit`]. The object and the log are unchanged.
#[derive(Debug)]
#[non_exhaustive]
pub enum EditError<E, S> {
    /// The error of the closure that makes the operation.
    Op(E),
    /// The operation exceeds a limit.
    Malformed(Malformed),
    /// The operation cannot be represented in JSON.
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
    /// Changes the object: `make` receives its state and the id of the new action, and returns the
    /// operation. Returns the added entry.
    ///
    /// # Errors
    /// [`EditError::Op`] with the error of `make`; [`EditError::Malformed`] if the operation
    /// exceeds a limit; [`EditError::Action`] if it cannot be represented in JSON;
    /// [`EditError::Log`] if the store fails. The object is unchanged then.
    pub fn edit<E>(
        &mut self,
        now: WallTime,
        make: impl FnOnce(&C, &ActionId) -> Result<C::Op, E>,
    ) -> Result<Entry, EditError<E, S::Error>> {
        let id = self.generate_id(now);
        let op = make(self.state(), &id).map_err(EditError::Op)?;
        C::check(&op).map_err(EditError::Malformed)?;
        let action = self.timeline().reducer().action(&op).map_err(EditError::Action)?;
        let entry = Entry::new(action.clone(), Meta::new(id.clone()));
        let added = self
            .add(now, action, Draft { id: Some(id), ..Draft::default() })
            .map_err(EditError::Log)?;
        // The id is new, so the log cannot refuse the entry as a duplicate.
        Ok(added.unwrap_or(entry))
    }
}
