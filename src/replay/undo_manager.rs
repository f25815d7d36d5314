//! Undo and redo for users.

use core::time::Duration;
use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::{
    action::ActionId,
    json::Json,
    log::{Log, LogError},
    replay::{MAX_SELECTION, Reducer, RevertedStep, Timeline, UndoItem, UndoStep},
    store::Store,
    time::{MonoTime, WallTime, as_millis},
};

/// Undo and redo of one user's own edits, while others edit too.
///
/// Call [`done`](Self::done) for each edit. Edits that follow each other within the time that is
/// set by [`grouping`](Self::grouping) form one step, such as a burst of key strokes.
/// [`undo`](Self::undo) undoes the latest step that is in effect, and [`redo`](Self::redo) the
/// latest undo, unless an edit was made since.
///
/// Both add `logux/undo` actions: an undo undoes the edits of a step, a redo undoes those undos.
/// Other nodes receive them like every action, and edits of others stay in effect. If the state
/// changed in the meantime:
///
/// - *Another user has written the same field later*: the own write is undone, which is not
///   visible; the later write stays.
/// - *Another user has deleted the edited item*: the own edit is undone, the item stays deleted. If
///   the deletion is undone, the item has its value without the edit.
/// - *The own step was the deletion*: the item is restored with everything that others have written
///   to it meanwhile.
/// - *The action is settled by a snapshot, or not in the log any more*: it is skipped; a step
///   without remaining actions is skipped too.
///
/// An editor tells what is selected ([`select`](Self::select)): a step keeps what was selected
/// before its first edit, and an undo returns it, so that the cursor goes back with the text. With
/// anchors, it stays with its characters, whatever others have edited since.
///
/// The manager can be stored across restarts as a JSON value (`serde`).
///
/// ```
/// use logux::{Log, MemoryStore, NodeId, Now, crdt::{Map, MapOp, Shared}, replay::{Timeline, UndoManager}};
/// use serde_json::json;
///
/// let mut log = Log::with_observer(NodeId::new("10:a:b")?, MemoryStore::new(), Timeline::new(Shared::<Map>::new("notes", "1")))?;
/// let mut undo = UndoManager::default();
/// for (ms, title) in [(0, "L"), (100, "Lo"), (5_000, "Logux")] {
///     let now = Now::from_millis(ms, ms.unsigned_abs());
///     let set = MapOp::Set { path: "/title".parse()?, value: json!(title).into() };
///     let entry = log.edit(now.wall, |_, _| Ok::<_, std::convert::Infallible>(set))?;
///     undo.done(now.mono, entry.meta.id);
/// }
/// let later = Now::from_millis(6_000, 6_000);
/// undo.undo(later.wall, &mut log)?;
/// assert_eq!(log.state().get("/title"), Some(&json!("Lo").into()));
/// undo.undo(later.wall, &mut log)?;
/// assert_eq!(log.state().get("/title"), None); // "L" and "Lo" were one burst
/// undo.redo(later.wall, &mut log)?;
/// assert_eq!(log.state().get("/title"), Some(&json!("Lo").into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoManager {
    done: VecDeque<UndoStep>,
    undone: Vec<UndoStep>,
    group_ms: u64,
    max_steps: usize,
    /// The number of forgotten steps, which is the number of the first of `done`.
    #[serde(default)]
    forgotten: u64,
    /// What the user has selected now.
    #[serde(skip)]
    selection: Option<Json>,
    /// The time of the latest edit of the open step. After a restart, no step is open.
    #[serde(skip)]
    open_since: Option<MonoTime>,
}

impl Default for UndoManager {
    /// Edits within 500 ms of each other form one step; 100 steps are kept.
    fn default() -> Self {
        Self::grouping(Duration::from_millis(500), 100)
    }
}

