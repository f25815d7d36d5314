//! The records of `@logux/client`: `syncMapTemplate` and its actions.

use std::sync::Arc;

use im::OrdMap;
use serde::Deserialize;
use serde_json::Value;

use super::{crdt::MAX_TEXT, map::diff_keys};
use crate::{
    action::{Action, Meta, Stamp, push_once},
    replay::{Diff, Malformed, Obsolete, Reducer, Saved},
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

/// A change of one record by an action of a sync map.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Writes fields of the record with this id: their names and values.
    Fields(Arc<str>, Vec<(Arc<str>, Arc<Value>)>),
    /// Deletes the record with this id.
    Delete(Arc<str>),
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
    fields: OrdMap<Arc<str>, (Stamp, Arc<Value>)>,
}

impl Record {
    fn visible_fields(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Value>)> {
        let fields = self.fields.iter();
        fields
            .filter(|(_, (stamp, _))| self.deleted.as_ref().is_none_or(|deleted| deleted < stamp))
            .map(|(name, (_, value))| (name, value))
    }
}

impl Records {
    /// Returns a field of a record. O(log n).
    pub fn field(&self, id: &str, name: &str) -> Option<&Value> {
        let record = self.records.get(id)?;
        let (stamp, value) = record.fields.get(name)?;
        record.deleted.as_ref().is_none_or(|deleted| deleted < stamp).then_some(value)
    }

    /// Returns a record as a JSON object with its `id`, or `None` if it has no fields.
    /// O(log n + number of its fields).
    pub fn get(&self, id: &str) -> Option<Value> {
        let record = self.records.get(id)?;
        let mut fields: serde_json::Map<String, Value> = record
            .visible_fields()
            .map(|(name, value)| (name.to_string(), (**value).clone()))
            .collect();
        if fields.is_empty() {
            return None;
        }
        fields.insert("id".into(), id.into());
        Some(Value::Object(fields))
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

    fn reason(&self, id: &str, field: &str) -> Arc<str> {
        format!("{}/{id}/{field}", self.plural).into()
    }
}

impl Reducer for SyncMaps {
    type Action = Change;
    type State = Records;

    fn read(&self, action: &Action) -> Result<Option<Change>, Malformed> {
        #[derive(Deserialize)]
        struct Fields {
            id: Arc<str>,
            fields: serde_json::Map<String, Value>,
        }
        #[derive(Deserialize)]
        struct Id {
            id: Arc<str>,
        }
        let malformed = |error: crate::action::ActionError| Malformed::new(error.to_string());
        let verb =
            action.kind().strip_prefix(&*self.plural).and_then(|rest| rest.strip_prefix('/'));
        let change = match verb {
            Some("create" | "created" | "change" | "changed") => {
                let Fields { id, fields } = action.parse().map_err(malformed)?;
                let pairs = fields.into_iter().filter(|(name, _)| name != "id");
                Change::Fields(
                    id,
                    pairs.map(|(name, value)| (name.into(), Arc::new(value))).collect(),
                )
            }
            Some("delete" | "deleted") => {
                Change::Delete(action.parse::<Id>().map_err(malformed)?.id)
            }
            _ => return Ok(None),
        };
        let (Change::Fields(id, _) | Change::Delete(id)) = &change;
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
        let (Change::Fields(id, _) | Change::Delete(id)) = change;
        let record = state.records.entry(id.clone()).or_default();
        match change {
            Change::Delete(_) => {
                if record.deleted.as_ref().is_none_or(|deleted| deleted < stamp) {
                    record.deleted = Some(stamp.clone());
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
        let (Change::Fields(id, _) | Change::Delete(id)) = change;
        for index in [self.plural.clone(), format!("{}/{id}", self.plural).into()] {
            push_once(&mut meta.indexes, index);
        }
        match change {
            Change::Fields(_, fields) => {
                fields
                    .iter()
                    .for_each(|(name, _)| push_once(&mut meta.reasons, self.reason(id, name)));
            }
            Change::Delete(_) => push_once(&mut meta.reasons, self.reason(id, "")),
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
        let (Change::Fields(id, _) | Change::Delete(id)) = change;
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
