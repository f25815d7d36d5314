//! Undo and redo by the user of a device, and the own actions that were never sent.

use core::ops::ControlFlow;

use super::{Client, Fate, Output, actions::is_unanswered};
use crate::{
    action::{
        ActionId, Meta, NameList,
        logux::{self, Undo},
    },
    log::{Draft, Log, LogError, Observer},
    store::{Entry, MetaChange, Query, Store},
    time::Now,
};

/// What an undo by the user of a device has done. `T` is what the caller receives of an undo that
/// was added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UndoOutcome<T = ActionId> {
    /// The action was never sent to the server. It is not in the log any more, and will not be
    /// sent. To redo it, add its action again.
    Dropped(Box<Entry>),
    /// A `logux/undo` was added, and is sent to the server, which answers it like any action. To
    /// redo the action, undo this undo.
    Added(T),
}

impl<T> UndoOutcome<T> {
    /// Converts what the caller receives of an added undo.
    pub fn map<U>(self, convert: impl FnOnce(T) -> U) -> UndoOutcome<U> {
        match self {
            Self::Dropped(entry) => UndoOutcome::Dropped(entry),
            Self::Added(undo) => UndoOutcome::Added(convert(undo)),
        }
    }
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Undoes an action, also of another client, with this reason. To redo it, undo the id of the
    /// undo.
    ///
    /// If the action is an own one that was never sent to the server, also by an earlier start of
    /// this device, it leaves the log, and nothing is sent: the undo of an edit without a
    /// connection, or the redo of an undo without one. An edit of a document stays if a later
    /// action of the document has not been sent either, because that may refer to what the edit
    /// has inserted. Otherwise, a `logux/undo` is added, which changes the state at once, and is
    /// sent after the action.
    ///
    /// The server decides whether the undo has an effect on others, and answers:
    /// [`Fate::Processed`], or [`Fate::Undone`] with the id of the undo and a reason, such as
    /// `settled`, `denied` or `notFound`. A refused undo leaves the log, and the action has its
    /// effect again. The action need not be in the log, which may have forgotten it. Of an action
    /// of a document, [`Coverage::is_final`] says before whether it is settled.
    ///
    /// A `logux/undo` that is passed to [`sync`](Self::sync) is always sent, after its action.
    ///
    /// [`Fate::Processed`]: super::Fate::Processed
    /// [`Fate::Undone`]: super::Fate::Undone
    /// [`Coverage::is_final`]: crate::replay::Coverage::is_final
    ///
    /// # Errors
    /// If the store fails.
    ///
    /// # Panics
    /// Never: an undo can always be written as JSON.
    pub fn undo(
        &mut self,
        now: Now,
        id: &ActionId,
        reason: &str,
    ) -> Result<UndoOutcome, LogError<S::Error>> {
        self.close_burst(now)?;
        let undone = self.log.by_id(id)?;
        let action = undone.as_ref().map(|entry| entry.action.clone());
        let undo = Undo::of(id, reason, action).to_action();
        let undo = undo.expect("strings and a checked action can be written as JSON");
        let undone = undone.filter(|entry| self.unsent.contains(&entry.meta));
        let undone = match undone {
            Some(_) if self.followers.are_possible() => None,
            Some(entry) if self.is_referred_to(&entry)? => None,
            undone => undone,
        };
        match undone {
            Some(entry) => {
                // The observer learns first that the action has no effect, and then forgets both.
                let undo_id = self.log.generate_id(now.wall);
                let draft = Draft { id: Some(undo_id.clone()), ..Draft::default() };
                self.log.add(now.wall, undo, draft)?;
                self.remove(id)?;
                self.remove(&undo_id)?;
                self.is_changed = true;
                self.unconfirmed.remove(&entry.meta);
                let change = self.subscriptions.undone(id, reason);
                self.tell_subscription(change);
                self.documents.undone(id);
                self.tell_documents();
                self.status.processed(now.mono, id);
                self.pending.push_back(Output::Fate(id.clone(), Fate::Dropped));
                Ok(UndoOutcome::Dropped(Box::new(entry)))
            }
            None => self.sync(now, undo).map(UndoOutcome::Added),
        }
    }

    /// Returns `true` if a later unsent action of the same document may refer to what an action has
    /// inserted, so that the action must not be dropped.
    fn is_referred_to(&self, entry: &Entry) -> Result<bool, LogError<S::Error>> {
        let Entry { action, meta } = entry;
        let channel = meta.reasons.iter().find(|reason| meta.indexes.contains(reason));
        let Some(channel) = channel.filter(|_| action.kind() != logux::UNDO) else {
            return Ok(false);
        };
        let mut is_referred_to = false;
        self.log.store().walk(&Query::added().index(channel.clone()), &mut |later| {
            is_referred_to = later.meta.added > meta.added && self.unsent.contains(&later.meta);
            if is_referred_to || later.meta.added <= meta.added {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        Ok(is_referred_to)
    }

    /// Returns `true` for an own action that was never sent.
    pub(super) fn is_unsent(&self, id: &ActionId) -> Result<bool, LogError<S::Error>> {
        Ok(self.log.by_id(id)?.is_some_and(|entry| self.unsent.contains(&entry.meta)))
    }

    /// Removes an action from the log, for whatever reasons it is kept.
    pub(super) fn remove(&mut self, id: &ActionId) -> Result<(), LogError<S::Error>> {
        let change = MetaChange { reasons: Some(NameList::new()), ..MetaChange::default() };
        self.log.change_meta(id, &change).map(drop)
    }
}

/// The name of the store's value with the number of [`Unsent`].
const UNSENT_AFTER: &str = "unsentAfter";

/// The own actions that no connection was there for: the server cannot have received them. They
/// are those that were added after this `added` number. `None`: there are none.
///
/// The number is stored in the commit of the first such action, and removed before the first of
/// them is sent, so it is right after a crash, and costs nothing while the device is connected.
#[derive(Debug, Default)]
pub(super) struct Unsent(Option<u64>);

impl Unsent {
    pub(super) fn read<S: Store, O: Observer>(log: &Log<S, O>) -> Result<Self, LogError<S::Error>> {
        Ok(Self(log.value(UNSENT_AFTER)?.and_then(|number| number.parse().ok())))
    }

    /// Records that the actions that are added from now on are not sent yet. The caller commits.
    pub(super) fn begin<S: Store, O: Observer>(
        &mut self,
        log: &mut Log<S, O>,
    ) -> Result<(), LogError<S::Error>> {
        if self.0.is_none() {
            let number = log.last_added()?;
            log.set_value(UNSENT_AFTER, Some(&number.to_string()))?;
            self.0 = Some(number);
        }
        Ok(())
    }

    /// Records that all actions are about to be sent.
    pub(super) fn end<S: Store, O: Observer>(
        &mut self,
        log: &mut Log<S, O>,
    ) -> Result<(), LogError<S::Error>> {
        if self.0.is_some() {
            log.set_value(UNSENT_AFTER, None)?;
            self.0 = None;
        }
        Ok(())
    }

    /// Returns the number after which actions are unsent.
    pub(super) const fn before_first(&self) -> Option<u64> {
        self.0
    }

    /// Returns `true` for an own action that was never sent.
    pub(super) fn contains(&self, meta: &Meta) -> bool {
        self.0.is_some_and(|number| meta.added > Some(number)) && is_unanswered(meta)
    }
}
