//! The records of `@logux/client`: `syncMapTemplate` and its actions.

use std::sync::Arc;

use im::OrdMap;
use indexmap::IndexMap;
use serde::Deserialize;
use serde_json::Value;

use super::{crdt::MAX_TEXT, map::diff_keys};
use crate::{
    action::{Action, ActionId, Meta, Stamp, push_once},
    json::{Cursor, Json, JsonError, JsonObject, decode, write_string},
    record::matching::equal,
    replay::{Diff, Malformed, NamedReducer, Obsolete, Reducer, Reversal, Saved, Timeline},
};

/// A [`Reducer`] for the records of one kind, such as all `tasks`, as in the official client: each
/// field is a last-write-wins register.
///
/// Its actions are `tasks/create`, `tasks/created`, `tasks/change`, `tasks/changed`
/// (`{"id":"7","fields":{"title":"Buy milk"}}`), `tasks/delete` and `tasks/deleted` (`{"id":"7"}`).
/// As in the reference:
///
/// - A deletion hides all earlier writes. A later change restores the record with the changed
///   fields only.
/// - `tasks/deleted` with `"reason":"revoked"` says that the user may not read the record any more.
///   It hides the record until a later change, which restores it with all its fields: the user may
///   read it again.
/// - Each field has a reason such as `tasks/7/title`; the indexes are `tasks` and `tasks/7`.
/// - A change that the server undoes (`logux/undo`) is reverted field by field to the previous
///   values: the log keeps the last settled write of a field until a later one is settled.
///
/// Unlike in the reference, the result depends only on the actions: to create a record is to write
/// all its fields.
#[derive(Clone, Debug)]
pub struct SyncMaps {
    plural: Arc<str>,
}

/// The reason of a `deleted` for a user who may not read the record any more.
const REVOKED: &str = "revoked";

/// A change of one record by an action of a sync map.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Writes fields of the record with this id: their names and values.
    Fields(Arc<str>, Vec<(Arc<str>, Json)>),
    /// Deletes the record with this id.
    Delete(Arc<str>),
    /// Hides the record with this id: the user may not read it any more.
    Revoke(Arc<str>),
}

/// The fields of an edit, besides the type.
#[derive(serde::Serialize)]
struct EditFields<'a> {
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    fields: Option<IndexMap<&'a str, Option<&'a Json>>>,
}

/// All records of one kind.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, Deserialize)]
pub struct Records {
    records: OrdMap<Arc<str>, Record>,
}

/// One record, including the fields that a deletion hides.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, Deserialize)]
struct Record {
    deleted: Option<Stamp>,
    /// When the right to read it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked: Option<Stamp>,
    fields: OrdMap<Arc<str>, (Stamp, Json)>,
}

impl Record {
    /// Returns `true` if the right to read it was revoked, and not given again. O(fields).
    fn is_revoked(&self) -> bool {
        let mut stamps = self.fields.values().map(|(stamp, _)| stamp);
        self.revoked.as_ref().is_some_and(|revoked| stamps.all(|stamp| stamp < revoked))
    }

    fn visible_fields(&self) -> impl Iterator<Item = (&Arc<str>, &Json)> {
        let is_revoked = self.is_revoked();
        let fields = self.fields.iter().take_while(move |_| !is_revoked);
        fields
            .filter(|(_, (stamp, _))| self.deleted.as_ref().is_none_or(|deleted| deleted < stamp))
            .map(|(name, (_, value))| (name, value))
    }
}

impl Records {
    /// Returns a field of a record. O(log n), or O(fields) if the right to read it was revoked
    /// once.
    pub fn field(&self, id: &str, name: &str) -> Option<&Json> {
        let record = self.records.get(id)?;
        let (stamp, value) = record.fields.get(name)?;
        let is_visible = record.deleted.as_ref().is_none_or(|deleted| deleted < stamp);
        (is_visible && !record.is_revoked()).then_some(value)
    }

