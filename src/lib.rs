//! The Logux engine: a log of JSON actions that is the same on every node, and the state that
//! reducers make of it.
//!
//! A document that two people edit while they are apart:
//!
//! ```
//! use logux::{Log, MemoryStore, NodeId, WallTime, log::Draft, replay::Timeline, store::{Query, Store}};
//! use logux::crdt::{Crdt, Document, ListError, Path, Shared};
//! use serde_json::json;
//!
//! // Each person has a log. Its state is a document.
//! let replica = |node: &str| -> Result<_, Box<dyn std::error::Error>> {
//!     let timeline = Timeline::new(Shared::<Document>::new("notes", "1"));
//!     Ok(Log::with_observer(NodeId::new(node)?, MemoryStore::new(), timeline)?)
//! };
//! let (mut ada, mut grace) = (replica("ada:laptop:1")?, replica("grace:phone:1")?);
//!
//! // Each edits for itself: a field, and a list.
//! let now = WallTime::from_millis(1_564_508_138_460);
//! let (title, guests) = (Path::of(&["title"])?, Path::of(&["guests"])?);
//! for (log, text, guest) in [(&mut ada, "Tea", "Charles"), (&mut grace, "Tea party", "Anne")] {
//!     log.edit(now, |note, _| Ok::<_, ListError>(note.set_op(&title, json!(text))))?;
//!     log.edit(now, |note, id| note.list_op(&guests, id, |list| list.push_op(json!(guest), id)))?;
//! }
//!
//! // They meet: each receives what the other did. Now both have the same history and state.
//! let all = Query::added().oldest_first();
//! let (from_ada, from_grace) = (ada.store().page(&all, 100)?, grace.store().page(&all, 100)?);
//! for (log, entries) in [(&mut ada, from_grace.entries), (&mut grace, from_ada.entries)] {
//!     for entry in entries {
//!         log.add(now, entry.action, Draft::of(entry.meta.id, entry.meta.time))?;
//!     }
//! }
//! assert_eq!(ada.state(), grace.state());
//! assert_eq!(ada.state().to_json(), json!({"title": "Tea party", "guests": ["Charles", "Anne"]}));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The engine is pure: no I/O, clock, randomness, threads or async. Each of its machines is given
//! what happened and returns what has to be done; `logux-net`, `logux-client` and `logux-server` do
//! it over sockets, and a program of your own can do it over anything: [`sync`] shows two connected
//! nodes.
//!
//! # Reading order
//! A module uses itself and those before it.
//!
//! | Module | Subject |
//! | --- | --- |
//! | [`time`] | wall time, monotonic time, deadlines |
//! | [`json`] | JSON text that is checked and kept as it is |
//! | [`action`] | actions, their ids, order and metadata |
//! | [`store`] | where entries are kept: the [`Store`] trait and [`MemoryStore`] |
//! | [`record`] | records with last write wins, as databases keep them |
//! | [`log`](mod@log) | the rules over a store: ids, reasons, observers |
//! | [`replay`] | time travel: reducers, the state of a log, snapshots, undo |
//! | [`crdt`] | types that merge |
//! | [`wire`] | messages and their JSON |
//! | [`sync`] | one end of one connection |
//! | [`client`] | a device: its log, its connection, its subscriptions |
//! | [`server`] | a hub: sessions, channels, the life of each action |
//! | [`backend`] | the back-end protocol, for applications behind HTTP |
//! | `testing` | feature `testing`: laws for reducers, simulations, the store suite |

#![forbid(unsafe_code)]
// One seed decides everything: no output depends on the order of a hashed collection.
#![deny(clippy::iter_over_hash_type)]
#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

pub mod action;
pub mod backend;
pub mod client;
pub mod crdt;
mod excerpt;
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
pub use excerpt::{MAX_NAME_EXCERPT, excerpt, name_excerpt};
pub use json::Json;
pub use log::Log;
pub use store::{Entry, MemoryStore, Store};
pub use time::{Deadline, MonoTime, Now, WallTime};
