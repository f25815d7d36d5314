//! Time travel: the state that reducers make of a log, also when actions come late or are taken back.
//!
//! Read [`Reducer`] (what an action does), then [`Timeline`] (the state of a log under it). A timeline is an
//! [`Observer`](crate::log::Observer): a [`Log`](crate::Log) over one keeps the state up to date by itself.
//!
//! ```
//! use logux::{Action, Log, MemoryStore, NodeId, WallTime, log::Draft, replay::{Timeline, untyped_reducer}};
//!
//! // The last word said wins, and a word that is taken back was never said.
//! let reducer = untyped_reducer(String::new(), |word: &mut String, action: &Action| {
//!     *word = action.str_field("word").unwrap_or_default().into_owned();
//! });
//! let mut log = Log::with_observer(NodeId::new("10:client:tab")?, MemoryStore::new(), Timeline::new(reducer))?;
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
mod config;
mod reducer;
mod retention;
mod snapshot;
mod steps;
mod timeline;
mod undo_manager;
mod undos;
mod warning;

pub use config::TimelineConfig;
pub use reducer::{
    Diff, Obsolete, Reducer, TypedReducer, UntypedReducer, typed_reducer, untyped_reducer,
};
pub use snapshot::{Saved, Snapshot, SnapshotError};
pub use timeline::{Changes, Timeline, TimelineStats};
pub use undo_manager::{UndoManager, UndoStep};
pub use warning::{Malformed, TimelineWarning};
