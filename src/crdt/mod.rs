//! Last write wins, and its friends: types whose state is the same whatever the order in which their actions come.
//!
//! | Type | What it is | What a conflict comes to |
//! | --- | --- | --- |
//! | [`Register`] | one value | the last write wins |
//! | [`Map`] | values under paths | the last write wins, for each path |
//! | [`LwwSet`] | a set of texts | the last of adding and removing wins, for each text |
//! | [`AddWinsSet`] | a set of texts | who adds wins over who removes at the same time |
//! | [`Counter`] | a number | all increments count |
//! | [`List`] | values in an order | runs stay together, a moved item is in one place |
//! | [`Document`] | a JSON value made of these | as in its parts |
//! | [`SyncMaps`] | the records of `@logux/client` | the last write wins, for each field |
//!
//! Each is a [`Crdt`]: operations are applied with the [`Stamp`](crate::Stamp) of their action, in any order, any number of times. [`Shared`] makes a
//! [`Reducer`](crate::replay::Reducer) of it, so that a log over a [`Timeline`](crate::replay::Timeline) has it as its state, with undo; [`UndoManager`](crate::replay::UndoManager)
//! is undo and redo as people expect them.
//!
//! ```
//! use logux::{Log, MemoryStore, NodeId, WallTime, crdt::{Crdt, List, Shared}, log::Draft, replay::Timeline, store::{Query, Store}};
//! use serde_json::json;
//!
//! // Two people, each with a log, change one list while they are apart.
//! let mut logs = ["10:ada:x", "10:grace:x"].map(|node| {
//!     let node = NodeId::new(node).expect("a node id");
//!     Log::with_observer(node, MemoryStore::new(), Timeline::new(Shared::<List>::new("tasks"))).expect("memory does not fail")
//! });
//! for (log, words) in logs.iter_mut().zip([["buy", "milk"], ["call", "mum"]]) {
//!     for word in words {
//!         log.edit(WallTime::from_millis(1), |list, id| list.push(json!(word), id))?;
//!     }
//! }
//! // They meet: each gets what the other did.
//! for (from, to) in [(0, 1), (1, 0)] {
//!     for entry in logs[from].store().page(&Query::added().oldest_first(), 100)?.entries {
//!         logs[to].add(WallTime::from_millis(2), entry.action, Draft::of(entry.meta.id, entry.meta.time))?;
//!     }
//! }
//! assert_eq!(logs[0].state().to_json(), json!(["buy", "milk", "call", "mum"]));
//! assert_eq!(logs[0].state(), logs[1].state());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Bad input
//! An action of a shared type whose fields are missing, of a wrong type or beyond a limit ([`MAX_TEXT`], [`MAX_STEPS`], [`MAX_PATH`], [`MAX_KEYS`]) is ignored: the
//! check looks at the action alone, so every replica ignores the same ones, and each reports it
//! ([`TimelineWarning::Malformed`](crate::replay::TimelineWarning::Malformed)). An operation on something that is not there, such as to move an item
//! that has not come, waits inside of the state until it comes; what was removed stays removed.
//!
//! Read [`Crdt`], then one file for each type, then [`Shared`].

mod counter;
#[allow(clippy::module_inception, reason = "the trait has the name of the folder")]
mod crdt;
mod document;
mod list;
mod map;

mod path;
mod position;
mod register;
mod sequence;
mod set;
mod shared;
mod sync_map;

pub use counter::{Counter, CounterOp};
pub use crdt::{Crdt, LoadError, MAX_TEXT};
pub use document::{Document, DocumentOp};
pub use list::{Item, List, ListError, ListEvent, ListOp};
pub use map::{Map, MapOp};
pub use path::{MAX_KEYS, MAX_PATH, Path, PathError};
pub use position::{MAX_STEPS, Position};
pub use register::{Register, RegisterOp};
pub use set::{AddWinsOp, AddWinsSet, LwwSet, LwwSetOp, SetEvent};
pub use shared::{EditError, Shared};
pub use sync_map::{Change, Records, SyncMaps};
