//! Received actions that are not added, because only an error of the server explains them.

use core::fmt;

use super::{Client, Output};
use crate::{
    action::{ActionId, logux},
    excerpt::name_excerpt,
    log::{LogError, Observer},
    store::{Entry, Store},
    sync::RefusedAction,
    time::Now,
    wire::ExceededLimit,
};

/// A received action that was not added to the log, because the server is wrong about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredAction {
    /// The id of the action. `None` if it is too long.
    pub id: Option<ActionId>,
    /// The type of the action, cut to 256 bytes.
    pub kind: String,
    /// The error of the server.
    pub reason: IgnoreReason,
}

/// The reason why a received action is ignored: an error of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IgnoreReason {
    /// The action has an id that this device has not given to an action yet, and may give to one.
    OwnFutureId,
    /// The action answers or undoes the action with this id, which this device has not given to an
    /// action yet, and may give to one.
    OfFutureId(ActionId),
    /// The action exceeds a limit of this device.
    Limit(ExceededLimit),
}

impl fmt::Display for IgnoredAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an action of the type {} ", self.kind)?;
        if let Some(id) = &self.id {
            write!(f, "with the id {id} ")?;
        }
        f.write_str("is ignored: ")?;
        match &self.reason {
            IgnoreReason::OwnFutureId => {
                f.write_str("its id is one of this device, which has not used it")
            }
            IgnoreReason::OfFutureId(id) => {
                write!(f, "it concerns {id}, an id of this device, which has not used it")
            }
            IgnoreReason::Limit(limit) => fmt::Display::fmt(limit, f),
        }
    }
}

impl From<RefusedAction> for IgnoredAction {
    fn from(refused: RefusedAction) -> Self {
        let RefusedAction { id, kind, limit, .. } = refused;
        Self { id, kind, reason: IgnoreReason::Limit(limit) }
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Reports a received action that must not be added: it would take the place of an own action
    /// that this device adds later, or undo it. Returns `true` if it is one.
    pub(super) fn ignore(&mut self, now: Now, entry: &Entry) -> Result<bool, LogError<S::Error>> {
        let Some(reason) = self.ignore_reason(now, entry)? else { return Ok(false) };
        let Entry { action, meta } = entry;
        let (id, kind) = (Some(meta.id.clone()), name_excerpt(action.kind()).into_owned());
        self.pending.push_back(Output::Ignored(IgnoredAction { id, kind, reason }));
        Ok(true)
    }

    fn ignore_reason(
        &self,
        now: Now,
        Entry { action, meta }: &Entry,
    ) -> Result<Option<IgnoreReason>, LogError<S::Error>> {
        if self.is_future_id(now, &meta.id)? {
            return Ok(Some(IgnoreReason::OwnFutureId));
        }
        if !matches!(action.kind(), logux::PROCESSED | logux::UNDO) {
            return Ok(None);
        }
        let target = action.str_field("id").and_then(|id| id.parse().ok());
        Ok(match target {
            Some(target) if self.is_future_id(now, &target)? => {
                Some(IgnoreReason::OfFutureId(target))
            }
            _ => None,
        })
    }

    /// Returns `true` for an id that this device has not used, and may generate.
    fn is_future_id(&self, now: Now, id: &ActionId) -> Result<bool, LogError<S::Error>> {
        Ok(self.log.may_generate(now.wall, id) && self.log.by_id(id)?.is_none())
    }
}
