//! The saved form of a state: bytes in columns, with a version and a checksum.
//!
//! `spec/documents.md` describes each byte. A type writes its state value by value to a
//! [`StateWriter`], and reads it in the same order from a [`StateReader`]. What the ids in a state
//! have in common is in columns of its own: a node id is written once, and the times, sequence
//! numbers and operations of ids take a byte or less each where they repeat. This is the layout of
//! the columns of Automerge (Kleppmann, "Automerge binary document format"), with one column for
//! each part of an id.
//!
//! Reading is total: any bytes give a state or a [`LoadError`]. Nothing is allocated for a number
//! in the input alone, only for what was read.
//!
//! Reading order: `error`; `varint`; `column`; `writer` and `reader`; `container`, which has the
//! name, the version, the checksum and the compression; `base64`, the form in JSON.

pub(super) mod base64;
mod column;
pub(super) mod container;
mod error;
mod reader;
#[cfg(test)]
mod tests;
mod varint;
mod writer;

pub use column::{ColumnReader, ColumnWriter};
pub use error::LoadError;
pub(super) use error::damaged;
pub use reader::StateReader;
pub use writer::{NodeNumber, StateWriter};
