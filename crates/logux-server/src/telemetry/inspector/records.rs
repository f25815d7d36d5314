//! The latest state of the records that were created, changed, deleted or loaded.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use logux::{Entry, excerpt, json::JsonObject, server::HubEvent};
use serde::Serialize;

/// The largest number of remembered records.
const MAX_RECORDS: usize = 500;
/// The largest number of remembered fields of a record.
const MAX_FIELDS: usize = 50;
/// The largest part of a name, an id or a value that is shown, in bytes.
const MAX_TEXT: usize = 500;

/// The records of sync maps, by collection and id, the latest changed last.
#[derive(Debug, Default)]
pub(super) struct RecordHistory(IndexMap<(String, String), ShownRecord>);

/// A record as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShownRecord {
    /// The change number of its last change.
    change: u64,
    collection: String,
    id: String,
    /// The JSON text of its fields, possibly truncated. Fields that were not changed, created or
    /// loaded since the start of the server are unknown.
    fields: BTreeMap<String, String>,
    is_deleted: bool,
    /// The time of its last change, in milliseconds since the epoch.
    time: u64,
    /// The id of the action with its last change.
    action: String,
}

impl RecordHistory {
    pub(super) fn record(&mut self, change: u64, time: u64, event: &HubEvent) {
        let HubEvent::Added(entry) = event else { return };
        let Some((collection, verb)) = entry.action.kind().rsplit_once('/') else { return };
        // What the server sends after an edit, and when a channel is loaded. Other actions may have
        // such a type, but not its fields.
        if !entry.meta.id.node().is_server() || !["created", "changed", "deleted"].contains(&verb) {
            return;
        }
        let Some(id) = entry.action.str_field("id") else { return };
        let fields = fields_of(entry);
        if fields.is_none() && verb != "deleted" {
            return;
        }
        let key = (excerpt(collection, MAX_TEXT).into_owned(), excerpt(&id, MAX_TEXT).into_owned());
        let known =
            self.0.shift_remove(&key).filter(|known| !known.is_deleted && verb != "created");
        let mut shown = known.unwrap_or_else(|| ShownRecord {
            change,
            collection: key.0.clone(),
            id: key.1.clone(),
            fields: BTreeMap::new(),
            is_deleted: false,
            time,
            action: String::new(),
        });
        shown.change = change;
        shown.time = time;
        shown.is_deleted = verb == "deleted";
        shown.action = entry.meta.id.to_string();
        for (name, value) in fields.iter().flat_map(JsonObject::iter) {
            let name = excerpt(name, MAX_TEXT).into_owned();
            if shown.fields.len() < MAX_FIELDS || shown.fields.contains_key(&name) {
                shown.fields.insert(name, excerpt(value.as_str(), MAX_TEXT).into_owned());
            }
        }
        if self.0.len() >= MAX_RECORDS {
            self.0.shift_remove_index(0);
        }
        self.0.insert(key, shown);
    }

    /// Returns the records that changed after this change number, the latest changed last.
    pub(super) fn after(&self, change: u64) -> Vec<ShownRecord> {
        self.0.values().filter(|record| record.change > change).cloned().collect()
    }
}

/// Returns the object in the field `fields`.
fn fields_of(entry: &Entry) -> Option<JsonObject> {
    JsonObject::from_json(entry.action.field("fields")?).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logux::{Action, Meta};
    use serde_json::json;

    use super::*;

    fn add(records: &mut RecordHistory, change: u64, node: &str, action: serde_json::Value) {
        let meta = Meta::new(format!("{change} {node} 0").parse().unwrap());
        let entry = Entry::new(Action::try_from(action).unwrap(), meta);
        records.record(change, change, &HubEvent::Added(Arc::new(entry)));
    }

    #[test]
    fn fields_are_merged_until_a_record_is_deleted() {
        let mut records = RecordHistory::default();
        let own = "server:x";
        let action = |verb: &str, fields| json!({"type": format!("tasks/{verb}"), "id": "1", "fields": fields});
        add(&mut records, 1, own, action("created", json!({"title": "Tea", "done": false})));
        add(&mut records, 2, own, action("changed", json!({"done": true})));
        // These do not change the record.
        add(&mut records, 3, "10:a:b", action("changed", json!({"done": 1})));
        add(&mut records, 4, own, action("painted", json!({"done": 1})));
        add(&mut records, 5, own, json!({"type": "tasks/changed", "id": 1, "fields": {"done": 1}}));
        add(&mut records, 6, own, json!({"type": "posts/changed", "id": "1"}));
        let all = records.after(0);
        assert_eq!(all.len(), 1);
        let expected = [("done", "true"), ("title", "\"Tea\"")];
        assert!(all[0].fields.iter().map(|(name, value)| (&**name, &**value)).eq(expected));
        assert_eq!((&*all[0].action, all[0].time, all[0].is_deleted), ("2 server:x 0", 2, false));
        assert!(records.after(2).is_empty());

        add(&mut records, 7, own, json!({"type": "tasks/deleted", "id": "1"}));
        assert!(records.after(2)[0].is_deleted);
        add(&mut records, 8, own, action("created", json!({"title": "Milk"})));
        assert_eq!(records.after(7)[0].fields.len(), 1);
    }

    #[test]
    fn records_and_their_fields_are_bounded() {
        let mut records = RecordHistory::default();
        let fields: BTreeMap<_, _> = (0..100).map(|n| (n.to_string(), "x".repeat(1_000))).collect();
        for n in 0..MAX_RECORDS as u64 + 10 {
            let created = json!({"type": "tasks/created", "id": n.to_string(), "fields": {}});
            add(&mut records, n + 1, "server:x", created);
        }
        let created = json!({"type": "tasks/created", "id": "y".repeat(1_000), "fields": fields});
        add(&mut records, 1_000, "server:x", created);
        let all = records.after(0);
        assert_eq!((all.len(), &*all[0].id), (MAX_RECORDS, "11"));
        let last = &records.after(999)[0];
        assert!(last.id.len() < 510 && last.fields.len() == MAX_FIELDS);
        assert!(last.fields.values().all(|value| value.len() < 510));
    }
}
