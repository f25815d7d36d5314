//! Actions, their ids, order and meta: plain values, without rules about storing or sending them.
//!
//! Read [`NodeId`] (the author), [`ActionId`], [`Stamp`] (the position in the total order), then
//! [`Action`] (the content) and [`Meta`]. [`logux`] has the actions that Logux itself uses,
//! [`presence`] those of people in a channel; [`DocumentAccess`] says what a user may do with a
//! document, [`HistoryPage`] what has happened to it.

mod access;
#[allow(clippy::module_inception, reason = "the folder is named after its main type")]
mod action;
mod document;
mod history;
mod id;
pub mod logux;
mod meta;
mod node_id;
pub mod presence;
mod serde;
mod stamp;

pub use access::{AccessList, DocumentAccess, DocumentOperation};
pub use action::{Action, ActionError};
pub use document::{DocumentKey, DocumentVerb};
pub use history::{AuthoredText, HistoryEntry, HistoryPage, Moment, NamedVersion};
pub use id::{ActionId, IdGenerator};
pub(crate) use meta::push_once;
pub use meta::{Fraction, Meta, NameList, Subprotocol};
pub use node_id::{IdError, NodeId};
pub use stamp::Stamp;
