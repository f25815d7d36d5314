//! A device: its own actions until they are answered, and its subscriptions across reconnects.
//!
//! Read [`Client`], then [`Input`] and [`Output`]; `connection.rs` and `reconnection.rs` decide
//! when there is a connection, `status.rs` what is shown about it; `actions.rs` has the own
//! actions, `bursts.rs` those that are typed, `undo.rs` and `undo_steps.rs` undo and redo,
//! `subscriptions.rs` and `since.rs` what is received, `needed_subscriptions.rs` and
//! `listed_records.rs` what open documents and lists of records request for that, `documents.rs`
//! and `document_status.rs` what has become of open documents, `refused_edits.rs` the own edits
//! that the server has refused, `presence.rs` who is in a channel, `followers/` the other tabs of a
//! browser, `user.rs` the user of the store, `encryption/` the actions that the server cannot read.
//!
//! With a [`Timeline`](crate::replay::Timeline) as the observer of its log, a client has a state:
//! own actions change it immediately, actions of others are applied at their position in the order,
//! and actions that the server undoes are removed from it. [`Client::undo`] undoes and redoes
//! actions, with and without a connection.
//!
//! ```
//! use logux::{MemoryStore, NodeId, Now, client::{Client, Config, UndoOutcome}, crdt::{Map, MapOp, Shared}, replay::Timeline, sync};
//! use serde_json::json;
//!
//! let note = Shared::<Map>::new("notes", "1");
//! let node = sync::Config::client(NodeId::new("10:laptop:tab")?);
//! let config = Config { node: node.into(), token: None };
//! let mut client = Client::with_observer(config, MemoryStore::new(), Timeline::new(note.clone()))?;
//!
//! let write = note.action(&[MapOp::Set { path: "/title".parse()?, value: json!("Shopping").into() }])?;
//! let id = client.sync(Now::from_millis(1_700_000_000_000, 0), write)?;
//! assert_eq!(client.log().state().get("/title"), Some(&json!("Shopping").into()));
//!
//! // The write was not sent yet, so its undo drops it, and nothing will be sent.
//! let outcome = client.undo(Now::from_millis(1_700_000_000_001, 1), &id, "mistake")?;
//! assert!(matches!(outcome, UndoOutcome::Dropped(entry) if entry.meta.id == id));
//! assert_eq!(client.log().state().get("/title"), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod actions;
mod backoff;
mod bursts;
mod connection;
mod document_status;
mod documents;
mod encryption;
mod followers;
mod ignored;
mod io;
mod listed_records;
mod machine;
mod needed_subscriptions;
mod presence;
mod reconnection;
mod refused_edits;
mod since;
mod status;
mod subscription;
mod subscriptions;
mod timelines;
mod undo;
mod undo_steps;
mod user;

pub use backoff::Backoff;
pub use bursts::BurstLimits;
pub use connection::DeadlineKind;
pub use document_status::{DocumentEvent, DocumentStatus};
pub use encryption::{
    COMPRESS_ABOVE, CipherError, CipherToken, DecryptRequest, EncryptRequest, EncryptedAction,
    EncryptionConfig, EncryptionError, IV_BYTES, PADDING_BYTES,
};
pub use followers::{FollowerInput, FollowerOutput};
pub use ignored::{IgnoreReason, IgnoredAction};
pub use io::{Fate, Input, Output};
pub use machine::{Client, Config, Secret};
pub use needed_subscriptions::NeededSubscriptions;
pub use presence::PresenceEvent;
pub use reconnection::{DeviceEvent, StopReason};
pub use refused_edits::{MAX_REFUSED_EDITS, RefusedEdit};
pub use status::Status;
pub use subscription::{Subscription, SubscriptionState};
pub use undo::UndoOutcome;
pub use undo_steps::UndoState;
pub use user::{IdentityError, identify};
