//! Conflict-free replicated data types: their state is the same for any order of operations.
//!
//! # Which type do I need?
//!
//! | What people edit | Type | Resolution of conflicts |
//! | --- | --- | --- |
//! | a text, such as a note or code | [`Text`] | runs do not interleave, all insertions stay |
//! | a list, such as tasks or slides | [`List`] | as in a text; a moved item has one place |
//! | nested items, such as an outline or folders | [`Tree`] | a moved node has one parent, without cycles |
//! | an object with fields | [`Map`] | the last write wins, for each path |
//! | one value | [`Register`] | the last write wins |
//! | a number, such as likes | [`Counter`] | all increments count |
//! | tags: who adds is right | [`AddWinsSet`] | an addition wins over a concurrent removal |
//! | tags: the last word is right | [`LwwSet`] | the latest of addition and removal wins |
//! | all of these in one JSON value | [`Document`] | as in its parts |
//! | many independent records of `@logux/client` | [`SyncMaps`] | the last write wins, for each field |
//!
//! Take a [`Document`] when in doubt: it has texts, lists, trees, counters and sets under paths
//! beside plain values, also in items of lists and nodes of trees, and one action can change
//! several of them. A bare [`Text`] or [`Tree`] has smaller actions.
//!
//! All but [`SyncMaps`] are a [`Crdt`]: operations are applied with the [`Stamp`](crate::Stamp) of
//! their action, in any order, any number of times. [`Shared`] makes a
//! [`Reducer`](crate::replay::Reducer) of such a type for one document, so that a log over a
//! [`Timeline`](crate::replay::Timeline) has it as its state, with undo until a snapshot action
//! settles the undone action. [`SyncMaps`] is a reducer
//! itself. [`UndoManager`](crate::replay::UndoManager) provides undo and redo for a user interface.
//!
//! # Three forms of methods
//!
//! Methods that read are nouns. Methods that change the state are verbs and take the
//! [`Stamp`](crate::Stamp) of the change. Methods that make operations, and change nothing, end in
//! `_op` or `_ops`; they take the author if the operations name elements: a node id, or the id of
//! the action. [`Log::edit`](crate::Log::edit) adds the action of an operation,
//! [`Log::edit_together`](crate::Log::edit_together) that of several.
//!
//! | Type | Makes operations | Changes | Reads |
//! | --- | --- | --- | --- |
//! | [`Register`] | `set_op` | `set` | `get` |
//! | [`Map`] | `set_op`, `delete_op` | `set`, `delete` | `get` |
//! | [`Counter`] | `add_op` | `add` | `value` |
//! | [`LwwSet`], [`AddWinsSet`] | `add_op`, `remove_op` | `add`, `remove` | `contains`, `iter` |
//! | [`List`] | `insert_op`, `insert_all_op`, `push_op`, `move_op`, `set_op`, `remove_op` | `insert`, `insert_all`, `push`, `move_item`, `set`, `remove` | `get`, `len`, `iter`, `id_at`, `index_of` |
//! | [`Text`] | `insert_op`, `remove_op`, `replace_ops`, `set_ops`, `delta_ops` | `insert`, `remove`, `replace`, `set`, `apply_delta` | `len`, `slice`, `to_string`, `line_start`, `authorship` |
//! | [`Tree`] | `create_op`, `move_op`, `set_op`, `delete_op`, `remove_op` | `create`, `move_to`, `set`, `delete`, `remove` | `value`, `parent`, `children`, `walk` |
//! | [`Document`] | `set_op`, `delete_op`, `increment_op`, `add_op`, `discard_op`, `list_op`, `text_ops`, `tree_ops` | `set`, `delete`, `increment`, `add`, `discard`, `edit_list`, `edit_text`, `edit_tree` | `get`, `list`, `text`, `tree`, `counter`, `add_wins_set` |
//!
//! All types have [`Crdt::restore_ops`]: the operations that let a state show what another state
//! shows, such as an old version of a document, or a document that is copied.
//! [`Document::changes_to`] is the difference of two states for people.
//!
//! ```
//! use logux::{
//!     Log, MemoryStore, NodeId, WallTime,
//!     crdt::{Crdt, List, Shared},
//!     log::Draft,
//!     replay::Timeline,
//!     store::{Query, Store},
//! };
//! use serde_json::json;
//!
//! // Two nodes change one list while they are disconnected.
//! let mut logs = ["10:ada:x", "10:grace:x"].map(|node| {
//!     let node = NodeId::new(node).expect("a node id");
//!     let timeline = Timeline::new(Shared::<List>::new("lists", "1"));
//!     Log::with_observer(node, MemoryStore::new(), timeline).expect("memory does not fail")
//! });
//! for (log, words) in logs.iter_mut().zip([["buy", "milk"], ["call", "mum"]]) {
//!     for word in words {
//!         log.edit(WallTime::from_millis(1), |list, id| list.push_op(json!(word), id))?;
//!     }
//! }
//! // They connect: each receives the actions of the other.
//! for (from, to) in [(0, 1), (1, 0)] {
//!     for entry in logs[from].store().page(&Query::added().oldest_first(), 100)?.entries {
//!         let draft = Draft::of(entry.meta.id, entry.meta.time);
//!         logs[to].add(WallTime::from_millis(2), entry.action, draft)?;
//!     }
//! }
//! assert_eq!(logs[0].state().to_json(), json!(["buy", "milk", "call", "mum"]));
//! assert_eq!(logs[0].state(), logs[1].state());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Saving
//! [`Crdt::save`] returns a state as bytes: the parts of ids in columns, each node id once, a
//! version and a checksum. [`Crdt::save_deflated`] compresses them, and [`Crdt::load`] reads both.
//! In JSON, a state is a string with these bytes. `spec/documents.md` describes them.
//!
//! ```
//! use logux::{Stamp, WallTime, crdt::{Crdt, Map}};
//! use serde_json::json;
//!
//! let mut map = Map::default();
//! for ms in 0..100 {
//!     let stamp = Stamp::new(WallTime::from_millis(ms), format!("{ms} 10:ada:x 0").parse()?);
//!     map.set(&format!("/field{ms}").parse()?, json!("a value"), &stamp);
//! }
//! let (saved, deflated) = (map.save(), map.save_deflated());
//! assert!(saved.len() < 2_500 && deflated.len() < 600);
//! assert_eq!(Map::load(&saved)?, map);
//! assert_eq!(Map::load(&deflated)?, map);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Invalid input
//! An action of a shared type is ignored if a field is missing, has a wrong type or exceeds a limit
//! ([`MAX_TEXT`], [`MAX_INSERTION`], [`MAX_ITEMS`], [`MAX_PATH`], [`MAX_KEYS`]). The check depends
//! only on the action,
//! so every replica ignores the same actions, and each reports them
//! ([`TimelineWarning::Malformed`](crate::replay::TimelineWarning::Malformed)). An operation on an
//! item that was not inserted yet is kept in the state and takes effect when the item is inserted.
//! A removed item stays removed.
//!
//! Reading order: the trait in `crdt`; `touched`; `saving`; `restore`; `json_op`; `register`;
//! `element` and `path`; `view`; `map`; `set`; `counter`; `sequence`, on which `text`, `list` and
//! `tree` are; `document`; `json_feed`; `shared`; `schema`; `sync_map`;
//! `matching_records`.

