//! The trait of all the types.

use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    element::ElementId,
    json_op::{JsonOp, JsonOpError, MadeOps},
    path::Path,
    restore::RestoreError,
    saving::{LoadError, StateReader, StateWriter, container},
    touched::{Touched, ValueShape},
};
use crate::{
    action::{NodeId, Stamp},
    json::Json,
    replay::{Coverage, Malformed},
};

/// The maximum length of a set element, and of an id or a field name of a sync map, in bytes.
pub const MAX_TEXT: usize = 4_096;

/// A state that is changed by operations, each with the stamp of its action: a conflict-free
/// replicated data type as defined by Shapiro, Preguiça, Baquero and Zawirski, "Conflict-free
/// Replicated Data Types" (2011).
///
/// [`apply`](Self::apply) is commutative, associative and idempotent: the same operations with the
/// same stamps give equal states in any order, any grouping and any number of repetitions. Clones
/// share their common structure, so that saved states are cheap.
///
/// In JSON, a state is a string: the bytes of [`save_deflated`](Self::save_deflated) in Base64 (RFC
/// 4648, with padding).
pub trait Crdt: Clone + Default + PartialEq + fmt::Debug + Serialize + DeserializeOwned {
    /// An operation: the fields of an action besides `type`.
    type Op: Clone + fmt::Debug + Serialize + DeserializeOwned;
    /// The visible change that an operation made.
    type Event;
    /// The name of a part of the state that can change on its own.
    type Part;

    /// The name of the type in snapshots.
    const NAME: &'static str;
    /// The version of the state in snapshots.
    const VERSION: u32;

    /// Checks that an operation can be applied. Depends only on the operation, so that all
    /// replicas agree.
    ///
    /// # Errors
    /// [`Malformed`] with the expected form.
    fn check(op: &Self::Op) -> Result<(), Malformed>;

    /// Checks that an operation follows from the state, as one does that its author has made of a
    /// part of the actions in it: the counters of new elements are new, and the elements that it
    /// names exist. For the node that accepts actions, such as a server: an operation that refers
    /// to a refused one would never be visible to others. By default, accepts everything.
    ///
    /// # Errors
    /// [`Malformed`] with what was expected.
    fn admit(&self, op: &Self::Op, stamp: &Stamp) -> Result<(), Malformed> {
        let _ = (op, stamp);
        Ok(())
    }

    /// Applies an operation that passes [`check`](Self::check). Returns `None` if there was no
    /// visible change.
    fn apply(&mut self, op: &Self::Op, stamp: &Stamp) -> Option<Self::Event>;

    /// Applies of an undone operation what other operations refer to: the places of the elements
    /// that it inserted. They are not visible. By default, does nothing.
    fn apply_undone(&mut self, op: &Self::Op, stamp: &Stamp) {
        let _ = (op, stamp);
    }

    /// Returns the path that an operation changes, for types with paths. By default, `None`.
    fn path(op: &Self::Op) -> Option<&Path> {
        let _ = op;
        None
    }

    /// Joins an operation with the one before it in the same action, so that `op` alone has the
    /// effect of both: two letters that were typed one after the other become one insertion.
    /// Returns `false` if they stay two. By default, returns `false`.
    ///
    /// A state with the former `op` must become the same by the joined one as a state without it.
    fn join(op: &mut Self::Op, next: &Self::Op) -> bool {
        let _ = (op, next);
        false
    }

    /// Returns `true` if an operation that was made of this state has its effect also with this
    /// stamp, although the state has later operations: typing in a text has. Then it may become
    /// a part of an action that was begun before the others arrived. By default, returns `false`.
    fn is_effective_at(&self, op: &Self::Op, stamp: &Stamp) -> bool {
        let _ = (op, stamp);
        false
    }

    /// Converts the state to a JSON value, as [`Json::to_value`] does. O(n).
    fn to_json(&self) -> Value;

    /// Returns the value at a path of [`to_json`](Self::to_json); the key of an item of a list, or
    /// of a node of a tree, is its name or its index. By default, O(n).
    fn value_at(&self, path: &Path) -> Option<Value> {
        self.to_json().pointer(path.as_str()).cloned()
    }

    /// Returns the shape of the value at a path. By default, O(n), and never a list or a tree.
    fn shape_at(&self, path: &Path) -> Option<ValueShape> {
        self.value_at(path).as_ref().map(ValueShape::of)
    }

    /// Returns the item with a name of the list at a path, or the node of the tree, as it is in the
    /// array. By default, `None`.
    fn element_at(&self, path: &Path, element: &ElementId) -> Option<Value> {
        let _ = (path, element);
        None
    }

    /// Returns what an operation of `author` may change. By default, the value at its
    /// [`path`](Self::path), or the whole state.
    fn touched(op: &Self::Op, author: &NodeId) -> Touched {
        let _ = author;
        Touched::Value(Self::path(op).cloned().unwrap_or_else(Path::root))
    }

    /// Calls `part` with the name of each part that differs in `after`.
    fn diff(&self, after: &Self, part: &mut dyn FnMut(Self::Part));

    /// Calls `part` with paths at which [`to_json`](Self::to_json) may differ in `after`, or above
    /// which; for a [`JsonFeed`](super::JsonFeed). By default, with the root, if anything differs.
    fn diff_paths(&self, after: &Self, part: &mut dyn FnMut(Path)) {
        let mut differs = false;
        self.diff(after, &mut |_| differs = true);
        if differs {
            part(Path::root());
        }
    }

