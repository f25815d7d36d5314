#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Frame`], [`CloseReason`] and [`NetError`], then [`Transport`] with its calling contract; the
//! transports [`pair()`], [`json_lines`] and [`websocket`]; and a [`Connector`] for
//! each. The module [`drive`] has what a task needs to drive a state machine of the engine over a
//! transport.

#![forbid(unsafe_code)]

mod bytes_io;
mod close;
mod connect;
pub mod drive;
mod error;
mod frame;
pub mod json_lines;
mod pair;
#[cfg(feature = "testing")]
pub mod testing;
mod transport;
pub mod websocket;

pub use close::CloseReason;
#[cfg(unix)]
pub use connect::UnixJsonLinesConnector;
pub use connect::{Connector, TcpJsonLinesConnector};
pub use error::{Blame, NetError};
pub use frame::Frame;
pub use json_lines::JsonLinesTransport;
pub use pair::{PairTransport, pair};
pub use transport::{AnnouncedFrame, FrameLimits, Transport};
pub use websocket::{WebSocketConnector, WebSocketTransport};
