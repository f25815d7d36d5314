//! A Logux client for tokio: a connection that comes back, and own actions followed until the server has answered.
//!
//! ```no_run
//! use logux::Action;
//! use logux_client::Client;
//! use logux_net::WebSocketConnector;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder("10")?.token("secret").start(WebSocketConnector::new("ws://127.0.0.1:31337")?);
//! let mut actions = client.actions();
//! client.subscribe("counter").await?;
//! client.sync(Action::new(r#"{"type":"counter/inc"}"#)?).await?;
//! while let Some(entry) = actions.next().await {
//!     println!("{}", entry.action.as_json());
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The log is in memory: it outlives connections, not the program.

#![forbid(unsafe_code)]

mod builder;
mod client;
mod document;
mod driver;

pub use builder::Builder;
pub use client::{Actions, Client, SyncError};
pub use document::Document;
