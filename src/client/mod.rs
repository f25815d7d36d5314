//! A device: its own actions until they are answered, and its subscriptions across reconnects.
//!
//! Read [`Client`], then [`Input`] and [`Output`].
//!
//! With a [`Timeline`](crate::replay::Timeline) as the observer of its log, a client has a state:
//! own actions change it immediately, actions of others are applied at their position in the order,
//! and actions that the server undoes are removed from it.
//!
//! ```
//! use logux::{MemoryStore, NodeId, Now, client::{Client, Config}, crdt::{Map, MapOp, Shared}, replay::Timeline, sync};
//! use serde_json::json;
//!
//! let note = Shared::<Map>::new("notes", "1");
//! let node = sync::Config::client(NodeId::new("10:laptop:tab")?);
//! let config = Config { node: node.into(), token: None, time_fix: None };
//! let mut client = Client::with_observer(config, MemoryStore::new(), Timeline::new(note.clone()))?;
//!
//! let write = note.action(&[MapOp::Set { path: "/title".parse()?, value: json!("Shopping").into() }])?;
//! client.sync(Now::from_millis(1_700_000_000_000, 0), write)?;
//! assert_eq!(client.log().state().get("/title"), Some(&json!("Shopping").into()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod io;
mod machine;
mod subscriptions;

pub use io::{Input, Output};
pub use machine::{Client, Config, Secret};
