//! The real server, its clients and an application, with failures of the network, disks, power and
//! handlers.
//!
//! [`simulation`](super::simulation) checks that all nodes get the same state. This module checks
//! the guarantees of a server with your application. The [`Hub`](crate::server::Hub), a
//! [`Node`](crate::sync::Node) for each connection, the [`Client`](crate::client::Client) of each
//! device with its log, and its [`Timeline`](crate::replay::Timeline) are real. You write the
//! [`Application`]: what its handlers decide, change in its database and load. Everything else is
//! simulated, in virtual time and from one seed:
//!
//! - A connection is cut in each direction at a random byte. Frames that are complete up to there
//!   arrive; all others are lost. Each end detects this at its own time, so a client may reconnect
//!   while the server still has its previous connection.
//! - Devices crash, and start again with the durable entries of their logs. As after opening a
//!   page, they have a new tab id and subscribe again.
//! - The store of a device is locked, full, or cannot write for a while. The device starts again
//!   with what is durable, or waits without a connection and commits later.
//! - Users type: an action becomes longer before it is sent ([`Application::bursts`]).
//! - The tokens of devices expire. The server refuses such a token, and the device gets a
//!   new one.
//! - Devices are reloaded like a page whose log is in memory: a new tab of the same client starts
//!   with an empty log. The actions that the server has confirmed are answered nevertheless.
//! - The server crashes at any time, also during a round of the hub: before its inputs are durable,
//!   or before the outputs are sent. It starts again with its durable log. The database of the
//!   application is separate, and keeps what it has committed.
//! - The store of the server is locked, full, or cannot write for a while. The server waits, or
//!   drops what is not committed and closes all connections, and is back by itself.
//! - Handlers take time or none, fail, and hang until the server crashes. Some are asked before the
//!   action is durable.
//!
//! It checks these guarantees during the run and at the end:
//!
//! - Each action is processed once. With [`Config::inbox`], this holds in the database of the
//!   application. Without it, the application processes an action again only after a crash, and
//!   never after the author has received an answer.
//! - Each action of each user has one answer, even if it is received repeatedly: `logux/processed`
//!   if the action was processed, `logux/undo` otherwise. At the end, no action waits for an
//!   answer.
//! - Undos by users take effect once, and reach all devices, also while their documents are
//!   settled. What a device undoes before it was sent never reaches the server.
//! - A reloaded device does not receive answers that its client has confirmed.
//! - A failure undoes only actions that share their fate with the failed one, and never a
//!   subscription.
//! - The author of an action receives all actions that are sent back.
//! - The subscriptions of devices and server are equal. A resent action is sent once over one
//!   connection.
//! - At the end, all devices show the content of the database, and the hub has no leftover clients
//!   or actions. The exception is an action that took effect, but that the server's log lost before
//!   it was confirmed, and its author too, by a reload.
//!
//! Reading order: `application`, `config`, `violation`, `context`, `connection`, `device`,
//! `endpoint`, `handlers`, `settling`, `server`, `world`, `committing`, `bursts`, `undo`,
//! `outcome`, `survival`.
//!
//! ```
//! use std::collections::BTreeSet;
//! use logux::{
//!     Action, ActionId, Entry, log::Draft, replay::{UntypedReducer, untyped_reducer}, server::Recipients,
//!     testing::server_simulation::{Application, Config, assert_survives},
//! };
//! use serde_json::json;
//!
//! type Guests = BTreeSet<String>;
//!
//! /// A party of at most five guests.
//! #[derive(Clone)]
//! struct Party;
//!
//! fn come(name: &str) -> Action {
//!     Action::try_from(json!({"type": "come", "name": name})).expect("an action")
//! }
//!
//! fn name(action: &Action) -> Option<String> {
//!     (action.kind() == "come").then(|| action.str_field("name"))?.map(|name| name.into_owned())
//! }
//!
//! impl Application for Party {
//!     type Data = Guests;
//!     type Reducer = UntypedReducer<Guests, fn(&mut Guests, &Action)>;
//!
//!     fn reducer(&self) -> Self::Reducer {
//!         untyped_reducer(Guests::new(), |guests, action| guests.extend(name(action)))
//!     }
//!     fn channels(&self) -> Vec<String> {
//!         vec!["guests".into()]
//!     }
//!     fn act(&self, guests: &Guests, _: &ActionId, number: u64) -> Option<Action> {
//!         (guests.len() < 5).then(|| come(&format!("guest {}", number % 1_000)))
//!     }
//!     fn resend(&self, _: &Entry) -> Recipients {
//!         Recipients::channel("guests")
//!     }
//!     fn process(&self, guests: &mut Guests, entry: &Entry) -> Result<(), String> {
//!         if guests.len() == 5 {
//!             return Err("full".into());
//!         }
//!         guests.extend(name(&entry.action));
//!         Ok(())
//!     }
//!     fn load(&self, guests: &Guests, _: &str) -> Vec<(Action, Draft)> {
//!         guests.iter().map(|name| (come(name), Draft::default())).collect()
//!     }
//!     fn stored(&self, guests: &Guests) -> String {
//!         format!("{guests:?}")
//!     }
//!     fn shown(&self, guests: &Guests) -> String {
//!         format!("{guests:?}")
//!     }
//! }
//!
//! assert_survives(&Party, &Config::default(), 0..20, 40);
//! ```

mod application;
mod bursts;
mod committing;
mod config;
mod connection;
mod context;
mod device;
mod endpoint;
mod handlers;
mod outcome;
mod server;
mod settling;
mod survival;
mod undo;
mod violation;
mod world;

pub use application::{Application, Extended};
pub use config::{Config, Counts};
pub use survival::assert_survives;
pub use violation::Violation;
pub use world::World;
