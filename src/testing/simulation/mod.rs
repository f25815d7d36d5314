//! A server and its clients in one process, with failures of the network, the clocks and the disks.
//!
//! Only the network, the clocks and the disks are simulated. [`Client`](crate::client::Client) with
//! its log, [`sync::Node`](crate::sync::Node) and a [`Timeline`](crate::replay::Timeline) of each
//! log are real. Time is virtual: an hour without events takes no time. One seed decides
//! everything, so a failure is reproduced by its seed.
//!
//! - Frames arrive in order, after a random time ([`Config::latency`]). A connection can be cut at
//!   any byte. Frames that are complete up to there arrive; all others are lost, also
//!   confirmations.
//! - Clocks are wrong, drift and jump.
//! - Nodes crash, and start again with the durable entries of their store.
//!
//! [`Simulation`] is controlled by its methods. [`assert_survives`] makes random plans, and reduces
//! a failing plan to the smallest one, with a trace of its events.
//!
//! Reading order: `clock`, `link`, `relay`, `unsettled`, `world`, `plan`.
//!
//! ```
//! use std::time::Duration;
//! use logux::{Action, crdt::{Counter, Shared}, testing::simulation::{Config, Simulation}};
//!
//! let sim = Simulation::new(Config { clients: 2, ..Config::default() }, Shared::<Counter>::new("likes", "1"));
//! let mut sim = sim.viewed(|likes| likes.value().to_string());
//! sim.run_for(Duration::from_secs(1));
//! sim.cut(0);
//! for client in [0, 0, 1] {
//!     sim.act(client, |_, _| Action::new(r#"{"type":"likes/edit","id":"1","ops":[{"op":"add","by":1}]}"#).ok());
//! }
//! sim.crash_server();
//! sim.settle().expect("all nodes have all actions");
//! assert_eq!(sim.state(0).value(), 3);
//! assert_eq!(sim.state(1).value(), 3);
//! ```

pub(super) mod clock;
mod config;
pub(super) mod link;
mod plan;
mod relay;
mod unsettled;
mod world;

pub use config::{Config, Counts};
pub use plan::{Event, Plan, assert_survives};
pub use relay::{Effect, Relay};
pub use unsettled::Unsettled;
pub use world::Simulation;
