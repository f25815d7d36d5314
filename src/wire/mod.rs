//! What goes over a connection: messages as types, and their JSON.
//!
//! Read [`Message`] first, then [`decode`] and [`Message::encode`]. What an outsider may make us hold is bounded by [`MessageLimits`]; what
//! differs between the versions of the protocol is in [`Protocol`]. `spec/protocol.md` tells the whole in words.

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
pub use limits::{Beyond, MessageLimits};
pub use message::{CompactId, Connect, Connected, ErrorMessage, Message, Sync, SyncEntry};
pub use version::Protocol;
