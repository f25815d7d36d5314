//! A Logux server for tokio: sockets, HTTP and TLS around the hub of the [`logux`] engine, and your handlers.
//!
//! ```no_run
//! use std::sync::atomic::{AtomicI64, Ordering};
//! use logux::Action;
//! use logux_server::Server;
//!
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::builder_with(AtomicI64::new(0))
//!     .auth(|login| async move { Ok(login.token.as_deref() == Some("secret")) })
//!     .channel("counter", |channel| {
//!         channel.access(|_| async { Ok(true) }).load(|context| async move {
//!             let value = context.state().load(Ordering::SeqCst);
//!             Ok(Action::new(format!(r#"{{"type":"counter/set","value":{value}}}"#))?)
//!         })
//!     })
//!     .action_type("counter/inc", |action| {
//!         action.access(|_| async { Ok(true) }).resend(|_| async { Ok("counter") }).process(|context| async move {
//!             context.state().fetch_add(1, Ordering::SeqCst);
//!             Ok(())
//!         })
//!     })
//!     .listen(([127, 0, 0, 1], 31337).into())
//!     .await?;
//! println!("listening on {}", server.address());
//! # Ok(())
//! # }
//! ```
//!
//! An action type begins with who may do it, a channel with who may subscribe: there is no way to register one without.
//!
//! # How it runs
//! One task for each connection owns its socket and its [`sync::Node`](logux::sync::Node): it reads, checks and writes. One
//! thread owns the [`Hub`](logux::server::Hub): it takes what the connections have received in rounds, commits each round in one step of
//! the store, and hands out what follows from it. Handlers run as tasks of their own.

#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

mod backend;
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

#[doc = include_str!("docs/events.md")]
pub mod events {
    /// The target of all events.
    pub const TARGET: &str = "logux_server::events";
}

#[doc = include_str!("docs/exactly_once.md")]
pub mod exactly_once {}

#[doc = include_str!("docs/moving.md")]
pub mod moving {}

/// The examples of the project's README, compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
pub struct Readme;

pub use backend::Backend;
pub use connection::auth::Login;
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
    inspector_access::InspectorAccess,
    listener::{Address, Listener},
    routes::{HttpRequest, HttpResponse},
    service::HttpService,
    tls::{Pem, Tls},
    trusted_proxies::TrustedProxies,
};
pub use hub::{
    handle::{AddError, Handle},
    recipients::IntoRecipients,
};
/// Types of the crate `http` that are part of this crate's interface.
pub use hyper::{HeaderMap, Method, Response, StatusCode};
pub use server::{
    builder::{Builder, Server},
    config::Config,
    running::{RunningServer, ServerError},
    signal::{StopSignals, stop_signal},
};
pub use sync_map::{
    EditKind, EditOutcome, LoadOutcome, RecordList, SyncMap, SyncMapData, SyncMapFilter, Write,
};
pub use telemetry::{metrics, traces};
