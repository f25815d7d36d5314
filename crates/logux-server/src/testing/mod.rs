//! Tests of your handlers, in one process and in virtual time (feature `testing`).
//!
//! ```
//! use logux_server::{Server, testing::TestServer};
//! use serde_json::json;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // In a test: #[tokio::test(start_paused = true)]
//! let server = TestServer::start(
//!     Server::builder()
//!         .channel("posts", |channel| channel.access(|_| async { Ok(true) }))
//!         .action_type("posts/add", |action| {
//!             action.access(|context| async move { Ok(context.user_id() != Some("guest")) }).resend(|_| async { Ok("posts") })
//!         }),
//! )?;
//! let [author, reader, guest] = [server.connect("1").await?, server.connect("2").await?, server.connect("guest").await?];
//! reader.subscribe("posts").await?;
//! let seen = reader.received(author.process(json!({"type": "posts/add", "title": "Tea"}))).await;
//! assert_eq!(seen[0].as_json(), r#"{"title":"Tea","type":"posts/add"}"#);
//! guest.expect_denied(json!({"type": "posts/add", "title": "Spam"})).await;
//! # Ok(()) }
//! ```
//!
//! The server is the real one but for its sockets: its clients are those of `logux-client`, over pairs in memory, and all read one clock, which
//! begins at [`START`] and stands still while anybody has something to do. With `start_paused` an hour of silence takes no time, and
//! nobody waits for luck: what a test [`received`](TestClient::received) is all there is to receive.

mod client;
mod connector;
mod server;

pub use crate::sync_map::suite as sync_map_suite;
pub use client::{ConnectError, TestClient, TestClientBuilder, TestError};
pub use server::{START, TestServer};
