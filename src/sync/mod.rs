//! One end of one connection: getting to know each other, exchange, keeping alive.
//!
//! Read [`Node`], which is driven like every machine of this crate: [`handle`](Node::handle) takes what happened,
//! [`poll_output`](Node::poll_output) gives what has to be done until it gives nothing, [`next_deadline`](Node::next_deadline) says when to
//! call again at the latest. A node keeps no actions: they come out as [`Output::Received`] and go in by [`send`](Node::send), so
//! that the same machine serves a client with a log of its own and a server with thousands of connections to one.
//!
//! Two nodes with a log each converge. A vector stands for the network:
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
//! // Both have done something while they were apart.
//! for (log, json) in logs.iter_mut().zip([r#"{"type":"rename","name":"Ada"}"#, r#"{"type":"rename","name":"Grace"}"#]) {
//!     log.add(now.wall, Action::new(json)?, Draft::reason("name"))?;
//! }
//!
//! // A connection opens, and everything that comes out goes in at the other end.
//! let mut network: VecDeque<(usize, String)> = VecDeque::new();
//! nodes.iter_mut().for_each(|node| node.handle(now, Input::Opened));
//! loop {
//!     for here in [0, 1] {
//!         while let Some(output) = nodes[here].poll_output() {
//!             match output {
//!                 Output::Send(frame) => network.push_back((1 - here, frame)),
//!                 Output::Authenticate(who) => nodes[here].handle(now, Input::Allow(who.token)),
//!                 Output::Connected { .. } => {
//!                     let missed = logs[here].store().page(&Query::added().oldest_first(), 100)?.entries;
//!                     nodes[here].send(now.mono, logs[here].last_added()?, &missed);
//!                 }
//!                 Output::Received { batch, entries, .. } => {
//!                     for entry in entries {
//!                         let draft = Draft::of(entry.meta.id, entry.meta.time).and_reason("name");
//!                         logs[here].add(now.wall, entry.action, draft)?;
//!                     }
//!                     nodes[here].handle(now, Input::Persisted(batch)); // only now the other end may forget it
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
mod session;

pub use config::{Config, Role, Subprotocols};
pub use io::{
    AuthToken, Authentication, BatchToken, Disconnect, Input, Output, State, TimeoutKind,
};
pub use node::Node;
pub use policy::Policy;
