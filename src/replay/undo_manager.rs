//! Undo and redo for users.

use core::time::Duration;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    action::ActionId,
    log::{Log, LogError},
    replay::{Reducer, Timeline},
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
    /// The time of the latest edit of the open step. After a restart, no step is open.
    #[serde(skip)]
    open_since: Option<MonoTime>,
}

/// Edits that are undone and redone together: own actions, or their undos.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UndoStep(pub Vec<ActionId>);

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
            open_since: None,
        }
    }

    /// Records an own edit. Earlier undone steps cannot be redone any more.
    pub fn done(&mut self, now: MonoTime, id: ActionId) {
        self.undone.clear();
        let continues_step = self
            .open_since
            .is_some_and(|last| now.since(last) <= Duration::from_millis(self.group_ms));
        match self.done.back_mut().filter(|_| continues_step) {
            Some(step) => step.0.push(id),
            None => self.push(UndoStep(vec![id])),
        }
        self.open_since = Some(now);
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

    /// Undoes the latest step of which the log still has an action. Returns `true` if there was
    /// one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn undo<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
    ) -> Result<bool, LogError<S::Error>> {
        self.open_since = None;
        while let Some(step) = self.done.pop_back() {
            let undos = add_undos(now, log, &step)?;
            if !undos.0.is_empty() {
                self.undone.push(undos);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Redoes the latest undone step. Returns `true` if there was one.
    ///
    /// # Errors
    /// If the store fails.
    pub fn redo<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
    ) -> Result<bool, LogError<S::Error>> {
        self.open_since = None;
        while let Some(undos) = self.undone.pop() {
            let redos = add_undos(now, log, &undos)?;
            if !redos.0.is_empty() {
                // The next undo undoes the redo.
                self.push(redos);
                return Ok(true);
            }
        }
        Ok(false)
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
        self.open_since = None;
        let undos = add_undos(now, log, &UndoStep(ids.to_vec()))?;
        let count = undos.0.len();
        if count > 0 {
            self.undone.push(undos);
        }
        Ok(count)
    }

    fn push(&mut self, step: UndoStep) {
        if self.done.len() == self.max_steps {
            self.done.pop_front();
        }
        self.done.push_back(step);
    }
}

/// Adds an undo for each action of a step, the latest first.
fn add_undos<S: Store, R: Reducer>(
    now: WallTime,
    log: &mut Log<S, Timeline<R>>,
    step: &UndoStep,
) -> Result<UndoStep, LogError<S::Error>> {
    log.undo_all(now, step.0.iter().rev(), "undo").map(UndoStep)
}
