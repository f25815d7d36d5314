//! A CRDT that several nodes share, as the state of a log.

use core::{marker::PhantomData, time::Duration};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use super::crdt::Crdt;
use crate::{
    action::{
        Action, ActionError, ActionId, DocumentKey, DocumentVerb, Meta, NodeId, Stamp, push_once,
    },
    json::{Cursor, Json, MAX_DEPTH},
    log::{Draft, Log, LogError},
    replay::{Coverage, Diff, Malformed, NamedReducer, Reducer, Settlement, Timeline},
    store::{Entry, Store},
    time::WallTime,
};

/// A [`Reducer`] for one document of type `C`.
///
/// Its actions are `{"type":"notes/edit","id":"7","ops":[…]}`, and `notes/create` with the same
/// fields: the operations of one action are checked, refused and undone together, and each merges
/// by its own rule. `{"type":"notes/snapshot","id":"7",…}` settles actions; only servers can make
/// it, and the node that [`settled_by`](Self::settled_by) names.
///
/// A log keeps the actions and their undos until a snapshot settles them.
#[derive(Clone, Debug)]
pub struct Shared<C> {
    key: DocumentKey,
    settling_node: Option<NodeId>,
    object: PhantomData<fn() -> C>,
}

/// The maximum number of operations in an action.
pub const MAX_OPERATIONS: usize = 10_000;

/// The maximum depth of an action that changes a document. It is less than that of other actions,
/// so that an action that contains it, such as its undo by a server, is an action too.
pub const MAX_EDIT_DEPTH: usize = MAX_DEPTH - 16;

/// The operations of one action. Most actions have one.
pub type Operations<C> = SmallVec<[<C as Crdt>::Op; 1]>;

/// The fields of the actions that change a document, besides the type.
#[derive(Serialize)]
struct EditFields<'a, O> {
    id: &'a str,
    ops: &'a [O],
}

#[derive(Deserialize)]
struct ReadEdit<O> {
    #[serde(default = "Vec::new")]
    ops: Vec<O>,
}

/// The fields of a snapshot, besides the type.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SnapshotFields<'a, S> {
    id: &'a str,
    state_type: &'a str,
    version: u32,
    coverage: &'a Coverage,
    state: &'a S,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadSnapshot {
    state_type: String,
    version: u32,
    coverage: Coverage,
    state: Json,
}

impl<C: Crdt> Shared<C> {
    /// Creates a reducer for the document `id` of a kind, such as `notes`.
    pub fn new(kind: impl Into<Arc<str>>, id: impl Into<Arc<str>>) -> Self {
        Self { key: DocumentKey::new(kind, id), settling_node: None, object: PhantomData }
    }

    /// Names the node that settles actions, for a log without a server. All nodes must name the
    /// same one.
    #[must_use]
    pub fn settled_by(self, node: NodeId) -> Self {
        Self { settling_node: Some(node), ..self }
    }

    /// Returns the kind and the id of the document.
    pub const fn key(&self) -> &DocumentKey {
        &self.key
    }

    /// Returns the action of operations, which are applied in this order.
    ///
    /// # Errors
    /// [`ActionError::Write`] for a value that cannot be represented in JSON, such as a map with
    /// keys that are not strings.
    pub fn action(&self, ops: &[C::Op]) -> Result<Action, ActionError> {
        self.action_of(DocumentVerb::Edit, ops)
    }

    /// Returns the action that creates the document with operations, which may be none. After a
    /// deletion, it takes the deletion back.
    ///
    /// # Errors
    /// As [`action`](Self::action).
    pub fn create_action(&self, ops: &[C::Op]) -> Result<Action, ActionError> {
        self.action_of(DocumentVerb::Create, ops)
    }

    fn action_of(&self, verb: DocumentVerb, ops: &[C::Op]) -> Result<Action, ActionError> {
        Action::typed(&self.key.action_type(verb), &EditFields { id: self.key.id(), ops })
    }

