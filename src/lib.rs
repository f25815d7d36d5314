#![doc = "Logux engine."]
#![forbid(unsafe_code)]
pub mod action;
pub mod client;
pub mod log;
pub mod now;
pub mod server;
pub mod store;
pub mod sync;
#[cfg(feature = "testing")]
pub mod testing;
pub mod wire;
pub use action::{Action, ActionId, Json, Meta, NodeId, Stamp};
pub use log::Log;
pub use now::{Deadline, MonoTime, Now, WallTime};
pub use store::{Entry, MemoryStore, Store};
