//! Tests of an application's code, in one process and in virtual time (feature `testing`).
//!
//! [`FakeServer`] answers the actions of clients by itself, and a test tells it what to refuse and
//! what to send:
//!
//! ```
//! use logux::crdt::{Map, MapOp};
//! use logux_client::{SyncError, testing::FakeServer};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let server = FakeServer::start();
//! server.documents("notes");
//! let [ada, bob] = [server.connect("ada").await?, server.connect("bob").await?];
//! let here = ada.client().document::<Map>("notes", "7").await?;
//! let mut there = bob.client().document::<Map>("notes", "7").await?;
//!
//! // What Ada does without a connection, Bob sees later.
//! ada.disconnect().await;
//! let tea = vec![MapOp::Set { path: "/title".parse()?, value: logux::Json::from_value("Tea")? }];
//! let edited = tokio::spawn({
//!     let here = here.clone();
//!     async move { here.operate(&tea).await }
//! });
//! ada.reconnect().await?;
//! edited.await??;
//! there.until(|note| note.get("/title").is_some_and(|title| title.as_str() == r#""Tea""#)).await;
//!
//! // What the server refuses is undone.
//! server.undo_next("denied");
//! let milk = vec![MapOp::Set { path: "/title".parse()?, value: logux::Json::from_value("Milk")? }];
//! assert!(matches!(here.operate(&milk).await, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
//! assert_eq!(here.state().get("/title").map(|title| title.as_str()), Some(r#""Tea""#));
//! # Ok(()) }
//! ```
//!
//! With `start_paused`, an hour of waiting takes no time, and results do not depend on timing:
//! [`TestClient::sent`] returns all that can be sent. Without it, the time is real, and
//! [`FakeServer::received_when`] waits for what the server receives.
//!
//! A [`TestClient`] of this module also connects to a real server under test:
//! `logux_server::testing` has the same clients.
//!
//! Read [`FakeServer`], then [`TestClient`]; the [`TestConnector`] is the connection between them,
//! which can be cut. `rules.rs` is what a fake server answers, `state.rs` what it knows,
//! `connection.rs` one of its connections.

mod client;
mod connection;
mod connector;
mod error;
mod rules;
mod server;
mod state;

pub use client::{TestClient, settle};
pub use connector::TestConnector;
pub use error::{ConnectError, TestError};
pub use server::{FakeServer, START};