    /// Returns the action of the operations that `make` adds to a state. The action gets this id.
    ///
    /// # Errors
    /// [`EditError::Op`], [`EditError::Malformed`] and [`EditError::Action`] as for
    /// [`Log::edit_together`].
    pub fn edit_action<E, S>(
        &self,
        state: &C,
        id: &ActionId,
        make: impl FnOnce(&mut Operation<'_, C>) -> Result<(), E>,
    ) -> Result<Action, EditError<E, S>> {
        let mut ops = Vec::new();
        let stamp = Stamp::new(id.time(), id.clone());
        make(&mut Operation { state: state.clone(), stamp, ops: &mut ops })
            .map_err(EditError::Op)?;
        ops.iter().try_for_each(C::check).map_err(EditError::Malformed)?;
        self.action(&ops).map_err(EditError::Action)
    }

    /// Checks that an action follows from a state, with [`Crdt::admit`] for each operation, and
    /// returns the state with its operations. For the node that accepts actions. Other actions than
    /// edits of this document are accepted.
    ///
    /// # Errors
    /// [`Malformed`] with what was expected.
    pub fn admit(&self, state: &C, action: &Action, stamp: &Stamp) -> Result<C, Malformed> {
        let mut state = state.clone();
        for (index, op) in (0..).zip(self.read(action)?.into_iter().flatten()) {
            let stamp = stamp.of_operation(index);
            state.admit(&op, &stamp)?;
            state.apply(&op, &stamp);
        }
        Ok(state)
    }

    /// Returns the action of a snapshot.
    ///
    /// # Errors
    /// [`ActionError`] if the state exceeds a limit of actions.
    pub fn snapshot_action(&self, settlement: &Settlement<C>) -> Result<Action, ActionError> {
        let Settlement { coverage, state } = settlement;
        Action::typed(
            &self.key.action_type(DocumentVerb::Snapshot),
            &SnapshotFields {
                id: self.key.id(),
                state_type: C::NAME,
                version: C::VERSION,
                coverage,
                state,
            },
        )
    }

    /// Returns what a snapshot of a timeline contains. Actions before `horizon` that are not part
    /// of it will be rejected. O(state).
    pub fn settlement(timeline: &Timeline<Self>, horizon: Option<WallTime>) -> Settlement<C> {
        timeline.settlement(horizon, C::settle)
    }
}

impl<C: Crdt> Reducer for Shared<C> {
    type Action = Operations<C>;
    type State = C;

    fn read(&self, action: &Action) -> Result<Option<Operations<C>>, Malformed> {
        let Some(DocumentVerb::Create | DocumentVerb::Edit) = self.key.verb(action) else {
            return Ok(None);
        };
        check_depth(action.as_json())?;
        let edit: ReadEdit<C::Op> =
            action.parse().map_err(|error| Malformed::new(error.to_string()))?;
        if edit.ops.len() > MAX_OPERATIONS {
            return Err(Malformed::new(format!(
                "expected at most {MAX_OPERATIONS} operations in an action, got {}",
                edit.ops.len()
            )));
        }
        edit.ops.iter().try_for_each(C::check)?;
        Ok(Some(edit.ops.into()))
    }

    fn initial(&self) -> C {
        C::default()
    }

    #[inline]
    fn apply(&self, state: &mut C, ops: &Operations<C>, stamp: &Stamp) {
        for (index, op) in (0..).zip(ops) {
            if index == 0 {
                state.apply(op, stamp);
            } else {
                state.apply(op, &stamp.of_operation(index));
            }
        }
    }

    fn apply_undone(&self, state: &mut C, ops: &Operations<C>, stamp: &Stamp) {
        for (index, op) in (0..).zip(ops) {
            state.apply_undone(op, &stamp.of_operation(index));
        }
    }

    fn commutes(&self) -> bool {
        true
    }

    fn preadd(&self, _: &Operations<C>, meta: &mut Meta) {
        push_once(&mut meta.indexes, self.key.channel().clone());
    }

