//! The real server, its clients, and an application, with a network, disks, power and handlers that fail on purpose.
//!
//! [`simulation`](super::simulation) asks whether your states agree; here it is whether your application and its server keep what a server promises. Real are the
//! [`Hub`](crate::server::Hub), a [`Node`](crate::sync::Node) for each connection, each device's [`Client`](crate::client::Client) with its log, and a
//! [`Timeline`](crate::replay::Timeline) over that. Yours is the [`Application`]: what its handlers decide, what they change in its database, what they load.
//! What lies between is simulated, in virtual time, from one seed:
//!
//! - A connection is cut in each direction at a byte of its own: what is whole before that arrives, the rest is lost. Each end learns of it at its own time, so that
//!   a client may be back while the server still holds its last connection.
//! - Devices crash and start again with what their logs had made durable, as a page that is opened anew: with another tab id, and subscribing anew.
//! - The server crashes at any time, also in the middle of a round of the hub: before what came is durable, or before anybody is told that it is. It starts again with
//!   its durable log; the application's database is another, which has what it had committed.
//! - Handlers take their time, fail, and hang until the server crashes.
//!
//! Checked are at each step and in the end:
//!
//! - An action is done once. With [`Config::inbox`] that is so in the application's database; without it, it is asked to do an action again only after a crash, and
//!   never when the author has been answered.
//! - Each action of each user has one answer, however often that comes: done, and then it is; or undone, and then it is not. Nobody waits for one in the end.
//! - What an action sends back to its author comes.
//! - Who is subscribed is so in the server too, and who has left is not. What is resent comes once over one connection.
//! - In the end all devices show what the database holds, and the server holds nothing that nobody waits for.
//!
//! ```
//! use std::collections::BTreeSet;
//! use logux::{
//!     Action, ActionId, Entry, log::Draft, replay::{UntypedReducer, untyped_reducer}, server::Recipients,
//!     testing::server_simulation::{Application, Config, assert_survives},
//! };
//!
//! type Guests = BTreeSet<String>;
//!
//! /// A party with room for five.
//! #[derive(Clone)]
//! struct Party;
//!
//! fn come(name: &str) -> Action {
//!     Action::new(format!(r#"{{"type":"come","name":"{name}"}}"#)).expect("an action")
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
//!     fn seen(&self, guests: &Guests) -> String {
//!         format!("{guests:?}")
//!     }
//! }
//!
//! assert_survives(&Party, &Config::default(), 0..20, 40);
//! ```

mod application;
mod broken;
mod config;
mod course;
mod device;
mod end;
mod handlers;
mod outcome;
mod server;
mod survival;
mod wire;
mod world;

pub use application::Application;
pub use broken::Broken;
pub use config::{Config, Counts};
pub use survival::assert_survives;
pub use world::World;
