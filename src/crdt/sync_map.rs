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

/// The records of one kind, such as all `tasks`, as the official client keeps them: each field is a last-write-wins register.
///
/// A [`Reducer`] of the actions `tasks/create`, `tasks/created`, `tasks/change`, `tasks/changed` (`{"id":"7","fields":{"title":"Buy milk"}}`), `tasks/delete` and
/// `tasks/deleted` (`{"id":"7"}`). As in the reference:
///
/// - A deletion takes away what is older. A change that is newer than it makes the record again, with the fields it has.
/// - The reasons are `tasks/7/title`, one for each field; the indexes are `tasks` and `tasks/7`.
/// - A change that the server refuses (`logux/undo`) is reverted field by field to what was there before: the last value that was agreed upon is kept until
///   the newer one is.
///
/// Unlike there, a change is known by its action alone: creating is no more than writing all fields.
#[derive(Clone, Debug)]
pub struct SyncMaps {
    plural: Arc<str>,
}

/// What an action of a sync map does to a record.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// Write fields.
    Fields(Arc<str>, Vec<(Arc<str>, Arc<Value>)>),
    /// Take the record away.
    Delete(Arc<str>),
}

/// All records of one kind.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, Deserialize)]
pub struct Records {
    records: OrdMap<Arc<str>, Record>,
}

/// One record. Fields that a deletion has hidden stay known by name.
#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, Deserialize)]
struct Record {
    deleted: Option<Stamp>,
    fields: OrdMap<Arc<str>, (Stamp, Arc<Value>)>,
}

impl Record {
    fn visible(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Value>)> {
        let fields = self.fields.iter();
        fields
            .filter(|(_, (stamp, _))| self.deleted.as_ref().is_none_or(|deleted| deleted < stamp))
            .map(|(name, (_, value))| (name, value))
    }
}

impl Records {
    /// A field of a record. O(log n).
    pub fn field(&self, id: &str, name: &str) -> Option<&Value> {
        let record = self.records.get(id)?;
        let (stamp, value) = record.fields.get(name)?;
        record.deleted.as_ref().is_none_or(|deleted| deleted < stamp).then_some(value)
    }

    /// A record as a JSON object with its `id`; `None` if it is not there.
    pub fn get(&self, id: &str) -> Option<Value> {
        let record = self.records.get(id)?;
        let mut fields: serde_json::Map<String, Value> =
            record.visible().map(|(name, value)| (name.to_string(), (**value).clone())).collect();
        if fields.is_empty() {
            return None;
        }
        fields.insert("id".into(), id.into());
        Some(Value::Object(fields))
    }

    /// The ids of all records that are there, sorted.
    pub fn ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.records
            .iter()
            .filter(|(_, record)| record.visible().next().is_some())
            .map(|(id, _)| id)
    }
}

impl SyncMaps {
    /// The records of a kind, by its plural, such as `tasks`.
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
                        Some(own) => *own = (stamp.clone(), value.clone()),
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
        tell: &mut dyn FnMut(Obsolete),
    ) {
        let (Change::Fields(id, _) | Change::Delete(id)) = change;
        let Some(record) = state.records.get(id) else { return };
        let deleted = record.deleted.as_ref().filter(|deleted| settled(deleted));
        let mut before = |field: &str, last: &Stamp| {
            let last = deleted.map_or(last, |deleted| deleted.max(last)).clone();
            tell(Obsolete::Before(self.reason(id, field), last));
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

    /// The ids of the records that differ.
    fn diff(&self, before: &Records, after: &Records, part: &mut dyn FnMut(Arc<str>)) {
        diff_keys(&before.records, &after.records, |id| part(id.clone()));
    }
}

impl Saved for SyncMaps {
    const NAME: &'static str = "sync maps";
    const VERSION: u32 = 1;
}
