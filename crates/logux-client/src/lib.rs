#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Client`] and its [`Builder`], the [`PendingAction`], the received [`Actions`],
//! [`ServerMessages`] and [`StatusChanges`], the [`DocumentHandle`], the [`RecordList`], who
//! is there with [`Presence`], and the [`Encryption`].
//! Inside, `driver/` owns the machine of the engine, which handles call directly, and `task.rs` its
//! connection. [`moving`] maps the API of
//! `@logux/client` to this one.

#![forbid(unsafe_code)]

mod builder;
mod client;
mod document_handle;
mod document_history;
mod document_status;
mod driver;
mod encryption;
mod encryption_failure;
#[cfg(test)]
mod encryption_fuzz;
mod events;
mod open_error;
mod opening;
mod pending_action;
mod presence;
mod record_handle;
mod record_list;
mod schemas;
mod shared;
mod sync_error;
mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod token_source;
mod typing;
mod undo_steps;

#[doc = include_str!("docs/moving-client.md")]
pub mod moving {}

pub use builder::Builder;
pub use client::{ChangeUserError, Client};
pub use document_handle::DocumentHandle;
pub use document_history::FormerState;
pub use encryption::Encryption;
pub use encryption_failure::EncryptionFailure;
pub use events::{Actions, EncryptionFailures, ServerMessage, ServerMessages, StatusChanges};
pub use logux::action::{AccessList, DocumentOperation};
pub use logux::client::{
    Backoff, BurstLimits, DeviceEvent, DocumentStatus, PresenceEvent, RefusedEdit, Status,
};
pub use open_error::OpenError;
pub use pending_action::PendingAction;
pub use presence::Presence;
pub use record_handle::RecordHandle;
pub use record_list::RecordList;
pub use sync_error::SyncError;
