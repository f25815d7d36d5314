//! The messages of a connection as types, and their JSON.
//!
//! Read [`Message`] first, then [`decode()`] and [`Message::encode`]. [`MessageLimits`] bounds a
//! received message; [`Protocol`] has the differences between the versions of the protocol.
//! `spec/protocol.md` describes the protocol in prose.

mod compact_id;
mod decode;
mod encode;
mod error;
mod limits;
mod message;
mod version;

pub use decode::decode;
pub use encode::SyncWriter;
pub use error::DecodeError;
pub use limits::{ExceededLimit, MessageLimits};
pub use message::{
    CompactId, Connect, Connected, ErrorMessage, Message, RefusedEntry, Sync, SyncEntry,
};
pub use version::Protocol;
