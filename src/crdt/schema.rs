//! The check of a change of a document against a schema.

use core::fmt;
use std::{collections::BTreeSet, sync::Arc};

use serde_json::Value;

use super::{
    crdt::Crdt,
    element::ElementId,
    path::Path,
    shared::Shared,
    touched::{Touched, ValueShape},
};
use crate::{
    action::{Action, ActionId, DocumentVerb, Stamp, logux::Undo},
    json::Json,
    replay::Reducer as _,
};

/// A schema of documents: decides whether a change is allowed. A server checks actions and undos
/// before it accepts them; a client may check its own before it makes them. `Schema` of the crate
/// `logux-schema` implements it for JSON Schema.
pub trait DocumentSchema: Send + Sync {
    /// Checks a change.
    ///
    /// A document may violate the schema already, for example one that is older than the schema. A
    /// change that adds no violation has to be accepted, so that it can still be edited.
    ///
    /// # Errors
    /// [`SchemaViolation`]: the first violation that the change adds.
    fn check(&self, change: &CheckedChange<'_>) -> Result<(), SchemaViolation>;
}

impl<S: DocumentSchema + ?Sized> DocumentSchema for Arc<S> {
    fn check(&self, change: &CheckedChange<'_>) -> Result<(), SchemaViolation> {
        (**self).check(change)
    }
}

/// Reads parts of the state of a document of any type.
pub trait DocumentView {
    /// As [`Crdt::value_at`].
    fn value(&self, path: &Path) -> Option<Value>;

    /// As [`Crdt::shape_at`].
    fn shape(&self, path: &Path) -> Option<ValueShape>;

    /// As [`Crdt::element_at`].
    fn element(&self, path: &Path, element: &ElementId) -> Option<Value>;
}

impl<C: Crdt> DocumentView for C {
    fn value(&self, path: &Path) -> Option<Value> {
        self.value_at(path)
    }

    fn shape(&self, path: &Path) -> Option<ValueShape> {
        self.shape_at(path)
    }

    fn element(&self, path: &Path, element: &ElementId) -> Option<Value> {
        self.element_at(path, element)
    }
}

/// A change of a document, for a [`DocumentSchema`].
pub struct CheckedChange<'a> {
    before: Option<&'a dyn DocumentView>,
    after: &'a dyn DocumentView,
    touched: BTreeSet<Touched>,
}

impl fmt::Debug for CheckedChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CheckedChange").field("touched", &self.touched).finish_non_exhaustive()
    }
}

impl<'a> CheckedChange<'a> {
    /// A change from a state to another one, which differs at most in what is touched. Without a
    /// state before, the document is new.
    pub fn new(
        before: Option<&'a dyn DocumentView>,
        after: &'a dyn DocumentView,
        touched: impl IntoIterator<Item = Touched>,
    ) -> Self {
        Self { before, after, touched: touched.into_iter().collect() }
    }

    /// Returns the state before the change. `None` for a new document.
    pub const fn before(&self) -> Option<&'a dyn DocumentView> {
        self.before
    }

    /// Returns the state after the change.
    pub const fn after(&self) -> &'a dyn DocumentView {
        self.after
    }

    /// Returns what may differ between the states.
    pub fn touched(&self) -> impl Iterator<Item = &Touched> {
        self.touched.iter()
    }
}

/// A violation of a schema.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaViolation {
    /// The path of the field, a JSON Pointer: the key of an item of a list, or of a node of a tree,
    /// is its name or its index.
    pub path: String,
    /// What was expected, and what came: at most [`MAX_ERROR`](Self::MAX_ERROR) bytes.
    pub error: String,
}

impl SchemaViolation {
    /// The reason of an undo because of a violation.
    pub const REASON: &'static str = "schema";
    /// The maximum length of [`error`](Self::error), in bytes.
    pub const MAX_ERROR: usize = 300;

    /// Creates a violation. Longer descriptions are cut.
    pub fn new(path: impl Into<String>, error: impl Into<String>) -> Self {
        let mut error = error.into();
        error.truncate(error.floor_char_boundary(Self::MAX_ERROR));
        Self { path: path.into(), error }
    }

    /// Returns the keys of the `logux/undo` besides the id and the reason: `path` and `error`.
    pub fn extra(&self) -> Vec<(String, Json)> {
        let string = |text: &str| Json::from(Value::from(text));
        vec![("path".to_owned(), string(&self.path)), ("error".to_owned(), string(&self.error))]
    }

    /// Returns the undo of an action that is refused because of the violation.
    pub fn undo(&self, id: &ActionId, action: Option<Action>) -> Undo {
        let reason = Self::REASON.to_owned();
        Undo { id: id.to_string(), reason, action, extra: self.extra() }
    }
}

impl fmt::Display for SchemaViolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.path.is_empty() {
            return f.write_str(&self.error);
        }
        write!(f, "{}: {}", self.path, self.error)
    }
}

impl core::error::Error for SchemaViolation {}

impl<C: Crdt> Shared<C> {
    /// Checks an action that changes the state `before` to `after` against a schema. Without a
    /// state before, the document is new, and all of it is checked. Other actions than edits of
    /// this document are accepted.
    ///
    /// # Errors
    /// [`SchemaViolation`]: the first violation that the action adds.
    pub fn check_schema(
        &self,
        schema: &dyn DocumentSchema,
        action: &Action,
        id: &ActionId,
        before: Option<&C>,
        after: &C,
    ) -> Result<(), SchemaViolation> {
        let Ok(Some(ops)) = self.read(action) else { return Ok(()) };
        let touched = ops.iter().map(|op| C::touched(op, id.node()));
        let before = before.map(|state| state as &dyn DocumentView);
        schema.check(&CheckedChange::new(before, after, touched))
    }

    /// Checks the undo of an action, or the undo of its undo, against a schema.
    ///
    /// # Errors
    /// As [`check_schema`](Self::check_schema).
    pub fn check_schema_of_undo(
        &self,
        schema: &dyn DocumentSchema,
        action: &Action,
        before: &C,
        after: &C,
    ) -> Result<(), SchemaViolation> {
        let Ok(Some(ops)) = self.read(action) else { return Ok(()) };
        // What was removed appears again with all that is in it.
        let touched =
            ops.iter().map(|op| Touched::Value(C::path(op).cloned().unwrap_or_else(Path::root)));
        schema.check(&CheckedChange::new(Some(before), after, touched))
    }

    /// Checks an action that this node is about to make of a state. An action that creates a
    /// document of which nothing is known has to make all of it right.
    ///
    /// # Errors
    /// As [`check_schema`](Self::check_schema).
    pub fn check_own(
        &self,
        schema: &dyn DocumentSchema,
        action: &Action,
        id: &ActionId,
        state: &C,
    ) -> Result<(), SchemaViolation> {
        let Ok(Some(ops)) = self.read(action) else { return Ok(()) };
        let mut after = state.clone();
        self.apply(&mut after, &ops, &Stamp::new(id.time(), id.clone()));
        let is_creation = self.key().verb(action) == Some(DocumentVerb::Create);
        let is_new = is_creation && *state == C::default();
        self.check_schema(schema, action, id, (!is_new).then_some(state), &after)
    }
}