    /// Returns `true` if a record has fields. O(log n + number of its fields).
    pub fn has(&self, id: &str) -> bool {
        self.records.get(id).is_some_and(|record| record.visible_fields().next().is_some())
    }

    /// Returns the JSON of a record with its `id`, and with its values as they came, or `None` if
    /// it has no fields. O(log n + length).
    pub fn json(&self, id: &str) -> Option<Json> {
        let mut fields = self.records.get(id)?.visible_fields().peekable();
        fields.peek()?;
        let mut json = String::from(r#"{"id":"#);
        write_string(&mut json, id);
        for (name, value) in fields {
            json.push(',');
            write_string(&mut json, name);
            json.push(':');
            json.push_str(value.as_str());
        }
        json.push('}');
        Some(Json::checked(&json))
    }

    /// Returns a record as a JSON object with its `id`, or `None` if it has no fields.
    /// O(log n + number of its fields).
    pub fn get(&self, id: &str) -> Option<Value> {
        let record = self.records.get(id)?;
        let mut fields: serde_json::Map<String, Value> = record
            .visible_fields()
            .map(|(name, value)| (name.to_string(), value.to_value()))
            .collect();
        if fields.is_empty() {
            return None;
        }
        fields.insert("id".into(), id.into());
        Some(Value::Object(fields))
    }

    /// Returns `true` if a record has fields, and an equal field ([`equal`]) for each field of a
    /// filter. The field `id` of a filter is compared with the id. O(fields of the filter · log n).
    ///
    /// [`equal`]: crate::record::matching::equal
    pub fn matches(&self, id: &str, filter: &JsonObject) -> bool {
        self.has(id)
            && filter.iter().all(|(name, value)| match name {
                "id" => Json::from_value(id).is_ok_and(|id| equal(&id, value)),
                _ => self.field(id, name).is_some_and(|field| equal(field, value)),
            })
    }

    /// Calls `id` with the id of each record that differs from another version of the records.
    /// O(changes · log n) if one is a later version of the other.
    pub fn diff(&self, other: &Self, mut id: impl FnMut(&Arc<str>)) {
        diff_keys(&self.records, &other.records, |key| id(key));
    }

    /// Returns the ids of all records with fields, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.records
            .iter()
            .filter(|(_, record)| record.visible_fields().next().is_some())
            .map(|(id, _)| id)
    }
}

impl SyncMaps {
    /// Creates a reducer for the records of a kind, given its plural, such as `tasks`.
    pub fn new(plural: impl Into<Arc<str>>) -> Self {
        Self { plural: plural.into() }
    }

