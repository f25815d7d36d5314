//! The errors of saved states.

use core::fmt;

/// The reason why bytes are not a saved state that this version can load.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadError {
    /// The bytes do not begin as a saved state does.
    NotSaved,
    /// The checksum differs: bytes were changed, or are missing.
    Checksum {
        /// The checksum in the saved state.
        expected: u32,
        /// The checksum of its bytes.
        found: u32,
    },
    /// The layout is that of another version of this library.
    AnotherFormat {
        /// The expected format.
        expected: u64,
        /// The format of the saved state.
        found: u64,
    },
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
        found: u64,
    },
    /// The compressed state is longer than the limit.
    TooLong {
        /// The length that the saved state declares, in bytes.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The checksum is right, but the content is not that of a state.
    Damaged {
        /// What was expected.
        expected: &'static str,
    },
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotSaved => f.write_str("expected a saved state, got other bytes"),
            Self::Checksum { expected, found } => write!(
                f,
                "expected a saved state with the checksum {expected:08x}, got {found:08x}: \
                 it is damaged or incomplete; rebuild the state from the log"
            ),
            Self::AnotherFormat { expected, found } => write!(
                f,
                "expected a saved state in format {expected}, got format {found}; \
                 rebuild the state from the log"
            ),
            Self::AnotherType { expected, found } => {
                write!(f, "expected a saved {expected}, got a saved {found}")
            }
            Self::AnotherVersion { expected, found } => write!(
                f,
                "expected version {expected} of the state, got version {found}; \
                 rebuild the state from the log"
            ),
            Self::TooLong { bytes, limit } => {
                write!(f, "expected a state of at most {limit} bytes, got one of {bytes} bytes")
            }
            Self::Damaged { expected } => write!(f, "expected {expected} in a saved state"),
        }
    }
}

impl core::error::Error for LoadError {}

/// Returns the error of a saved state that does not have what was expected.
pub(in crate::crdt) const fn damaged(expected: &'static str) -> LoadError {
    LoadError::Damaged { expected }
}
