#![doc = include_str!("../README.md")]
//!
//! # How it runs
//!
//! Each connection has a task, which owns the socket and the
//! [`sync::Node`](logux::sync::Node): it reads, checks and writes messages. One thread owns the
//! [`Hub`](logux::server::Hub): it handles the inputs of the connections in rounds, commits each
//! round in one step of the store, and then sends the outputs to the connections.
//!
//! Handlers of actions and subscriptions are first polled on the hub's thread, since most of them
//! complete at once; a handler that waits continues as a task of the runtime. So a handler that
//! blocks its thread delays all clients: use
//! [`spawn_blocking`](https://docs.rs/tokio/latest/tokio/task/fn.spawn_blocking.html) for blocking
//! work. A handler that works for more than 5 ms before it first waits is reported as the
//! [event](events) `handlerBlocked`; after too much of such work, handlers run as tasks from the
//! beginning for a while.
//!
//! # Reading order
//!
//! [`Server`] and its [`Builder`] with the [`Config`]; [`ActionType`] and [`Channel`], whose
//! handlers receive a [`Context`]; the [`RunningServer`] and its [`Handle`]. [`SyncMap`] serves
//! records, [`Builder::documents`] documents that are edited together, [`Backend`] an application
//! that speaks HTTP. The modules [`events`], [`metrics`] and
//! [`traces`] list what a server reports; [`exactly_once`] and [`moving`] are guides.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod access_rule;
mod backend;
#[cfg(feature = "sqlite")]
mod blocking;
mod claims;
mod connection;
mod connection_info;
mod error;
mod handlers;
mod http;
mod hub;
mod lifecycle;
mod networks;
mod random_id;
mod server;
mod sync_map;
mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;

#[doc = include_str!("docs/documents.md")]
pub mod documents;

#[doc = include_str!("docs/events.md")]
pub mod events {
    /// The target of all events.
    pub const TARGET: &str = "logux_server::events";
}

#[doc = include_str!("docs/exactly_once.md")]
pub mod exactly_once {}

#[doc = include_str!("docs/json_documents.md")]
pub mod json_documents {}

#[doc = include_str!("docs/moving.md")]
pub mod moving {}

#[doc = include_str!("docs/presence.md")]
pub mod presence {}

#[doc = include_str!("docs/rights.md")]
pub mod rights;

#[doc = include_str!("docs/undo.md")]
pub mod undo {}

/// Compiles the examples of the project's README.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

pub use access_rule::{AccessRule, AccessRuleError};
pub use backend::Backend;
pub use claims::{Claims, NotAnObject};
pub use connection::auth::{AuthOutcome, Login};
pub use documents::{
    change_feed::ChangedDocument,
    kind::{DocumentKind, DocumentKindBuilder, DocumentLimits},
    request::DocumentRequest,
    service::Documents,
    storage::{DocumentStorage, MemoryDocuments},
};
pub use error::{BuildError, HandlerError};
pub use handlers::{
    action_type::{ActionType, ActionTypeBuilder},
    channel::{Channel, ChannelBuilder, InitialActions},
    context::Context,
    on_connect::ConnectContext,
    pattern::{NamePattern, Params},
    projection::Projection,
    typed_action::{TypedActionType, TypedActionTypeBuilder},
};
pub use http::{
    control_access::ControlAccess,
    inspector_access::InspectorAccess,
    listener::{Address, Listener},
    origins::AllowedOrigins,
    routes::{HttpRequest, HttpResponse},
    service::HttpService,
    tls::{Pem, Tls},
    trusted_proxies::TrustedProxies,
};
pub use hub::{
    handle::{AddError, Handle, ReadLogError},
    recipients::IntoRecipients,
};
/// Types of the crate `http` that are part of the public API.
pub use hyper::{HeaderMap, Method, Response, StatusCode};
pub use rights::{
    decision::{AccessDecision, AccessSubject},
    document_rules::DocumentRules,
};
pub use server::{
    builder::{Builder, Server},
    config::Config,
    running::{RunningServer, ServerError},
    signal::{StopSignals, stop_signal},
};
pub use sync_map::{
    EditKind, EditOutcome, LoadOutcome, RecordList, SyncMap, SyncMapData, SyncMapFilter, Write,
    rules::AccessRules,
};
pub use telemetry::{metrics, traces};