mod counter;
#[allow(clippy::module_inception, reason = "the trait has the name of the folder")]
mod crdt;
mod document;
mod element;
mod json_feed;
mod json_op;
mod list;
mod map;
mod matching_records;
mod op_id;
mod path;
mod register;
mod restore;
mod saving;
mod schema;
mod sequence;
mod set;
mod shared;
mod sync_map;
mod text;
mod touched;
mod tree;
mod view;

pub use counter::{Counter, CounterOp};
pub use crdt::{Crdt, MAX_TEXT};
pub use document::{Document, DocumentChange, DocumentOp};
pub use element::{ElementId, ElementIdError, ElementRef, MAX_COUNTER};
pub use json_feed::{JsonChange, JsonFeed};
pub use json_op::{JsonOp, JsonOpError, JsonOpFault, MAX_READ, MadeOps};
pub use list::{Item, List, ListError, ListEvent, ListOp, MAX_ITEMS};
pub use map::{Map, MapOp};
pub use matching_records::MatchingRecords;
pub use op_id::OpId;
pub use path::{MAX_KEYS, MAX_PATH, Path, PathError};
pub use register::{Register, RegisterOp};
pub use restore::RestoreError;
pub use saving::{ColumnReader, ColumnWriter, LoadError, NodeNumber, StateReader, StateWriter};
pub use schema::{CheckedChange, DocumentSchema, DocumentView, SchemaViolation};
pub use sequence::Unit;
pub use set::{AddWinsOp, AddWinsSet, LwwSet, LwwSetOp, SetEvent};
pub use shared::{EditError, MAX_EDIT_DEPTH, MAX_OPERATIONS, Operation, Operations, Shared};
pub use sync_map::{Change, Records, SyncMaps};
pub use text::{
    Anchor, Authorship, Delta, DeltaItem, ElementRange, MAX_INSERTION, Selection, Text, TextChange,
    TextError, TextOp,
};
pub use touched::{Touched, ValueShape};
pub use tree::{MAX_TREE_DEPTH, Tree, TreeError, TreeNode, TreeOp, TreePlace, TreeWalk};