impl UndoManager {
    /// Creates a manager. Edits that follow each other within this time form one step. When there
    /// are more than `max_steps` steps, the oldest one is forgotten; at least one is kept.
    pub fn grouping(within: Duration, max_steps: usize) -> Self {
        let group_ms = as_millis(within);
        Self {
            done: VecDeque::new(),
            undone: Vec::new(),
            group_ms,
            max_steps: max_steps.max(1),
            forgotten: 0,
            selection: None,
            open_since: None,
        }
    }

    /// Records an own edit. Earlier undone steps cannot be redone any more.
    pub fn done(&mut self, now: MonoTime, id: ActionId) {
        self.undone.clear();
        let continues_step = self.continues_step(now);
        let item = UndoItem::Action(id);
        match self.done.back_mut().filter(|_| continues_step) {
            Some(step) => step.items.push(item),
            None => {
                let selection = self.selection.clone();
                self.push(UndoStep { items: vec![item], selection });
            }
        }
        self.open_since = Some(now);
    }

    fn continues_step(&self, now: MonoTime) -> bool {
        let group = Duration::from_millis(self.group_ms);
        self.open_since.is_some_and(|last| now.since(last) <= group)
    }

    /// Returns `true` if the next edit is in the step whose last edit is this action.
    pub(crate) fn is_open(&self, now: MonoTime, id: &ActionId) -> bool {
        let last = self.done.back().and_then(|step| step.items.last());
        self.continues_step(now) && matches!(last, Some(UndoItem::Action(last)) if last == id)
    }

    /// Records that the last edit has become longer.
    pub(crate) const fn extend(&mut self, now: MonoTime) {
        self.open_since = Some(now);
    }

    /// Records what the user has selected: any JSON value, such as a
    /// [`Selection`](crate::crdt::Selection). The step that the next edit begins keeps it, and
    /// [`undo`](Self::undo) returns it. A value of more than [`MAX_SELECTION`] bytes counts as
    /// `None`.
    pub fn select(&mut self, selection: Option<Json>) {
        self.selection = selection.filter(|json| json.as_str().len() <= MAX_SELECTION);
    }

    /// Closes the current step, so that the next edit starts a new one: for a pause, a click or a
    /// paste.
    pub const fn close_step(&mut self) {
        self.open_since = None;
    }

    /// Returns `true` if there is a step to undo.
    pub fn can_undo(&self) -> bool {
        !self.done.is_empty()
    }

    /// Returns `true` if there is a step to redo.
    pub fn can_redo(&self) -> bool {
        !self.undone.is_empty()
    }

