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
//! let received = reader.received(author.process(json!({"type": "posts/add", "title": "Tea"}))).await;
//! let expected = json!({"type": "posts/add", "title": "Tea"});
//! assert_eq!(received[0].parse::<serde_json::Value>()?, expected);
//! guest.expect_denied(json!({"type": "posts/add", "title": "Spam"})).await;
//! # Ok(()) }
//! ```
//!
//! The server is the real one without sockets: its clients are those of `logux-client`, over
//! in-memory pairs, and all use one clock, which starts at [`START`] and does not advance while a
//! task is ready. With `start_paused`, an hour of waiting takes no time, and results do not depend
//! on timing: [`received`](TestClient::received) returns all that can be received.
//!
//! Read [`TestServer`], then [`TestClient`], which is that of `logux_client::testing`.

mod client;
mod listener;
mod server;

pub use crate::{
    documents::storage::suite as document_storage_suite, sync_map::suite as sync_map_suite,
};
pub use client::TestClientBuilder;
pub use logux_client::testing::{
    ConnectError, START, TestClient, TestConnector, TestError, settle,
};
pub use server::TestServer;
