//! The records that match a filter, kept up to date by what changes.

use std::{collections::BTreeSet, sync::Arc};

use super::Records;
use crate::json::JsonObject;

/// The records that match a filter ([`Records::matches`]), for a list that is shown. One record is
/// a list with the filter `{"id":"7"}`.
///
/// ```
/// use logux::{Action, Log, MemoryStore, NodeId, WallTime, crdt::{MatchingRecords, SyncMaps}, json::JsonObject, log::Draft, replay::Timeline};
///
/// let timeline = Timeline::new(SyncMaps::new("tasks"));
/// let mut log = Log::with_observer(NodeId::new("10:laptop:tab")?, MemoryStore::new(), timeline)?;
/// let mut open = MatchingRecords::new(JsonObject::from_json(r#"{"done":false}"#)?);
/// for (ms, fields) in [(1, r#"{"done":false}"#), (2, r#"{"done":true}"#)] {
///     let action = format!(r#"{{"type":"tasks/change","id":"7","fields":{fields}}}"#);
///     log.add(WallTime::from_millis(ms), Action::new(action)?, Draft::default())?;
///     let mut changes = Vec::new();
///     open.update(log.timeline().state(), |id, is_listed| changes.push((id.to_string(), is_listed)));
///     assert_eq!(changes, [("7".to_owned(), ms == 1)]);
/// }
/// assert_eq!(open.ids().len(), 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct MatchingRecords {
    filter: JsonObject,
    /// The ids of the records in `records` that match.
    ids: BTreeSet<Arc<str>>,
    records: Records,
}

impl MatchingRecords {
    /// Creates an empty list with a filter. An empty filter matches all records.
    pub fn new(filter: JsonObject) -> Self {
        Self { filter, ids: BTreeSet::new(), records: Records::default() }
    }

    /// Takes over a later version of the records. Calls `changed` with the id of each record that
    /// is in the list and has changed (`true`), or has left the list (`false`). O(changes · log n).
    pub fn update(&mut self, now: &Records, mut changed: impl FnMut(&Arc<str>, bool)) {
        let (filter, ids) = (&self.filter, &mut self.ids);
        self.records.diff(now, |id| {
            if now.matches(id, filter) {
                ids.insert(id.clone());
                changed(id, true);
            } else if ids.remove(id) {
                changed(id, false);
            }
        });
        self.records = now.clone();
    }

    /// Returns the filter.
    pub const fn filter(&self) -> &JsonObject {
        &self.filter
    }

    /// Returns the ids of the records of the list, sorted.
    pub const fn ids(&self) -> &BTreeSet<Arc<str>> {
        &self.ids
    }

    /// Returns all records at the last update.
    pub const fn records(&self) -> &Records {
        &self.records
    }
}
