//! Undo and redo for the user of a device: steps of edits, which survive a restart.

use core::{ops::ControlFlow, time::Duration};
use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::{Client, UndoOutcome};
use crate::{
    action::{Action, ActionId, logux},
    json::Json,
    log::{Draft, Log, LogError, Observer},
    replay::{Reversal, RevertedStep, TimelineSet, UndoItem, UndoManager, UndoStep},
    store::Store,
    time::{MonoTime, Now},
};

/// The reason of the undos of steps.
const REASON: &str = "undo";

/// The largest number of edits of a step. The next edit begins a new one, so that what has to be
/// stored for an edit is bounded.
const MAX_STEP_EDITS: usize = 1_000;

/// Whether there are steps to undo and to redo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UndoState {
    /// Whether there is a step to undo.
    pub can_undo: bool,
    /// Whether there is a step to redo.
    pub can_redo: bool,
}

/// The steps of the timelines that were edited, by name.
#[derive(Debug, Default)]
pub(super) struct UndoSteps {
    managers: HashMap<Arc<str>, UndoManager>,
    /// A manager without steps.
    empty: UndoManager,
}

impl UndoSteps {
    /// Forgets all steps.
    pub(super) fn clear(&mut self) {
        self.managers.clear();
    }

    /// Forgets the steps of a timeline. They stay in the store.
    pub(super) fn forget(&mut self, timeline: &str) {
        self.managers.remove(timeline);
    }

    /// Returns `true` if the next edit of a timeline is in the step whose last edit is this action.
    pub(super) fn is_open(&self, timeline: &str, now: MonoTime, id: &ActionId) -> bool {
        self.managers.get(timeline).is_some_and(|manager| manager.is_open(now, id))
    }

    /// Records that the last edit of a timeline has become longer.
    pub(super) fn extend(&mut self, timeline: &str, now: MonoTime) {
        if let Some(manager) = self.managers.get_mut(timeline) {
            manager.extend(now);
        }
    }
}

/// A step that can be undone, or redone, in the values of a store.
#[derive(Clone, Copy)]
enum Kind {
    Undo,
    Redo,
}

impl Kind {
    /// Returns the beginning of the names of the values of a timeline's steps. The number follows.
    fn prefix(self, timeline: &str) -> String {
        format!("{}{timeline} ", self.prefix_of_all())
    }

    /// Returns the beginning of the names of the values of the steps of all timelines.
    const fn prefix_of_all(self) -> &'static str {
        match self {
            Self::Undo => "undo ",
            Self::Redo => "redo ",
        }
    }

    fn read<S: Store, O: Observer>(
        self,
        log: &Log<S, O>,
        timeline: &str,
    ) -> Result<Vec<(u64, UndoStep)>, LogError<S::Error>> {
        let prefix = self.prefix(timeline);
        let mut steps = Vec::new();
        log.walk_values(&prefix, |name, json| {
            // The name of another timeline may begin with the name of this one and a space.
            let number = name.get(prefix.len()..).and_then(|number| number.parse().ok());
            let step = serde_json::from_str(json).ok();
            steps.extend(number.zip(step));
            ControlFlow::Continue(())
        })?;
        Ok(steps)
    }

    fn write<S: Store, O: Observer>(
        self,
        log: &mut Log<S, O>,
        timeline: &str,
        number: u64,
        step: Option<&UndoStep>,
    ) -> Result<(), LogError<S::Error>> {
        // An id and the text of an action can always be written.
        let json = step.and_then(|step| serde_json::to_string(step).ok());
        log.set_value(&format!("{}{number}", self.prefix(timeline)), json.as_deref())
    }
}

/// The numbers of the first and after the last step to undo, and of steps to redo.
#[derive(Clone, Copy)]
struct Numbers {
    undo: (u64, u64),
    redo: u64,
}

impl Numbers {
    fn of(manager: &UndoManager) -> Self {
        let first = manager.first_number();
        let undo = (first, first + manager.done_steps().count() as u64);
        Self { undo, redo: manager.undone_steps().count() as u64 }
    }
}

/// Copies the steps of a log to another one, in place of those that it has of the same timelines.
pub(super) fn copy<S: Store, S2: Store<Error = S::Error>, O: Observer, O2: Observer>(
    from: &Log<S2, O2>,
    to: &mut Log<S, O>,
) -> Result<(), LogError<S::Error>> {
    for kind in [Kind::Undo, Kind::Redo] {
        let mut steps = Vec::new();
        from.walk_values(kind.prefix_of_all(), |name, step| {
            steps.push((name.to_owned(), step.to_owned()));
            ControlFlow::Continue(())
        })?;
        let timelines: BTreeSet<_> =
            steps.iter().filter_map(|(name, _)| without_number(name)).collect();
        let mut old = Vec::new();
        to.walk_values(kind.prefix_of_all(), |name, _| {
            if without_number(name).is_some_and(|timeline| timelines.contains(timeline)) {
                old.push(name.to_owned());
            }
            ControlFlow::Continue(())
        })?;
        old.iter().try_for_each(|name| to.set_value(name, None))?;
        steps.iter().try_for_each(|(name, step)| to.set_value(name, Some(step)))?;
    }
    Ok(())
}

