#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Client`] and its [`Builder`], the [`PendingAction`], the received [`Actions`] and
//! [`ServerMessages`], the [`DocumentHandle`], and the [`Encryption`]. [`moving`] maps the API of
//! `@logux/client` to this one.

#![forbid(unsafe_code)]

mod builder;
mod client;
mod document_handle;
mod driver;
mod encryption;
mod encryption_failures;
#[cfg(test)]
mod encryption_fuzz;
mod open_error;
mod opening;
mod pending_action;
#[cfg(feature = "testing")]
pub mod testing;
mod token_source;

#[doc = include_str!("docs/moving-client.md")]
pub mod moving {}

pub use builder::Builder;
pub use client::{Actions, Client, ServerMessage, ServerMessages, SyncError};
pub use document_handle::DocumentHandle;
pub use encryption::Encryption;
pub use encryption_failures::{EncryptionFailure, EncryptionFailures};
pub use open_error::OpenError;
pub use pending_action::PendingAction;
