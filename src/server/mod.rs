//! The hub of a server: connected clients, their subscriptions, and the life of each action. It has
//! no sockets and no callbacks.
//!
//! Each connection has its own [`sync::Node`](crate::sync::Node) outside of the hub; the hub
//! identifies connections by [`SessionId`]. The hub asks the application with
//! [`Hub::poll_request`] or [`Output::Request`]; the application may respond with
//! [`Input::Respond`] at any later time.
//!
//! Reading order: `session_id`, `undo_target`, `io` ([`Input`], [`Output`], [`HandlerResponse`]),
//! `queues`, `rate`, `retention`, `log_query`, `documents`, `snapshot_builder`, `catalog`,
//! `presence`; then the parts of the hub's state, `replay`, `pending_request`, `request_queue`,
//! `pending_bytes`, `parked`, `requests`, `unconfirmed`, `sessions`, `channels`, `confirmed`,
//! `inbox`, `added_offsets`, `log_starts`, `clock`, and the observers of its log, `inbox_usage`,
//! `clean_log`, `observer`; then `hub`, with [`Hub`].

mod added_offsets;
mod catalog;
mod channels;
mod clean_log;
mod clock;
mod confirmed;
mod documents;
mod hub;
mod inbox;
mod inbox_usage;
mod io;
mod log_query;
mod log_starts;
mod observer;
mod parked;
mod pending_bytes;
mod pending_request;
mod presence;
mod queues;
mod rate;
mod replay;
mod request_queue;
mod requests;
mod retention;
mod session_id;
mod sessions;
mod snapshot_builder;
mod unconfirmed;
mod undo_target;

pub use catalog::{
    ARCHIVE_PAGE_BYTES, AddVersionOutcome, ArchivePage, ArchiveQuery, ArchivedEntry, CatalogEntry,
    CatalogPage, CatalogPosition, CatalogPositionError, CatalogQuery, CreateOutcome, DeleteOutcome,
    DocumentCreation, DocumentDeletion, DocumentStats, DocumentUsage, DocumentVersion,
    MAX_VERSIONS,
};
pub use documents::{DocumentKinds, DocumentSnapshot, SettlementRequest, SettlementRule};
pub use hub::{Config, ConnectedClient, Hub, HubStats};
pub use io::{
    AddAction, Author, Filter, HandlerRequest, HandlerResponse, HubEvent, Input, Output,
    Recipients, RequestId, RequestKind, UndoRequest,
};
pub use log_query::{LogPage, LogQuery};
pub use presence::{MAX_PRESENCE_BYTES, PresenceRule};
pub use queues::{FateKey, FateKeys, QueueName, Queues};
pub use rate::{Rate, RateError, TokenBucket, TokenBuckets};
pub use retention::{Retention, RetentionPolicy, approved_at};
pub use session_id::{NumberHasher, SessionId, SessionMap};
pub use snapshot_builder::SnapshotBuilder;
pub use undo_target::{UndoRefusal, UndoTarget};

/// The log of a hub with its observer.
type HubLog<S> = crate::log::Log<S, observer::HubObserver>;
