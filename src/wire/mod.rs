//! What goes over a connection: messages as types, and their JSON.
//!
//! Read [`Message`] first. What an outsider may make us hold is bounded.

mod message;

pub use message::{CompactId, Connect, Connected, ErrorMessage, Message, Sync, SyncEntry};
