//! What a storage of records gives back.

use std::{collections::BTreeMap, sync::Arc};

use logux::{Action, Json, WallTime, json::JsonObject};
use serde::Serialize;

use crate::error::HandlerError;

/// A record as it is told to a client: fields, each with the time at which it was written, or without one.
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
    /// The fields: key, value, and when it was written; `None` counts as now.
    pub fields: Vec<(Arc<str>, Json, Option<WallTime>)>,
}

impl SyncMapData {
    /// A record without fields: what to give when it is there, and has nothing new.
    pub fn new(id: impl Into<Arc<str>>) -> Self {
        Self { id: id.into(), fields: Vec::new() }
    }

    /// A field that was last written at this time: a client with a later write of its own keeps that. `ChangedAt` of the reference.
    ///
    /// # Errors
    /// What `serde_json` says when the value cannot be written as JSON.
    pub fn changed_at(
        mut self,
        key: impl Into<Arc<str>>,
        value: &(impl Serialize + ?Sized),
        time: WallTime,
    ) -> Result<Self, serde_json::Error> {
        self.fields.push((key.into(), Json::from_value(value)?, Some(time)));
        Ok(self)
    }

    /// A field of which it is not known when it was written: it replaces what the client has. `NoConflictResolution` of the
    /// reference.
    ///
    /// # Errors
    /// What `serde_json` says when the value cannot be written as JSON.
    pub fn without_time(
        mut self,
        key: impl Into<Arc<str>>,
        value: &(impl Serialize + ?Sized),
    ) -> Result<Self, serde_json::Error> {
        self.fields.push((key.into(), Json::from_value(value)?, None));
        Ok(self)
    }

    /// Leaves out the fields that were written before a time: for a storage that does not know when writes arrived. A client that was away does then not
    /// learn of an older edit that another has made offline and sent meanwhile.
    #[must_use]
    pub fn since(mut self, since: Option<WallTime>) -> Self {
        self.fields.retain(|(_, _, time)| time.is_none() || *time >= since);
        self
    }

    /// The record as `PLURAL/changed`, one for each time at which fields were written.
    pub(super) fn actions(
        &self,
        plural: &str,
    ) -> Result<Vec<(Action, Option<WallTime>)>, HandlerError> {
        let mut by_time = BTreeMap::<_, JsonObject>::new();
        for (key, value, time) in self.fields.iter().filter(|(key, ..)| &**key != "id") {
            by_time.entry(*time).or_default().set(key.clone(), value.clone());
        }
        let id = Json::from_value(&*self.id)?;
        let action = |(time, fields): (_, JsonObject)| {
            let json = format!(
                "{{\"type\":\"{plural}/changed\",\"id\":{id},\"fields\":{}}}",
                fields.to_json()
            );
            Ok((Action::new(json)?, time))
        };
        by_time.into_iter().map(action).collect()
    }
}

/// What was found of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadOutcome {
    /// It is there.
    Record(SyncMapData),
    /// It was deleted at this time. One who knew it is told so; for others it is missing.
    Deleted(WallTime),
    /// There is none: the subscription is undone with `notFound`.
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

/// What was found for a filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordList {
    /// The records, and those that have stopped to match with the fields by which they did.
    pub records: Vec<SyncMapData>,
    /// The ids of records that were deleted since the time that was asked for, and when.
    pub gone: Vec<(Arc<str>, WallTime)>,
}

impl From<Vec<SyncMapData>> for RecordList {
    fn from(records: Vec<SyncMapData>) -> Self {
        Self { records, gone: Vec::new() }
    }
}

/// What an edit came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EditOutcome {
    /// It was done: the subscribers get the fields as they came. `()` and `true` are short for it.
    All,
    /// Only these fields were written, or at another time than the action's: later writes were known, or one at the very same time. The
    /// subscribers get these; where the time is another one, the author too.
    Fields {
        /// The fields with their values.
        won: JsonObject,
        /// When they count as written.
        time: WallTime,
    },
    /// There is nothing to tell. `false` is short for it.
    Nothing,
}

impl From<()> for EditOutcome {
    fn from((): ()) -> Self {
        Self::All
    }
}

impl From<bool> for EditOutcome {
    fn from(done: bool) -> Self {
        if done { Self::All } else { Self::Nothing }
    }
}
