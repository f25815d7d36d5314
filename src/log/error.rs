//! The error of a log.

use core::fmt;
use std::sync::Arc;

/// The error of an operation of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogError<E> {
    /// The caller tried to change this key of a meta, which cannot be changed.
    ReadOnly(Arc<str>),
    /// The store failed.
    Store(E),
}

impl<E> From<E> for LogError<E> {
    fn from(error: E) -> Self {
        Self::Store(error)
    }
}

impl<E: fmt::Display> fmt::Display for LogError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadOnly(key) => {
                write!(f, "meta key {key:?} is read-only: it is set when the action is added")
            }
            Self::Store(error) => write!(f, "the log's store failed: {error}"),
        }
    }
}

impl<E: core::error::Error + 'static> core::error::Error for LogError<E> {
    fn source(&self) -> Option<&(dyn core::error::Error + 'static)> {
        match self {
            Self::ReadOnly(_) => None,
            Self::Store(error) => Some(error),
        }
    }
}
