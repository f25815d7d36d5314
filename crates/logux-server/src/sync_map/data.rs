//! The results that a storage of records returns.

use std::{collections::BTreeMap, sync::Arc};

use logux::{Action, Json, WallTime, crdt::Path, json::JsonObject};
use serde::Serialize;
use serde_json::Value;

use crate::{error::HandlerError, rights::decision::value_in};

/// A record for a client: its fields, each with the time of its latest write, or without one.
///
/// ```
/// use logux::WallTime;
/// use logux_server::SyncMapData;
///
/// let task = SyncMapData::new("7").changed_at("title", "Tea", WallTime::from_millis(1_000))?.without_time("seen", &12)?;
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncMapData {
    /// The id of the record.
    pub id: Arc<str>,
    /// The fields: key, value, and the time of the latest write; `None` counts as the time of the
    /// load.
    pub fields: Vec<(Arc<str>, Json, Option<WallTime>)>,
    /// The time of a deletion after which the record was created again, if the subscriber may have
    /// missed it: it is sent first, so that the subscriber drops the earlier fields. Times of
    /// fields are later.
    pub recreated_after: Option<WallTime>,
}

impl SyncMapData {
    /// Creates a record without fields: the result for a record that exists and has no changes.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), fields: Vec::new(), recreated_after: None }
    }

    /// Adds a field with the time of its latest write. A client keeps its own value if it wrote it
    /// later. `ChangedAt` of the reference.
    ///
    /// # Errors
    /// If the value cannot be serialized to JSON.
    pub fn changed_at(
        mut self,
        key: impl Into<Arc<str>>,
        value: &(impl Serialize + ?Sized),
        time: WallTime,
    ) -> Result<Self, serde_json::Error> {
        self.fields.push((key.into(), Json::from_value(value)?, Some(time)));
        Ok(self)
    }

    /// Adds a field whose time of writing is unknown. It replaces the client's value.
    /// `NoConflictResolution` of the reference.
    ///
    /// # Errors
    /// If the value cannot be serialized to JSON.
    pub fn without_time(
        mut self,
        key: impl Into<Arc<str>>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<Self, serde_json::Error> {
        self.fields.push((key.into(), Json::from_value(value)?, None));
        Ok(self)
    }

    /// Removes the fields that were written before a time, for a storage that does not know when
    /// writes arrived. Then a client that was offline does not receive an older edit that another
    /// client made offline and sent in the meantime.
    #[must_use]
    pub fn since(mut self, since: Option<WallTime>) -> Self {
        self.fields.retain(|(_, _, time)| time.is_none() || *time >= since);
        self
    }

    /// Returns the value of a field.
    pub(super) fn field(&self, key: &str) -> Option<&Json> {
        self.fields.iter().find(|(name, ..)| &**name == key).map(|(_, value, _)| value)
    }

    /// Returns the value at a path, which begins with the name of a field.
    pub(super) fn value(&self, path: &Path) -> Option<Value> {
        value_in(|key| self.field(key), path)
    }

    /// Returns the approximate size of its JSON, in bytes.
    pub(super) fn json_bytes(&self) -> usize {
        let fields = self.fields.iter().map(|(key, value, _)| key.len() + value.as_str().len() + 4);
        self.id.len() + fields.sum::<usize>()
    }

    /// Returns the record as `PLURAL/changed` actions, one for each time of writing, after a
    /// `PLURAL/deleted` if the record was created again.
    pub(super) fn actions(
        &self,
        plural: &str,
    ) -> Result<Vec<(Action, Option<WallTime>)>, HandlerError> {
        let mut by_time = BTreeMap::<_, JsonObject>::new();
        for (key, value, time) in self.fields.iter().filter(|(key, ..)| &**key != "id") {
            by_time.entry(*time).or_default().set(key.clone(), value.clone());
        }
        let id = Json::from_value(&*self.id)?;
        let deletion = self.recreated_after.map(|time| {
            let json = format!("{{\"type\":\"{plural}/deleted\",\"id\":{id}}}");
            Ok((Action::new(json)?, Some(time)))
        });
        let action = |(time, fields): (_, JsonObject)| {
            let json = format!(
                "{{\"type\":\"{plural}/changed\",\"id\":{id},\"fields\":{}}}",
                fields.to_json()
            );
            Ok((Action::new(json)?, time))
        };
        deletion.into_iter().chain(by_time.into_iter().map(action)).collect()
    }
}

/// The result of loading a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadOutcome {
    /// The record exists.
    Record(SyncMapData),
    /// It was deleted at this time. A subscriber that knows it receives the deletion; for others it
    /// is missing.
    Deleted(WallTime),
    /// It does not exist: the subscription is undone with the reason `notFound`.
    Missing,
}

impl From<SyncMapData> for LoadOutcome {
    fn from(record: SyncMapData) -> Self {
        Self::Record(record)
    }
}

impl From<Option<SyncMapData>> for LoadOutcome {
    fn from(record: Option<SyncMapData>) -> Self {
        record.map_or(Self::Missing, Self::Record)
    }
}

/// The result of listing records by a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordList {
    /// The records that match, and those that do not match any more, with the fields that have
    /// changed that.
    pub records: Vec<SyncMapData>,
    /// The ids of records that were deleted since the requested time, with the times of the
    /// deletions.
    pub deleted: Vec<(Arc<str>, WallTime)>,
    /// The position after which the next page starts, in a form that only the storage reads. `None`
    /// if there are no more records and deletions.
    pub next: Option<Arc<str>>,
}

impl From<Vec<SyncMapData>> for RecordList {
    fn from(records: Vec<SyncMapData>) -> Self {
        Self { records, ..Self::default() }
    }
}

/// The result of an edit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditOutcome {
    /// All fields were written: subscribers receive the fields of the action. `()` and `true`
    /// convert to it.
    All,
    /// Only these fields were written, because later writes of the others are known, or they were
    /// written at another time than the action's, because it equals the time of another write.
    /// Subscribers receive these fields; if the time differs from the action's, the author does
    /// too.
    Fields {
        /// The fields that were written, with their values.
        won: JsonObject,
        /// The time of the write.
        time: WallTime,
    },
    /// Nothing was changed, so subscribers receive nothing. `false` converts to it.
    Nothing,
}

impl From<()> for EditOutcome {
    fn from((): ()) -> Self {
        Self::All
    }
}

impl From<bool> for EditOutcome {
    fn from(changed: bool) -> Self {
        if changed { Self::All } else { Self::Nothing }
    }
}
