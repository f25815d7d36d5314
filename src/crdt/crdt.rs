//! The trait of all the types, and the errors of saved states.

use core::fmt;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    action::Stamp,
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

    /// Applies an operation that passes [`check`](Self::check). Returns `None` if there was no
    /// visible change.
    fn apply(&mut self, op: &Self::Op, stamp: &Stamp) -> Option<Self::Event>;

    /// Converts the state to a JSON value, as [`Json::to_value`] does. O(n).
    fn to_json(&self) -> Value;

    /// Calls `part` with the name of each part that differs in `after`.
    fn diff(&self, after: &Self, part: &mut dyn FnMut(Self::Part));

    /// Drops what only undos and operations that have not arrived would need, after a snapshot with
    /// this coverage has settled every operation of the state. What an operation that is still
    /// possible would see stays the same.
    fn settle(&mut self, coverage: &Coverage);

    /// Converts the times of all stamps to those of a clock that is `ms` milliseconds ahead. The
    /// state of a snapshot has the times of the node that made it.
    fn shift_times(&mut self, ms: i64);

    /// Serializes the state as one line of JSON: `[name, version, state]`.
    fn save(&self) -> String {
        // Only a map with keys that are not strings can fail, and the states have none.
        serde_json::to_string(&(Self::NAME, Self::VERSION, self)).unwrap_or_default()
    }

    /// Parses a state that [`save`](Self::save) serialized.
    ///
    /// # Errors
    /// [`LoadError`] if the string is not a saved state, or one of another type or version.
    fn load(text: &str) -> Result<Self, LoadError> {
        #[derive(Deserialize)]
        struct Saved<'a>(String, u32, #[serde(borrow)] &'a serde_json::value::RawValue);
        let Saved(name, version, state) = serde_json::from_str(text).map_err(LoadError::Damaged)?;
        if name != Self::NAME {
            return Err(LoadError::AnotherType { expected: Self::NAME, found: name });
        }
        if version != Self::VERSION {
            return Err(LoadError::AnotherVersion { expected: Self::VERSION, found: version });
        }
        serde_json::from_str(state.get()).map_err(LoadError::Damaged)
    }
}

/// The error of [`Crdt::load`].
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// The state of another type.
    AnotherType {
        /// The expected type.
        expected: &'static str,
        /// The type of the saved state.
        found: String,
    },
    /// A state of another version of the type.
    AnotherVersion {
        /// The expected version.
        expected: u32,
        /// The version of the saved state.
        found: u32,
    },
    /// The string is not a saved state.
    Damaged(serde_json::Error),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnotherType { expected, found } => {
                write!(f, "expected a saved {expected}, got a saved {found}")
            }
            Self::AnotherVersion { expected, found } => {
                write!(
                    f,
                    "expected version {expected} of the state, got version {found}; \
                     rebuild the state from the log"
                )
            }
            Self::Damaged(error) => write!(f, "expected a saved state: {error}"),
        }
    }
}

impl core::error::Error for LoadError {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::Damaged(error) => Some(error),
            _ => None,
        }
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