    fn document_reason(&self) -> Option<&Arc<str>> {
        Some(self.key.channel())
    }

    fn is_snapshot(&self, action: &Action, id: &ActionId) -> bool {
        let may_settle = || id.node().is_server() || self.settling_node.as_ref() == Some(id.node());
        // Most actions are by clients, which costs less to see than the type and the id.
        may_settle() && self.key.verb(action) == Some(DocumentVerb::Snapshot)
    }

    fn read_snapshot(&self, entry: &Entry) -> Result<Settlement<C>, Malformed> {
        let Entry { action, meta } = entry;
        let malformed = |error: &dyn core::fmt::Display| Malformed::new(error.to_string());
        let read: ReadSnapshot = action.parse().map_err(|error| malformed(&error))?;
        if (&*read.state_type, read.version) != (C::NAME, C::VERSION) {
            return Err(Malformed::new(format!(
                "expected a snapshot of {} version {}, got one of {} version {}",
                C::NAME,
                C::VERSION,
                read.state_type,
                read.version
            )));
        }
        let mut state: C = read.state.parse().map_err(|error| malformed(&error))?;
        let ahead = meta.time.since(meta.id.time());
        if ahead != 0 {
            state.shift_times(ahead);
        }
        Ok(Settlement { coverage: read.coverage, state })
    }
}

impl<C: Crdt> NamedReducer for Shared<C> {
    /// Returns the channel of the document.
    fn name(&self) -> &Arc<str> {
        self.key.channel()
    }

    fn kind(&self) -> Option<&Arc<str>> {
        Some(self.key.kind())
    }

    fn extended(timeline: &Timeline<Self>, entry: &Entry, addition: &Action) -> Option<Action> {
        let document = timeline.reducer();
        let is_edit = |action| document.key.verb(action) == Some(DocumentVerb::Edit);
        if !is_edit(&entry.action) || !is_edit(addition) {
            return None;
        }
        let (stamp, ops) = timeline.action_in_effect(&entry.meta.id)?;
        let added = document.read(addition).ok()??;
        let is_latest = timeline.newest() == Some(stamp);
        if !is_latest && !added.iter().all(|op| timeline.state().is_effective_at(op, stamp)) {
            return None;
        }
        let mut ops = ops.to_vec();
        for op in added {
            if !ops.last_mut().is_some_and(|last| C::join(last, &op)) {
                ops.push(op);
            }
        }
        document.action(&ops).ok().filter(|_| ops.len() <= MAX_OPERATIONS)
    }
}

fn check_depth(json: &str) -> Result<(), Malformed> {
    // Most actions have too few brackets to be too deep.
    let brackets = json.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count();
    if brackets <= MAX_EDIT_DEPTH || Cursor::with_depth(json, MAX_EDIT_DEPTH).value().is_ok() {
        Ok(())
    } else {
        Err(Malformed::new(format!("expected at most {MAX_EDIT_DEPTH} levels of nesting")))
    }
}

impl<C: Crdt> Diff for Shared<C> {
    type Part = C::Part;

    fn diff(&self, before: &C, after: &C, part: &mut dyn FnMut(C::Part)) {
        before.diff(after, part);
    }
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

/// Collects the operations of one action. Made by [`Log::edit_together`].
#[derive(Debug)]
pub struct Operation<'a, C: Crdt> {
    state: C,
    stamp: Stamp,
    ops: &'a mut Vec<C::Op>,
}

impl<C: Crdt> Operation<'_, C> {
    /// Returns the state with the operations so far.
    pub const fn state(&self) -> &C {
        &self.state
    }

    /// Returns the author of the action.
    pub const fn author(&self) -> &NodeId {
        self.stamp.id().node()
    }

    fn next_stamp(&self) -> Stamp {
        self.stamp.of_operation(u32::try_from(self.ops.len()).unwrap_or(u32::MAX))
    }

