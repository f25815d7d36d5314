#![doc = "Logux engine."]
#![forbid(unsafe_code)]
pub mod action;
pub mod log;
pub mod now;
pub mod store;
pub mod wire;
pub use action::{Action, ActionId, Json, Meta, NodeId, Stamp};
pub use log::Log;
pub use now::{MonoTime, Now, WallTime};
pub use store::{Entry, MemoryStore, Store};
