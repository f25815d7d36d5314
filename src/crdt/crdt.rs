//! What all the types have in common.

use core::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;

use crate::{
    action::Stamp,
    replay::{Malformed, Obsolete},
};

/// How many bytes a name may have: the key of a counter, the element of a set.
pub const MAX_TEXT: usize = 4_096;

/// A state that operations change, each with the stamp of its action: a conflict-free replicated data type in the sense of Shapiro, Preguiça,
/// Baquero and Zawirski, "Conflict-free Replicated Data Types" (2011).
///
/// [`apply`](Self::apply) is commutative, associative and idempotent: any order, any grouping, any repetition of the same operations with the same
/// stamps gives equal states. Clones share what they have in common, so that checkpoints are cheap.
pub trait Crdt: Clone + Default + PartialEq + fmt::Debug + Serialize + DeserializeOwned {
    /// An operation, as it stands in an action beside `type`.
    type Op: Clone + fmt::Debug + Serialize + DeserializeOwned;
    /// What an operation changed.
    type Event;
    /// The name of a part of the state, for what has to be drawn again.
    type Part;

    /// The name of the type in snapshots.
    const NAME: &'static str;
    /// The version of the state in snapshots.
    const VERSION: u32;

    /// Whether an operation is one that can be applied. Looks at the operation alone, so that all replicas agree.
    ///
    /// # Errors
    /// [`Malformed`] says what was expected.
    fn check(op: &Self::Op) -> Result<(), Malformed>;

    /// Applies an operation that passes [`check`](Self::check). `None`: nothing changed that can be seen.
    fn apply(&mut self, op: &Self::Op, stamp: &Stamp) -> Option<Self::Event>;

    /// The state as a JSON value. O(n).
    fn to_json(&self) -> Value;

    /// Names what differs from another state.
    fn diff(&self, after: &Self, part: &mut dyn FnMut(Self::Part));

    /// The names of what the operation is about: an action is kept as long as it matters for one of them.
    fn slots(op: &Self::Op, stamp: &Stamp, slot: &mut dyn FnMut(Arc<str>));

    /// Which earlier operations make no difference any more, whatever comes, because of `op`, which nobody can take back.
    /// What is told has the name of a slot where [`Reducer::obsolete`](crate::replay::Reducer::obsolete) has a reason.
    fn obsolete(
        &self,
        op: &Self::Op,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        tell: &mut dyn FnMut(Obsolete),
    );

    /// The state as text, one line of JSON: `[name, version, state]`.
    fn save(&self) -> String {
        // What can fail is a map with keys that are no text, and there is none.
        serde_json::to_string(&(Self::NAME, Self::VERSION, self)).unwrap_or_default()
    }

    /// Reads what [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`LoadError`] for a text that is none, of another type, or of another version.
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

/// Why a saved state cannot be read.
#[derive(Debug)]
#[non_exhaustive]
pub enum LoadError {
    /// It is the state of another type.
    AnotherType {
        /// The type that was expected.
        expected: &'static str,
        /// The type that came.
        found: String,
    },
    /// It is of another version of the type.
    AnotherVersion {
        /// The version that was expected.
        expected: u32,
        /// The version that came.
        found: u32,
    },
    /// It is no saved state.
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
                    "expected version {expected} of the state, got version {found}; replay the log in its place"
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

/// Checks the length of a name.
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