/// Returns the name of the value of a step without its number.
fn without_number(name: &str) -> Option<&str> {
    Some(name.rsplit_once(' ')?.0)
}

/// Stores the steps that differ from those before.
fn save<S: Store, O: Observer>(
    log: &mut Log<S, O>,
    timeline: &str,
    before: Numbers,
    manager: &UndoManager,
) -> Result<(), LogError<S::Error>> {
    let after = Numbers::of(manager);
    let gone_undo = (before.undo.0..before.undo.1)
        .filter(|number| !(after.undo.0..after.undo.1).contains(number));
    for number in gone_undo {
        Kind::Undo.write(log, timeline, number, None)?;
    }
    for number in after.redo..before.redo {
        Kind::Redo.write(log, timeline, number, None)?;
    }
    // The last step of before may have more edits now.
    let first_changed = before.undo.1.min(after.undo.1).saturating_sub(1);
    for (number, step) in manager.done_steps().filter(|(number, _)| *number >= first_changed) {
        Kind::Undo.write(log, timeline, number, Some(step))?;
    }
    for (number, step) in manager.undone_steps().filter(|(number, _)| *number >= before.redo) {
        Kind::Redo.write(log, timeline, number, Some(step))?;
    }
    Ok(())
}

impl<S: Store> Client<S, TimelineSet> {
    /// Sets how the edits of a timeline form steps: edits that follow each other within this time
    /// are one, and this number of steps is kept. Default: 500 ms and 100 steps.
    #[must_use]
    pub fn with_undo_grouping(mut self, within: Duration, max_steps: usize) -> Self {
        self.undo_steps.empty = UndoManager::grouping(within, max_steps);
        self
    }