    /// Returns the action that undoes an edit of a record: servers have no history of records, so
    /// they refuse its `logux/undo`. It writes the values that the fields would have without the
    /// edit, or `null`; fields that somebody has written since stay as they are. The undo of a
    /// creation deletes the record, unless it has fields of others; the undo of a deletion creates
    /// it again. To redo the edit, undo the returned action in the same way.
    ///
    /// Returns `None` if the edit has no effect any more, or is too long ago for the timeline:
    /// [`TimelineConfig::history`](crate::replay::TimelineConfig::history). O(number of actions
    /// since the edit).
    ///
    /// ```
    /// use logux::{Action, Log, MemoryStore, NodeId, WallTime, crdt::SyncMaps, log::Draft, replay::Timeline};
    /// use serde_json::json;
    ///
    /// let timeline = Timeline::new(SyncMaps::new("tasks"));
    /// let mut log = Log::with_observer(NodeId::new("10:laptop:tab")?, MemoryStore::new(), timeline)?;
    /// let mut edit = |ms, json: serde_json::Value| {
    ///     let action = Action::try_from(json).expect("an action");
    ///     log.add(WallTime::from_millis(ms), action, Draft::default())
    /// };
    /// edit(1, json!({"type": "tasks/created", "id": "7", "fields": {"title": "Tea", "done": false}}))?;
    /// let mine = edit(2, json!({"type": "tasks/change", "id": "7", "fields": {"title": "Milk", "done": true}}))?;
    /// edit(3, json!({"type": "tasks/changed", "id": "7", "fields": {"done": false}}))?;
    ///
    /// let undo = SyncMaps::compensation(log.timeline(), &mine.expect("new").meta.id).expect("an effect");
    /// assert_eq!(undo.as_json(), r#"{"type":"tasks/change","id":"7","fields":{"title":"Tea"}}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn compensation(timeline: &Timeline<Self>, id: &ActionId) -> Option<Action> {
        let (now, without) = (timeline.state(), timeline.state_without(core::slice::from_ref(id)));
        let mut record_id = None;
        diff_keys(&now.records, &without.records, |id| record_id = Some(id.clone()));
        let record_id = record_id?;
        let fields = |records: &Records| {
            let record = records.records.get(&record_id);
            let visible = record.into_iter().flat_map(Record::visible_fields);
            visible.map(|(name, value)| (name.clone(), value.clone())).collect::<IndexMap<_, _>>()
        };
        let (now, before) = (fields(now), fields(&without));
        let mut restored: IndexMap<&str, Option<&Json>> = IndexMap::new();
        let names = before.keys().chain(now.keys());
        for name in names.filter(|name| now.get(*name) != before.get(*name)) {
            restored.insert(name, before.get(name));
        }
        let verb = match (before.is_empty(), now.is_empty()) {
            _ if restored.is_empty() => return None,
            (true, _) => "delete",
            (false, true) => "create",
            (false, false) => "change",
        };
        let kind = format!("{}/{verb}", timeline.reducer().plural);
        let fields = (verb != "delete").then_some(restored);
        Action::typed(&kind, &EditFields { id: &record_id, fields }).ok()
    }

    fn reason(&self, id: &str, field: &str) -> Arc<str> {
        format!("{}/{id}/{field}", self.plural).into()
    }
}

impl Reducer for SyncMaps {
    type Action = Change;
    type State = Records;

    fn read(&self, action: &Action) -> Result<Option<Change>, Malformed> {
        let verb =
            action.kind().strip_prefix(&*self.plural).and_then(|rest| rest.strip_prefix('/'));
        let id = || {
            let id = action.str_field("id").map(Arc::from);
            id.ok_or_else(|| Malformed::new("expected a string in `id`".to_owned()))
        };
        let change = match verb {
            Some("create" | "created" | "change" | "changed") => {
                Change::Fields(id()?, read_fields(action)?)
            }
            Some("deleted") if action.str_field("reason").as_deref() == Some(REVOKED) => {
                Change::Revoke(id()?)
            }
            Some("delete" | "deleted") => Change::Delete(id()?),
            _ => return Ok(None),
        };
        let (Change::Fields(id, _) | Change::Delete(id) | Change::Revoke(id)) = &change;
        super::crdt::check_text("an id", id)?;
        if let Change::Fields(_, fields) = &change
            && let Some((name, _)) = fields.iter().find(|(name, _)| name.len() > MAX_TEXT)
        {
            return Err(Malformed::new(format!(
                "expected names of at most {MAX_TEXT} bytes, got {} bytes",
                name.len()
            )));
        }
        Ok(Some(change))
    }

    fn initial(&self) -> Records {
        Records::default()
    }

    fn apply(&self, state: &mut Records, change: &Change, stamp: &Stamp) {
        let (Change::Fields(id, _) | Change::Delete(id) | Change::Revoke(id)) = change;
        let record = state.records.entry(id.clone()).or_default();
        match change {
            Change::Delete(_) => {
                if record.deleted.as_ref().is_none_or(|deleted| deleted < stamp) {
                    record.deleted = Some(stamp.clone());
                }
            }
            Change::Revoke(_) => {
                if record.revoked.as_ref().is_none_or(|revoked| revoked < stamp) {
                    record.revoked = Some(stamp.clone());
                }
            }
            Change::Fields(_, fields) => {
                for (name, value) in fields {
                    match record.fields.get_mut(name) {
                        Some((last, _)) if *last >= *stamp => {}
                        Some(field) => *field = (stamp.clone(), value.clone()),
                        None => {
                            drop(record.fields.insert(name.clone(), (stamp.clone(), value.clone())))
                        }
                    }
                }
            }
        }
    }

