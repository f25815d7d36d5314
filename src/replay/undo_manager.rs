//! Undo and redo as people expect them.

use core::time::Duration;
use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::{
    action::ActionId,
    log::{Log, LogError},
    replay::{Reducer, Timeline},
    store::Store,
    time::{MonoTime, WallTime},
};

/// Undo and redo of one user's own edits, whatever others do meanwhile.
///
/// Tell it each edit ([`done`](Self::done)); it forms steps: edits that follow each other within [`group_ms`](Self::grouping) are one step, as a burst of
/// key strokes is for a person. [`undo`](Self::undo) takes back the latest step that is in effect, and [`redo`](Self::redo) brings back the latest one that
/// was taken back, as long as nothing was done since.
///
/// Both are `logux/undo` actions: undo takes back the edits of a step, redo takes back those undos. So they come to other nodes like every action, and
/// what others did stays. What if the thing was changed meanwhile:
///
/// - *Somebody has written the same field later*: undo takes out the own write, which was not to be seen; the later one stays.
/// - *Somebody has deleted the item that was edited*: undo takes out the own edit, the item stays deleted. If they undo their deletion, the item comes
///   back without the edit.
/// - *The own step was the deletion*: undo brings the thing back with everything that others have written into it meanwhile.
/// - *The action is not in the log any more* (it is older than the time of undo, [`TimelineConfig::history`](crate::replay::TimelineConfig::history)): it is left out; a step
///   of which nothing is left is skipped.
///
/// The state is a JSON value (`serde`), to be kept across restarts.
///
/// ```
/// use logux::{Log, MemoryStore, NodeId, Now, crdt::{Map, MapOp, Shared}, replay::{Timeline, UndoManager}};
/// use serde_json::json;
///
/// let mut log = Log::with_observer(NodeId::new("10:a:b")?, MemoryStore::new(), Timeline::new(Shared::<Map>::new("note")))?;
/// let mut undo = UndoManager::default();
/// for (ms, title) in [(0, "L"), (100, "Lo"), (5_000, "Logux")] {
///     let now = Now::from_millis(ms, ms.unsigned_abs());
///     let set = MapOp::Set { path: "/title".parse()?, value: json!(title).into() };
///     let entry = log.edit(now.wall, |_, _| Ok::<_, std::convert::Infallible>(set))?;
///     undo.done(now.mono, entry.meta.id);
/// }
/// let later = Now::from_millis(6_000, 6_000);
/// undo.undo(later.wall, &mut log)?;
/// assert_eq!(log.state().get("/title"), Some(&json!("Lo")));
/// undo.undo(later.wall, &mut log)?;
/// assert_eq!(log.state().get("/title"), None); // "L" and "Lo" were one burst
/// undo.redo(later.wall, &mut log)?;
/// assert_eq!(log.state().get("/title"), Some(&json!("Lo")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UndoManager {
    done: VecDeque<UndoStep>,
    undone: Vec<UndoStep>,
    group_ms: u64,
    max_steps: usize,
    /// When the step that is still open got its last edit. A restart closes it.
    #[serde(skip)]
    open_since: Option<MonoTime>,
}

/// Edits that are undone and redone together: own actions, or the undos of such.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UndoStep(pub Vec<ActionId>);

impl Default for UndoManager {
    /// Edits within 500 ms of each other are one step; 100 steps are remembered.
    fn default() -> Self {
        Self::grouping(Duration::from_millis(500), 100)
    }
}

impl UndoManager {
    /// Edits that follow each other within this time are one step; at most `max_steps` are remembered, then the oldest are forgotten.
    pub fn grouping(within: Duration, max_steps: usize) -> Self {
        let group_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
        Self {
            done: VecDeque::new(),
            undone: Vec::new(),
            group_ms,
            max_steps: max_steps.max(1),
            open_since: None,
        }
    }

    /// An own edit was made. What was undone before can not be redone any more.
    pub fn done(&mut self, now: MonoTime, id: ActionId) {
        self.undone.clear();
        let belongs = self
            .open_since
            .is_some_and(|last| now.since(last) <= Duration::from_millis(self.group_ms));
        match self.done.back_mut().filter(|_| belongs) {
            Some(step) => step.0.push(id),
            None => self.push(UndoStep(vec![id])),
        }
        self.open_since = Some(now);
    }

    /// The step is complete, whatever comes how soon: at a pause, a click, or a paste.
    pub const fn close_step(&mut self) {
        self.open_since = None;
    }

    /// Whether there is something to undo.
    pub fn can_undo(&self) -> bool {
        !self.done.is_empty()
    }

    /// Whether there is something to redo.
    pub fn can_redo(&self) -> bool {
        !self.undone.is_empty()
    }

    /// Takes back the latest step of which something is left in the log. Returns whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn undo<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
    ) -> Result<bool, LogError<S::Error>> {
        self.open_since = None;
        while let Some(step) = self.done.pop_back() {
            let undos = take_back(now, log, &step)?;
            if !undos.0.is_empty() {
                self.undone.push(undos);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Brings back the latest step that was taken back. Returns whether there was one.
    ///
    /// # Errors
    /// When the store fails.
    pub fn redo<S: Store, R: Reducer>(
        &mut self,
        now: WallTime,
        log: &mut Log<S, Timeline<R>>,
    ) -> Result<bool, LogError<S::Error>> {
        self.open_since = None;
        while let Some(undos) = self.undone.pop() {
            let redos = take_back(now, log, &undos)?;
            if !redos.0.is_empty() {
                // The next undo takes back the redo.
                self.push(redos);
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn push(&mut self, step: UndoStep) {
        if self.done.len() == self.max_steps {
            self.done.pop_front();
        }
        self.done.push_back(step);
    }
}

/// Adds undos, the latest first.
fn take_back<S: Store, R: Reducer>(
    now: WallTime,
    log: &mut Log<S, Timeline<R>>,
    step: &UndoStep,
) -> Result<UndoStep, LogError<S::Error>> {
    let mut undos = UndoStep::default();
    for id in step.0.iter().rev() {
        if let Some(entry) = log.undo(now, id, "undo")? {
            undos.0.push(entry.meta.id);
        }
    }
    Ok(undos)
}
