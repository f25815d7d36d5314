//! Time travel: the state that reducers make of a log, also when actions come late or are taken back.
//!
//! Read [`Reducer`] (what an action does), then [`Timeline`] (the state of a log under it). A timeline is an
//! [`Observer`](crate::log::Observer): a [`Log`](crate::Log) over one keeps the state up to date by itself.
//!
//! ```
//! use logux::{Action, Log, MemoryStore, NodeId, WallTime, log::Draft, replay::{Timeline, raw}};
//!
//! // The last word said wins, and a word that is taken back was never said.
//! let reducer = raw(String::new(), |word: &mut String, action: &Action| {
//!     *word = action.text_field("word").unwrap_or_default().into_owned();
//! });
//! let mut log = Log::observed(NodeId::new("10:client:tab")?, MemoryStore::new(), Timeline::new(reducer))?;
//! let mut say = |ms, word| {
//!     let action = Action::new(format!(r#"{{"type":"say","word":"{word}"}}"#)).expect("JSON");
//!     log.add(WallTime::from_millis(ms), action, Draft::default()).map(|entry| entry.expect("a new action").meta.id)
//! };
//! say(1, "early")?;
//! let late = say(3, "late")?;
//! assert_eq!(log.state(), "late");
//! log.undo(WallTime::from_millis(4), &late, "changed my mind")?;
//! assert_eq!(log.state(), "early");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod checkpoints;
mod live;
mod options;
mod reducer;
mod report;
mod snapshot;
mod steps;
mod timeline;
mod undo_manager;
mod undos;

pub use options::Options;
pub use reducer::{Diff, Obsolete, Raw, Reducer, Typed, raw, typed};
pub use report::{Malformed, Report};
pub use snapshot::{Saved, Snapshot, SnapshotError};
pub use timeline::{Changes, Timeline, Usage};
pub use undo_manager::{UndoManager, UndoStep};
