//! Time travel: the state of a log under a reducer, with late and undone actions.
//!
//! Read [`Reducer`] (what an action does), then [`Timeline`] (the state of a log under a reducer),
//! then [`Snapshot`] and [`UndoManager`]. A timeline is an [`Observer`](crate::log::Observer): the
//! state of a [`Log`](crate::Log) that it observes is always up to date.
//!
//! ```
//! use logux::{Action, Log, MemoryStore, NodeId, WallTime, log::Draft, replay::{Timeline, untyped_reducer}};
//! use serde_json::json;
//!
//! // The latest word wins. An undone word has no effect.
//! let reducer = untyped_reducer(String::new(), |word: &mut String, action: &Action| {
//!     *word = action.str_field("word").unwrap_or_default().into_owned();
//! });
//! let mut log = Log::with_observer(NodeId::new("10:client:tab")?, MemoryStore::new(), Timeline::new(reducer))?;
//! let mut say = |ms, word| {
//!     let action = Action::try_from(json!({"type": "say", "word": word})).expect("an action");
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
mod cleaning;
mod config;
mod coverage;
mod extension;
mod reducer;
mod retention;
mod selection;
mod settlement;
mod snapshot;
mod steps;
mod timeline;
mod timeline_set;
mod undo_manager;
mod undo_step;
mod undos;
mod warning;

pub use config::TimelineConfig;
pub use coverage::{Coverage, Standing};
pub use reducer::{
    Diff, Obsolete, Reducer, TypedReducer, UntypedReducer, typed_reducer, untyped_reducer,
};
pub use settlement::Settlement;
pub use snapshot::{Saved, Snapshot, SnapshotError};
pub use timeline::{Changes, Timeline, TimelineStats};
pub use timeline_set::{NamedReducer, Reversal, TimelineSet};
pub use undo_manager::UndoManager;
pub use undo_step::{MAX_SELECTION, RevertedStep, UndoItem, UndoStep};
pub use warning::{Malformed, TimelineWarning};
