//! Transports for Logux behind one trait: WebSocket, in-process pair, JSON lines.
//!
//! A [`Transport`] is a stream of [`Frame`]s in, a sink of frames out, and a goodbye with a [`CloseReason`]. One task drives both
//! directions. What the frames say is no concern of this crate: the engine, package `logux`, reads and writes them.
//!
//! ```
//! use futures_util::{SinkExt, StreamExt};
//! use logux_net::{CloseReason, Connector, Limits, Transport, websocket};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), logux_net::NetError> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let url = format!("ws://{}/logux", listener.local_addr()?);
//!
//! let server = async {
//!     let (socket, _) = listener.accept().await?;
//!     let (mut connection, request) = websocket::accept(socket, Limits::default()).await?;
//!     assert_eq!(request.uri().path(), "/logux");
//!     while let Some(frame) = connection.next().await {
//!         connection.feed(frame?).await?; // into the buffer
//!         connection.flush().await?; // everything that waits, in one write
//!     }
//!     assert_eq!(connection.received_close(), Some(&CloseReason::Shutdown));
//!     connection.close().await
//! };
//! let client = async {
//!     let mut connection = websocket::WebSocketConnector::new(&url)?.connect().await?;
//!     connection.send(r#"["ping",1]"#.into()).await?;
//!     assert_eq!(connection.next().await.expect("an echo")?, r#"["ping",1]"#);
//!     connection.close_with(CloseReason::Shutdown).await
//! };
//! tokio::try_join!(server, client)?;
//! # Ok(()) }
//! ```
//!
//! In the order of reading: [`Frame`], [`CloseReason`], [`NetError`], then [`Transport`] with its calling contract; the
//! transports [`pair()`], [`lines`] and [`websocket`]; and how connections come to be: the policy [`Reconnect`], a
//! [`Connector`] as the way, [`Reconnecting`] for both together. The feature `testing` adds the suite that judges
//! transports, ours and yours; the feature `tls` (on by default) is for `wss://`.

#![forbid(unsafe_code)]

mod backoff;
mod bytes_io;
mod close;
mod connect;
pub mod drive;
mod error;
mod frame;
pub mod lines;
mod pair;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
pub mod websocket;

pub use backoff::{Backoff, FATAL_ERRORS, Reconnect, Stopped};
pub use close::CloseReason;
#[cfg(unix)]
pub use connect::UnixLines;
pub use connect::{Connector, Reconnecting, TcpLines};
pub use error::{Blame, NetError};
pub use frame::Frame;
pub use lines::LinesTransport;
pub use pair::{PairTransport, pair};
pub use transport::{Limits, Transport};
pub use websocket::{WebSocketConnector, WebSocketTransport};
