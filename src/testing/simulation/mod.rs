//! A server and its clients in one process, with a network and clocks that fail on purpose.
//!
//! Everything is real but the network, the clocks and the disks: [`Client`](crate::client::Client) with its log, [`sync::Node`](crate::sync::Node), and a
//! [`Timeline`](crate::replay::Timeline) over each log. Time is virtual: an hour costs what happens in it. One seed decides everything, so a seed that fails
//! fails again.
//!
//! - Frames take their time ([`Config::latency_ms`]), in order. A connection can be cut at any byte: what is whole before that arrives, the rest is lost,
//!   confirmations too.
//! - Clocks are wrong, drift and jump.
//! - Nodes crash, and start again with what their store had made durable.
//!
//! [`Simulation`] is driven by hand; [`assert_survives`] makes up plans, and shrinks a plan that fails to the smallest one, with the trace of who did what when.
//!
//! ```
//! use logux::{Action, crdt::{Counter, Shared}, testing::simulation::{Config, Simulation}};
//!
//! let sim = Simulation::new(Config { clients: 2, ..Config::default() }, Shared::<Counter>::new("likes"));
//! let mut sim = sim.viewed(|likes| likes.value().to_string());
//! sim.run_for(1_000);
//! sim.cut(0);
//! for client in [0, 0, 1] {
//!     sim.act(client, |_, _| Action::new(r#"{"type":"likes","op":"add","by":1}"#).ok());
//! }
//! sim.crash_server();
//! sim.settle().expect("everybody gets everything");
//! assert_eq!(sim.state(0).value(), 3);
//! assert_eq!(sim.state(1).value(), 3);
//! ```

pub(super) mod clock;
pub(super) mod link;
mod plan;
mod relay;
mod world;

pub use plan::{Event, Plan, assert_survives};
pub use relay::{Effect, Relay};
pub use world::{Config, Counts, Simulation, Unsettled};
