#![doc = "Logux engine."]
#![forbid(unsafe_code)]
pub mod action;
pub mod now;
pub use action::{Action, ActionId, Meta, NodeId, Stamp};
pub use now::{MonoTime, Now, WallTime};
