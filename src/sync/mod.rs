//! One end of one connection: getting to know each other, exchange, keeping alive.
//!
//! Read [`Node`], which is driven like every machine of this crate: [`handle`](Node::handle) takes what happened,
//! [`poll_output`](Node::poll_output) gives what has to be done until it gives nothing, [`next_deadline`](Node::next_deadline) says when to
//! call again at the latest. A node keeps no actions: they come out as [`Output::Received`] and go in by [`send`](Node::send), so
//! that the same machine serves a client with a log of its own and a server with thousands of connections to one.

mod config;
mod io;
mod node;
mod policy;
mod session;

pub use config::{Config, Role, Subprotocols};
pub use io::{AuthToken, Authentication, BatchToken, Disconnect, Input, Output, State, Why};
pub use node::Node;
pub use policy::Policy;