    /// Undoes the latest step of which the log still has an action. Returns the selection from
    /// before the step; `None` if there is no step.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
    ) -> Result<Option<RevertedStep>, LogError<S::Error>> {
        self.undo_by(|items| add_undos(now, log, items))
    }

    /// Redoes the latest undone step. Returns the selection from before the undo; `None` if there
    /// is no step.
    ///
    /// # Errors
    /// If the store fails.
    pub fn redo<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
    ) -> Result<Option<RevertedStep>, LogError<S::Error>> {
        self.redo_by(|items| add_undos(now, log, items))
    }

    /// Undoes the latest step that `revert` has something to undo of. It returns the items that
    /// revert its own effect.
    pub(crate) fn undo_by<E>(
        &mut self,
        mut revert: impl FnMut(&[UndoItem]) -> Result<Vec<UndoItem>, E>,
    ) -> Result<Option<RevertedStep>, E> {
        self.open_since = None;
        while let Some(step) = self.done.pop_back() {
            let undos = revert(&step.items)?;
            if !undos.is_empty() {
                self.undone(undos);
                return Ok(Some(self.show(step.selection)));
            }
        }
        Ok(None)
    }

    /// Redoes the latest undone step that `revert` has something to undo of.
    pub(crate) fn redo_by<E>(
        &mut self,
        mut revert: impl FnMut(&[UndoItem]) -> Result<Vec<UndoItem>, E>,
    ) -> Result<Option<RevertedStep>, E> {
        self.open_since = None;
        while let Some(undos) = self.undone.pop() {
            let items = revert(&undos.items)?;
            if !items.is_empty() {
                // The next undo undoes the redo.
                let selection = self.selection.clone();
                self.push(UndoStep { items, selection });
                return Ok(Some(self.show(undos.selection)));
            }
        }
        Ok(None)
    }

    /// Records an undone step that can be redone.
    pub(crate) fn undone(&mut self, items: Vec<UndoItem>) {
        self.open_since = None;
        if !items.is_empty() {
            let selection = self.selection.clone();
            self.undone.push(UndoStep { items, selection });
        }
    }

    /// Makes the selection of a reverted step the current one.
    fn show(&mut self, selection: Option<Json>) -> RevertedStep {
        if selection.is_some() {
            self.selection.clone_from(&selection);
        }
        RevertedStep { selection }
    }

    /// Returns `true` if a step to undo has an item with this property. The latest is asked first.
    pub(crate) fn can_undo_any(&self, wanted: impl Fn(&UndoItem) -> bool) -> bool {
        self.done.iter().rev().any(|step| step.items.iter().any(&wanted))
    }

    /// Returns `true` if a step to redo has an item with this property.
    pub(crate) fn can_redo_any(&self, wanted: impl Fn(&UndoItem) -> bool) -> bool {
        self.undone.iter().rev().any(|step| step.items.iter().any(&wanted))
    }

    /// Returns the number of the first step that can be undone.
    pub(crate) const fn first_number(&self) -> u64 {
        self.forgotten
    }

    /// Returns the steps that can be undone with their numbers, oldest first. The number of a step
    /// stays the same.
    pub(crate) fn done_steps(&self) -> impl Iterator<Item = (u64, &UndoStep)> {
        (self.forgotten..).zip(&self.done)
    }

    /// Returns the steps that can be redone with their numbers. The last is redone first.
    pub(crate) fn undone_steps(&self) -> impl Iterator<Item = (u64, &UndoStep)> {
        (0..).zip(&self.undone)
    }

    /// Undoes actions, also of others, as one step that can be redone. Returns the number of undone
    /// actions. [`Timeline::actions_by`] returns the actions of an author, and
    /// [`Timeline::state_without`] the preview. The server refuses the undo of what the user may
    /// not undo.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo_actions<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
        ids: &[ActionId],
    ) -> Result<usize, LogError<S::Error>> {
        let items: Vec<_> = ids.iter().cloned().map(UndoItem::Action).collect();
        let undos = add_undos(now, log, &items)?;
        let count = undos.len();
        self.undone(undos);
        Ok(count)
    }

    /// Restores the steps of an earlier start, by their numbers, which need not begin with 0.
    pub(crate) fn restore(
        &mut self,
        done: impl IntoIterator<Item = (u64, UndoStep)>,
        undone: impl IntoIterator<Item = (u64, UndoStep)>,
    ) {
        let sorted = |steps: &mut dyn Iterator<Item = (u64, UndoStep)>| {
            steps.collect::<BTreeMap<u64, UndoStep>>()
        };
        let done = sorted(&mut done.into_iter());
        self.forgotten = done.keys().next().copied().unwrap_or(0);
        self.done = done.into_values().collect();
        self.undone = sorted(&mut undone.into_iter()).into_values().collect();
    }

    fn push(&mut self, step: UndoStep) {
        if self.done.len() == self.max_steps {
            self.done.pop_front();
            self.forgotten += 1;
        }
        self.done.push_back(step);
    }
}

/// Adds an undo for each action of a step, the latest first.
fn add_undos<S: Store, R: Reducer>(
    now: WallTime,
    log: &mut Log<S, Timeline<R>>,
    items: &[UndoItem],
) -> Result<Vec<UndoItem>, LogError<S::Error>> {
    let ids = items.iter().rev().filter_map(|item| match item {
        UndoItem::Action(id) => Some(id),
        UndoItem::Dropped { .. } => None,
    });
    let undos = log.undo_all(now, ids, "undo")?;
    Ok(undos.into_iter().map(UndoItem::Action).collect())
}