    /// Adds an operation.
    pub fn push(&mut self, op: C::Op) {
        self.state.apply(&op, &self.next_stamp());
        self.ops.push(op);
    }

    /// Adds operations, in their order.
    pub fn extend(&mut self, ops: impl IntoIterator<Item = C::Op>) {
        ops.into_iter().for_each(|op| self.push(op));
    }
}

impl<S: Store, C: Crdt> Log<S, Timeline<Shared<C>>> {
    /// Changes the document: `make` receives its state and the id of the new action, and returns
    /// the operation. Returns the added entry.
    ///
    /// # Errors
    /// [`EditError::Op`] with the error of `make`; [`EditError::Malformed`] if the operation
    /// exceeds a limit; [`EditError::Action`] if it cannot be represented in JSON;
    /// [`EditError::Log`] if the store fails. The document is unchanged then.
    pub fn edit<E>(
        &mut self,
        now: WallTime,
        make: impl FnOnce(&C, &ActionId) -> Result<C::Op, E>,
    ) -> Result<Entry, EditError<E, S::Error>> {
        let id = self.generate_id(now);
        let op = make(self.state(), &id).map_err(EditError::Op)?;
        self.add_edit(now, &id, &[op])
    }

    /// Changes the document by several operations in one action, which are refused and undone
    /// together. `make` sees the effect of each operation that it has added.
    ///
    /// # Errors
    /// As for [`edit`](Self::edit).
    pub fn edit_together<E>(
        &mut self,
        now: WallTime,
        make: impl FnOnce(&mut Operation<'_, C>) -> Result<(), E>,
    ) -> Result<Entry, EditError<E, S::Error>> {
        let id = self.generate_id(now);
        let timeline = self.timeline();
        let action = timeline.reducer().edit_action(timeline.state(), &id, make)?;
        self.add_new(now, &id, action).map_err(EditError::Log)
    }

    fn add_edit<E>(
        &mut self,
        now: WallTime,
        id: &ActionId,
        ops: &[C::Op],
    ) -> Result<Entry, EditError<E, S::Error>> {
        ops.iter().try_for_each(C::check).map_err(EditError::Malformed)?;
        let action = self.timeline().reducer().action(ops).map_err(EditError::Action)?;
        self.add_new(now, id, action).map_err(EditError::Log)
    }

    /// Adds an own action with an id that was generated for it.
    fn add_new(
        &mut self,
        now: WallTime,
        id: &ActionId,
        action: Action,
    ) -> Result<Entry, LogError<S::Error>> {
        let entry = Entry::new(action.clone(), Meta::new(id.clone()));
        let added = self.add(now, action, Draft { id: Some(id.clone()), ..Draft::default() })?;
        // The id is new, so the log cannot refuse the entry as a duplicate.
        Ok(added.unwrap_or(entry))
    }

    /// Settles the document: adds a snapshot of its current state, and forgets the actions that are
    /// part of it. They cannot be undone any more, on any node. Actions that are older than
    /// `horizon` and not part of a snapshot are rejected from now on.
    ///
    /// Only one node of a system may do this: its server, or the node that
    /// [`Shared::settled_by`] names.
    ///
    /// # Errors
    /// [`EditError::Action`] if the state exceeds a limit of actions; [`EditError::Log`] if the
    /// store fails.
    pub fn fold(
        &mut self,
        now: WallTime,
        horizon: Duration,
    ) -> Result<Entry, EditError<core::convert::Infallible, S::Error>> {
        let horizon = i64::try_from(horizon.as_millis())
            .ok()
            .and_then(|millis| now.as_millis().checked_sub(millis))
            .and_then(WallTime::checked_from_millis);
        let settlement = Shared::settlement(self.timeline(), horizon);
        let action =
            self.timeline().reducer().snapshot_action(&settlement).map_err(EditError::Action)?;
        let id = self.generate_id(now);
        self.add_new(now, &id, action).map_err(EditError::Log)
    }
}