    /// Adds an own action as [`sync`](Self::sync) does, as an edit of the timeline with this name:
    /// [`undo_step`](Self::undo_step) undoes it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn edit(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        action: Action,
    ) -> Result<ActionId, LogError<S::Error>> {
        let id = self.sync(now, action)?;
        self.record_edit(now, timeline, &id)?;
        Ok(id)
    }

    /// Makes an own action a part of the current step, or of a new one.
    pub(super) fn record_edit(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        id: &ActionId,
    ) -> Result<(), LogError<S::Error>> {
        self.change_steps(timeline, |_, manager| {
            if manager
                .done_steps()
                .last()
                .is_some_and(|(_, step)| step.items.len() >= MAX_STEP_EDITS)
            {
                manager.close_step();
            }
            manager.done(now.mono, id.clone());
            Ok(())
        })
    }

    /// Undoes the latest step of edits of the timeline with this name that has an effect, whatever
    /// others have edited since. Returns what was [selected](Self::select) before the step; `None`
    /// if there is no step. The steps are stored, so that an undo after a restart has the edits
    /// from before.
    ///
    /// Edits that were never sent leave the log, as by [`undo`](Self::undo), and a redo adds them
    /// again with their ids. The records of a kind have no history on servers: their edits are
    /// undone by actions that write the former values, as long as the timeline knows these.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo_step(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
    ) -> Result<Option<RevertedStep>, LogError<S::Error>> {
        self.change_steps(timeline, |client, manager| {
            manager.undo_by(|items| client.revert(now, timeline, items))
        })
    }

    /// Redoes the latest step that was undone, unless an edit was made since. Returns the selection
    /// from before the undo; `None` if there is no step.
    ///
    /// # Errors
    /// If the store fails.
    pub fn redo_step(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
    ) -> Result<Option<RevertedStep>, LogError<S::Error>> {
        self.change_steps(timeline, |client, manager| {
            manager.redo_by(|items| client.revert(now, timeline, items))
        })
    }

    /// Undoes actions of a timeline, also of others, as one step that can be redone. Returns the
    /// number of actions that had an effect. The server refuses the undo of what the user may not
    /// undo.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo_actions(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        ids: &[ActionId],
    ) -> Result<usize, LogError<S::Error>> {
        let items: Vec<_> = ids.iter().cloned().map(UndoItem::Action).collect();
        self.change_steps(timeline, |client, manager| {
            let undos = client.revert(now, timeline, &items)?;
            let count = undos.len();
            manager.undone(undos);
            Ok(count)
        })
    }

    /// Records what the user has selected in a timeline: any JSON value of at most
    /// [`MAX_SELECTION`](crate::replay::MAX_SELECTION) bytes, such as a
    /// [`Selection`](crate::crdt::Selection). The step that the next edit begins keeps it, and
    /// [`undo_step`](Self::undo_step) returns it.
    ///
    /// # Errors
    /// If the store fails.
    pub fn select(
        &mut self,
        timeline: &Arc<str>,
        selection: Option<Json>,
    ) -> Result<(), LogError<S::Error>> {
        self.read_steps(timeline)?;
        if let Some(manager) = self.undo_steps.managers.get_mut(timeline) {
            manager.select(selection);
        }
        Ok(())
    }

    /// Ends the current step of a timeline, so that the next edit starts a new one: for a pause, a
    /// click or a paste. Ends a burst of typing too.
    ///
    /// # Errors
    /// If the store fails.
    pub fn close_step(&mut self, now: Now, timeline: &Arc<str>) -> Result<(), LogError<S::Error>> {
        if let Some(manager) = self.undo_steps.managers.get_mut(timeline) {
            manager.close_step();
        }
        self.close_burst(now)
    }

    /// Returns whether there are steps of a timeline to undo and to redo.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo_state(&mut self, timeline: &Arc<str>) -> Result<UndoState, LogError<S::Error>> {
        self.read_steps(timeline)?;
        let Some(manager) = self.undo_steps.managers.get(timeline) else {
            return Ok(UndoState::default());
        };
        let has_effect = |item: &UndoItem| match item {
            UndoItem::Action(id) => {
                !matches!(self.log.observer().reversal(timeline, id), Reversal::Nothing)
            }
            UndoItem::Dropped { .. } => true,
        };
        Ok(UndoState {
            can_undo: manager.can_undo_any(has_effect),
            can_redo: manager.can_redo_any(has_effect),
        })
    }

    fn read_steps(&mut self, timeline: &Arc<str>) -> Result<(), LogError<S::Error>> {
        if !self.undo_steps.managers.contains_key(timeline) {
            let done = Kind::Undo.read(&self.log, timeline)?;
            let undone = Kind::Redo.read(&self.log, timeline)?;
            let mut manager = self.undo_steps.empty.clone();
            manager.restore(done, undone);
            self.undo_steps.managers.insert(timeline.clone(), manager);
        }
        Ok(())
    }

    /// Changes the steps of a timeline, and stores what has changed.
    fn change_steps<T>(
        &mut self,
        timeline: &Arc<str>,
        change: impl FnOnce(&mut Self, &mut UndoManager) -> Result<T, LogError<S::Error>>,
    ) -> Result<T, LogError<S::Error>> {
        self.read_steps(timeline)?;
        let empty = || self.undo_steps.empty.clone();
        let mut manager = self.undo_steps.managers.remove(timeline).unwrap_or_else(empty);
        let before = Numbers::of(&manager);
        let result = change(self, &mut manager);
        let saved = save(&mut self.log, timeline, before, &manager);
        self.is_changed = true;
        self.undo_steps.managers.insert(timeline.clone(), manager);
        saved.and(result)
    }

    /// Reverts the items of a step, the latest first. Returns those that revert the result.
    fn revert(
        &mut self,
        now: Now,
        timeline: &Arc<str>,
        items: &[UndoItem],
    ) -> Result<Vec<UndoItem>, LogError<S::Error>> {
        self.close_burst(now)?;
        self.log.observer_mut().set_paused(timeline, true);
        let revert = |item| self.revert_item(now, timeline, item).transpose();
        let reverted: Result<_, _> = items.iter().rev().filter_map(revert).collect();
        self.log.observer_mut().set_paused(timeline, false);
        reverted
    }

    fn revert_item(
        &mut self,
        now: Now,
        timeline: &str,
        item: &UndoItem,
    ) -> Result<Option<UndoItem>, LogError<S::Error>> {
        let id = match item {
            UndoItem::Dropped { id, time, action } => {
                let draft = Draft::of(id.clone(), *time);
                return Ok(Some(UndoItem::Action(self.sync_with(now, action.clone(), draft)?)));
            }
            UndoItem::Action(id) => id,
        };
        let is_unsent = self.is_unsent(id)?;
        match self.log.observer().reversal(timeline, id) {
            Reversal::Nothing => return Ok(None),
            Reversal::Action(action) if !is_unsent => {
                return Ok(Some(UndoItem::Action(self.sync(now, action)?)));
            }
            Reversal::Action(_) | Reversal::Undo => {}
        }
        Ok(match self.undo(now, id, REASON)? {
            UndoOutcome::Added(undo) => Some(UndoItem::Action(undo)),
            UndoOutcome::Dropped(entry) if entry.action.kind() == logux::UNDO => {
                // What it has undone has its effect again.
                let target = entry.action.str_field("id").and_then(|id| id.parse().ok());
                target.map(UndoItem::Action)
            }
            UndoOutcome::Dropped(entry) => {
                let (id, time) = (entry.meta.id, entry.meta.time);
                Some(UndoItem::Dropped { id, time, action: entry.action })
            }
        })
    }
}