    /// Returns the largest path at a path or above it whose value in [`to_json`](Self::to_json) can
    /// be written alone, because all values above it are objects. By default, the root.
    fn json_place(&self, path: &Path) -> Path {
        let _ = path;
        Path::root()
    }

    /// Makes the operations by which `author` does what clients ask for that know only the
    /// [`to_json`](Self::to_json) of the state. Applied in one action that is later than all in
    /// this state, they have the effect of `ops` in their order. By default, there are none.
    ///
    /// # Errors
    /// [`JsonOpError`] for the first operation that cannot be made.
    fn json_ops(&self, ops: &[JsonOp], author: &NodeId) -> Result<MadeOps<Self::Op>, JsonOpError> {
        let _ = (ops, author);
        Err(JsonOpError::Unsupported)
    }

    /// Makes the operations by which `author` lets this state show what `target` shows, such as an
    /// earlier version. Applied in one action that is later than all in this state, they give the
    /// [`to_json`](Self::to_json) of `target`, and keep the types of parts: a text stays a text, a
    /// list a list. Items and nodes with a name that both states have stay, and so do equal
    /// characters. What only `target` has is inserted under new names; in the JSON of trees, these
    /// are the only difference. There are no operations if both show the same. Those on an empty
    /// state make a copy.
    ///
    /// An action has at most [`MAX_OPERATIONS`](super::MAX_OPERATIONS), and a server limits its
    /// bytes. A caller divides more operations into several actions, in this order.
    ///
    /// O(n · depth · log n) for states of n values, items and nodes whose items and nodes are
    /// nested that deeply, plus the comparison of texts
    /// ([`Text::set_ops`](super::Text::set_ops)).
    ///
    /// ```
    /// use logux::{NodeId, Stamp, WallTime, crdt::{Crdt, Document}};
    /// use serde_json::json;
    ///
    /// let at = |ms| Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:a:b 0").parse().unwrap());
    /// let text = "/text".parse()?;
    /// let mut note = Document::default();
    /// note.edit_text(&text, &at(1), |text| text.set_ops("Buy milk", at(1).id()))?;
    /// let version = note.clone();
    /// note.edit_text(&text, &at(2), |text| text.set_ops("Buy oat milk", at(2).id()))?;
    /// note.set(&"/done".parse()?, json!(true), &at(3));
    ///
    /// let ops = note.restore_ops(&version, &NodeId::new("10:a:b")?)?;
    /// for (index, op) in (0..).zip(&ops) {
    ///     note.apply(op, &at(4).of_operation(index));
    /// }
    /// assert_eq!(note.to_json(), json!({"text": "Buy milk"}));
    /// assert_eq!(ops.len(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`RestoreError`] if a new element exceeds a limit.
    fn restore_ops(&self, target: &Self, author: &NodeId) -> Result<Vec<Self::Op>, RestoreError>;

    /// Drops what only undos and operations that have not arrived would need, after a snapshot with
    /// this coverage has settled every operation of the state. What an operation that is still
    /// possible would see stays the same.
    fn settle(&mut self, coverage: &Coverage);

    /// Converts the times of all stamps to those of a clock that is `ms` milliseconds ahead. The
    /// state of a snapshot has the times of the node that made it.
    fn shift_times(&mut self, ms: i64);

    /// Writes the state, from which [`decode`](Self::decode) reads it. Equal states write the same.
    /// [`save`](Self::save) adds the name of the type, its version and a checksum.
    fn encode(&self, writer: &mut StateWriter);

    /// Reads a state that [`encode`](Self::encode) has written.
    ///
    /// # Errors
    /// [`LoadError::Damaged`] if the bytes are not those of a state.
    fn decode(reader: &mut StateReader<'_>) -> Result<Self, LoadError>;

    /// Returns the state as bytes, in the form of `spec/documents.md`. Equal states have equal
    /// bytes. O(n).
    fn save(&self) -> Vec<u8> {
        container::save(self, false)
    }

    /// Returns the state as bytes, compressed by Deflate (RFC 1951). This takes longer than
    /// [`save`](Self::save). [`load`](Self::load) reads both.
    fn save_deflated(&self) -> Vec<u8> {
        container::save(self, true)
    }

    /// Reads a state that [`save`](Self::save) or [`save_deflated`](Self::save_deflated) returned.
    ///
    /// # Errors
    /// [`LoadError`] if the bytes are not a saved state, or are one of another type or version.
    fn load(bytes: &[u8]) -> Result<Self, LoadError> {
        container::load(bytes)
    }

    /// Returns the text at the beginning of a saved state without reading the rest: that of a
    /// text, to show it early. Empty for types without text.
    ///
    /// # Errors
    /// As for [`load`](Self::load).
    fn load_text(bytes: &[u8]) -> Result<String, LoadError> {
        container::load_text::<Self>(bytes)
    }
}

/// Deserializes a present value to `Some`, including `null`.
pub(super) fn deserialize_present<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

/// An operation has no field with this name.
#[derive(Debug)]
pub(super) struct MissingField(&'static str);

impl fmt::Display for MissingField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "missing field `{}`", self.0)
    }
}

/// Returns a field of an operation, which must be present.
pub(super) fn required<T>(name: &'static str, field: Option<T>) -> Result<T, MissingField> {
    field.ok_or(MissingField(name))
}

/// Checks that a string has at most [`MAX_TEXT`] bytes. `what` describes it in the error.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), Malformed> {
    if text.len() <= MAX_TEXT {
        Ok(())
    } else {
        Err(Malformed::new(format!(
            "expected {what} of at most {MAX_TEXT} bytes, got {} bytes",
            text.len()
        )))
    }
}
