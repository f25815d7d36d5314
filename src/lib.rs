//! The Logux engine: a log of JSON actions that stays the same on every node.
//!
//! Each node has a [`Log`]. An action is in it at once, goes to the other nodes when there is a connection, and takes the same place
//! among all actions everywhere: the order of [`Stamp`]s.
//!
//! ```text
//!   what you do ──▶ Log ──▶ sync::Node ─── frames ───▶ sync::Node ──▶ Log ──▶ what others see
//!                    ▲          one end of a connection        ▲
//!                  Store                                     Store
//! ```
//!
//! The engine is pure: no I/O, no clock, no randomness, no threads, no async. It takes what happened and says what has to be
//! done; `logux-net`, `logux-client` and `logux-server` do it over sockets, you can do it over anything. Here two nodes converge,
//! with a vector for a network:
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
//!                     nodes[here].handle(now, Input::Kept(batch)); // only now the other end may forget it
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
//!         names.push(entry.action.text_field("name").unwrap_or_default().into_owned());
//!         ControlFlow::Continue(())
//!     });
//!     walked.map(|()| names).expect("memory does not fail")
//! });
//! assert_eq!(names[0], ["Ada", "Grace"]);
//! assert_eq!(names[0], names[1]);
//! # use logux::Store;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What the log means is the state that a reducer makes of it: [`replay`] has time travel, [`crdt`] the types that merge.
//!
//! In the order of reading: [`now`], [`action`], [`store`], [`log`](mod@log), [`replay`], [`crdt`], [`wire`], [`sync`], [`client`], [`server`]; a module uses
//! itself and those before it. The feature `testing` adds laws for reducers, a simulated world, the suite that judges a store, and strategies for proptest.

#![forbid(unsafe_code)]

pub mod action;
pub mod backend;
pub mod client;
pub mod crdt;
pub mod json;
pub mod log;
pub mod record;
pub mod replay;
pub mod server;
pub mod store;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod wire;

pub use action::{Action, ActionId, Meta, NodeId, Stamp};
pub use json::Json;
pub use log::Log;
pub use store::{Entry, MemoryStore, Store};
pub use time::{Deadline, MonoTime, Now, WallTime};
