//! One end of one connection: handshake, exchange of actions, keep-alive.
//!
//! Read [`Config`], [`Input`] and [`Output`], then [`Node`]. `session.rs` has the exchange after
//! the handshake, `receiving.rs` its received messages; [`Policy`] filters the actions.
//!
//! A node is driven like every machine of this crate: [`handle`](Node::handle) takes an input,
//! [`poll_output`](Node::poll_output) returns the next output, or `None` after the last one, and
//! [`next_deadline`](Node::next_deadline) returns the latest time of the next call. A node stores
//! no actions: received ones are the output [`Output::Received`], and [`send`](Node::send) takes
//! those to send. Therefore the same machine serves a client with its own log, and a server with
//! one log and thousands of connections.
//!
//! Two nodes, each with a log, converge. A queue stands in for the network:
//!
//! ```
//! use logux::{Action, Log, MemoryStore, NodeId, Now, log::Draft, store::Query, sync::{Config, Input, Node, Output}};
//! use std::{collections::VecDeque, ops::ControlFlow};
//!
//! let now = Now::from_millis(1_564_508_138_460, 0);
//! let configs = [Config::client(NodeId::new("10:phone:tab")?), Config::server(NodeId::new("server:x")?)];
//! let mut logs = configs.clone().map(|config| Log::new(config.node, MemoryStore::new()).expect("memory does not fail"));
//! let mut nodes = configs.map(|config| Node::new(config.into(), ()));
//!
//! // Each node has an action from the time before the connection.
//! for (log, json) in logs.iter_mut().zip([r#"{"type":"rename","name":"Ada"}"#, r#"{"type":"rename","name":"Grace"}"#]) {
//!     log.add(now.wall, Action::new(json)?, Draft::reason("name"))?;
//! }
//!
//! // The connection opens. The frames of each node are the input of the other.
//! let mut network: VecDeque<(usize, String)> = VecDeque::new();
//! nodes.iter_mut().for_each(|node| node.handle(now, Input::Opened));
//! loop {
//!     for here in [0, 1] {
//!         while let Some(output) = nodes[here].poll_output() {
//!             match output {
//!                 Output::Send(frame) => network.push_back((1 - here, frame)),
//!                 Output::Authenticate(request) => nodes[here].handle(now, Input::Allow(request.token)),
//!                 Output::Connected { .. } => {
//!                     let missed = logs[here].store().page(&Query::added().oldest_first(), 100)?.entries;
//!                     nodes[here].send(now.mono, logs[here].last_added()?, &missed);
//!                 }
//!                 Output::Received { batch, entries, .. } => {
//!                     for entry in entries {
//!                         let draft = Draft::of(entry.meta.id, entry.meta.time).and_reason("name");
//!                         logs[here].add(now.wall, entry.action, draft)?;
//!                     }
//!                     // From now on, the peer may forget the actions.
//!                     nodes[here].handle(now, Input::Persisted(batch));
//!                 }
//!                 _ => {}
//!             }
//!         }
//!     }
//!     let Some((to, frame)) = network.pop_front() else { break };
//!     nodes[to].handle(now, Input::Frame(&frame));
//! }
//!
//! let names = logs.map(|log| {
//!     let mut names = Vec::new();
//!     let walked = log.walk(&Query::created().oldest_first(), |entry| {
//!         names.push(entry.action.str_field("name").unwrap_or_default().into_owned());
//!         ControlFlow::Continue(())
//!     });
//!     walked.map(|()| names).expect("memory does not fail")
//! });
//! assert_eq!(names[0], ["Ada", "Grace"]);
//! assert_eq!(names[0], names[1]);
//! # use logux::Store;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod io;
mod node;
mod policy;
mod receiving;
mod session;

pub use config::{Config, Role, Subprotocols};
pub use io::{
    AuthToken, Authentication, BatchToken, Disconnect, Input, Output, RefusedAction, State,
    TimeoutKind,
};
pub use node::Node;
pub use policy::Policy;
