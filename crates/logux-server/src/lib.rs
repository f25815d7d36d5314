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

mod action_type;
mod application;
mod asking;
mod attempts;
mod auth;
mod backend;
mod builder;
mod bundle;
mod channel;
mod connection;
mod context;
mod control;
mod entrance;
mod error;
mod forwarded;
mod greeting;
mod handle;
mod handlers;
mod http;
mod hub_task;
mod inspector;
mod listen;
pub mod metrics;
mod open;
mod origin;
mod outbox;
mod pace;
mod pattern;
mod reduced;
mod relay;
mod room;
mod routes;
mod running;
mod settings;
mod shared;
mod signal;
mod sync_map;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
pub mod traces;
mod typed_action;
#[cfg(unix)]
mod unix;
mod watch;

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

pub use action_type::{ActionType, NewActionType};
pub use auth::Login;
pub use backend::Backend;
pub use builder::{Builder, Server};
pub use channel::{Channel, Loaded, NewChannel};
pub use context::Context;
pub use entrance::Entrance;
pub use error::{BuildError, HandlerError};
pub use forwarded::Proxies;
pub use greeting::Connected;
pub use handle::{AddError, Handle};
pub use handlers::IntoRecipients;
/// Types of the crate `http` that are a part of this crate's interface.
pub use hyper::{HeaderMap, Method, Response, StatusCode};
pub use inspector::Audience;
pub use listen::{Address, Listener};
pub use pattern::{Names, Params};
pub use reduced::Reduced;
pub use routes::{HttpRequest, Reply};
pub use running::{Broken, Running};
pub use settings::Settings;
pub use signal::{StopSignals, stop_signal};
pub use sync_map::{Edit, Edited, Found, Listed, SyncMap, SyncMapData, SyncMapFilter, Write};
pub use tls::{Pem, Tls};
pub use typed_action::{NewTypedAction, TypedActionType};
