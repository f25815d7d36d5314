//! What happened: plain values, no rules about keeping or sending them.
//!
//! Read [`NodeId`] (who), [`ActionId`] (which), [`Stamp`] (its place among all), then [`Action`] (what) and [`Meta`] (what we know
//! about it). [`logux`] has the actions that Logux itself uses.

#[allow(clippy::module_inception, reason = "the folder is named after its main type")]
mod action;
mod id;
pub mod logux;
mod meta;
mod node_id;
mod serde;
mod stamp;

pub use action::{Action, ActionError};
pub use id::{ActionId, IdGenerator};
pub(crate) use meta::push_once;
pub use meta::{Meta, NameList, Subprotocol};
pub use node_id::{IdError, NodeId};
pub use stamp::Stamp;