    fn commutes(&self) -> bool {
        true
    }

    fn preadd(&self, change: &Change, meta: &mut Meta) {
        let (Change::Fields(id, _) | Change::Delete(id) | Change::Revoke(id)) = change;
        for index in [self.plural.clone(), format!("{}/{id}", self.plural).into()] {
            push_once(&mut meta.indexes, index);
        }
        match change {
            Change::Fields(_, fields) => {
                fields
                    .iter()
                    .for_each(|(name, _)| push_once(&mut meta.reasons, self.reason(id, name)));
            }
            Change::Delete(_) | Change::Revoke(_) => {
                push_once(&mut meta.reasons, self.reason(id, ""));
            }
        }
    }

    fn obsolete(
        &self,
        state: &Records,
        change: &Change,
        stamp: &Stamp,
        settled: &dyn Fn(&Stamp) -> bool,
        report: &mut dyn FnMut(Obsolete),
    ) {
        let (Change::Fields(id, _) | Change::Delete(id) | Change::Revoke(id)) = change;
        let Some(record) = state.records.get(id) else { return };
        let deleted = record.deleted.as_ref().filter(|deleted| settled(deleted));
        let mut before = |field: &str, last: &Stamp| {
            let last = deleted.map_or(last, |deleted| deleted.max(last)).clone();
            report(Obsolete::Before(self.reason(id, field), last));
        };
        match change {
            Change::Delete(_) => {
                before("", stamp);
                record.fields.keys().for_each(|name| before(name, stamp));
            }
            // The fields are shown again when the user may read the record again.
            Change::Revoke(_) => {}
            Change::Fields(_, fields) => {
                for (name, _) in fields {
                    let last =
                        record.fields.get(name).map(|(last, _)| last).filter(|last| settled(last));
                    before(name, last.unwrap_or(stamp));
                }
            }
        }
    }
}

impl NamedReducer for SyncMaps {
    /// Returns the plural.
    fn name(&self) -> &Arc<str> {
        &self.plural
    }

    /// Returns the [compensation](Self::compensation).
    fn reversal(timeline: &Timeline<Self>, id: &ActionId) -> Reversal {
        Self::compensation(timeline, id).map_or(Reversal::Nothing, Reversal::Action)
    }
}

/// Reads the fields besides the id. A name with a lone surrogate, which a Rust string cannot
/// represent, is skipped.
fn read_fields(action: &Action) -> Result<Vec<(Arc<str>, Json)>, Malformed> {
    let malformed = || Malformed::new("expected an object in `fields`".to_owned());
    let fields = action.field("fields").ok_or_else(malformed)?;
    let mut pairs = IndexMap::<Arc<str>, Json>::new();
    let read = Cursor::new(fields).object(|cursor, name| {
        let value = cursor.value()?;
        if let Some(name) = decode(name).filter(|name| name != "id") {
            pairs.insert(name.into(), Json::checked(value));
        }
        Ok::<_, JsonError>(())
    });
    read.map_err(|_| malformed())?;
    Ok(pairs.into_iter().collect())
}

impl Diff for SyncMaps {
    type Part = Arc<str>;

    /// Calls `part` with the id of each record that differs.
    fn diff(&self, before: &Records, after: &Records, part: &mut dyn FnMut(Arc<str>)) {
        diff_keys(&before.records, &after.records, |id| part(id.clone()));
    }
}

impl Saved for SyncMaps {
    const NAME: &'static str = "sync maps";
    const VERSION: u32 = 1;
}
