//! Records with fields, in a database: the latest write of each field wins.
//!
//! The types and rules that `logux-sqlite` and `logux-postgres` share. Read [`Record`], [`Field`],
//! [`Write`], then [`RecordState`] (which writes a record accepts, and the time of a deletion),
//! [`Changed`], [`unique_stamp`], [`RecordConfig`] with [`RecordSize`], [`RecordPage`] (a part of a
//! list), and [`matching`].

pub mod matching;
mod pages;
mod size;
mod state;

pub use pages::{
    ListPosition, PAGE_BYTES, PAGE_DELETIONS, PAGE_RECORDS, PositionError, RecordPage,
};
pub use size::{RecordConfig, RecordSize};
pub use state::{Deletion, RecordState, RefusedWrite};

use std::{collections::BTreeSet, sync::Arc};

use crate::{
    action::Stamp,
    json::{Json, JsonObject},
    time::WallTime,
};

/// The result of a creation or change of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// The fields that the write has set, with their values, to be sent to other clients. Empty if
    /// all of them have later writes.
    pub won: JsonObject,
    /// Whether the record existed before the write.
    pub existed: bool,
    /// The stamp of the write, whose time [`unique_stamp`] may have changed.
    pub stamp: Stamp,
}

impl Changed {
    /// Decides a write that was checked: which of its fields win against the fields `known` that
    /// the record has, and its stamp. A write that is repeated after a crash has the result of the
    /// first attempt. O(known · log known + fields).
    pub fn decide(
        state: &RecordState,
        known: &[Field],
        fields: &JsonObject,
        stamp: &Stamp,
    ) -> Self {
        let stamp = unique_stamp(known, fields, stamp);
        let later = known.iter().filter(|field| field.stamp > stamp).map(|field| &*field.key);
        let lost: BTreeSet<&str> = later.collect();
        let mut won = JsonObject::default();
        for (key, value) in fields.iter().filter(|(key, _)| !lost.contains(key)) {
            won.set(key, value.clone());
        }
        let is_repeated = state.touched.as_ref().is_some_and(|touched| *touched == stamp);
        Self { won, existed: state.exists() && !is_repeated, stamp }
    }
}

/// A record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The id within the collection.
    pub id: Arc<str>,
    /// The fields, sorted by key. Only the later ones, if the query asked for these.
    pub fields: Vec<Field>,
    /// The stamp of the last deletion before the record was created again, if that deletion arrived
    /// at the time of the query or later: who knows the record has to delete it first.
    pub recreated_after: Option<Stamp>,
}

impl Record {
    /// Returns `true` if the record has an equal field ([`matching::equal`]) for each field of a
    /// filter. O(fields of the record · fields of the filter).
    pub fn matches(&self, filter: &JsonObject) -> bool {
        let has = |(key, value): (&str, &Json)| {
            self.fields
                .iter()
                .any(|field| *field.key == *key && matching::equal(&field.value, value))
        };
        filter.iter().all(has)
    }

    /// Keeps the fields with writes that arrived at `since` or later. O(fields).
    pub fn retain_since(&mut self, since: WallTime) {
        self.fields.retain(|field| field.arrived >= since);
    }

    /// Keeps what a subscriber with a filter, which the record matches, has missed since a time:
    /// the fields that arrived since then, or all, if one of the filter is among them. Then the
    /// record may not have matched before, and the subscriber may have none of its fields.
    /// O(fields).
    pub fn retain_missed(&mut self, filter: &JsonObject, since: WallTime) {
        let may_be_new = |field: &Field| field.arrived >= since && filter.get(&field.key).is_some();
        if !self.fields.iter().any(may_be_new) {
            self.retain_since(since);
        }
    }

    /// Keeps the fields that show a subscriber that the record does not match a filter any more:
    /// those of the filter. O(fields of the record · fields of the filter).
    pub fn retain_filtered(&mut self, filter: &JsonObject) {
        self.fields.retain(|field| filter.get(&field.key).is_some());
    }
}

/// A field of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// The key.
    pub key: Arc<str>,
    /// The value, with the text of the write unchanged.
    pub value: Json,
    /// The stamp of the write.
    pub stamp: Stamp,
    /// The time at which the write arrived, by the clock of this node.
    pub arrived: WallTime,
}

/// The stamp of a write, and the time at which it arrived at this node.
///
/// The stamp decides which write wins. The arrival time decides which writes a device misses that
/// was offline: a write that another device made offline arrives after writes with later stamps. A
/// write that is converted from a [`Stamp`] arrives at its own time.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// The stamp of the action that writes.
    pub stamp: &'a Stamp,
    /// The arrival time, by the clock of this node.
    pub arrived: WallTime,
}

impl Write<'_> {
    /// Returns the corrected time of the write.
    pub const fn time(&self) -> WallTime {
        self.stamp.time()
    }
}

impl<'a> From<&'a Stamp> for Write<'a> {
    fn from(stamp: &'a Stamp) -> Self {
        Self { stamp, arrived: stamp.time() }
    }
}

/// Returns the stamp for a write of `fields` to a record that has the fields `known`, so that no
/// two writes of a field have the same time.
///
/// The official clients break a tie by the id of the action that they receive from the server, and
/// this id differs between clients. Therefore, of two writes of a field in the same millisecond,
/// the one that arrives second gets a later time, and its author has to receive this time. A write
/// that is repeated after a crash keeps the stamp of the first attempt. O(known · log known).
///
/// ```
/// use logux::{Stamp, WallTime, json::JsonObject, record::{Field, unique_stamp}};
///
/// let stamp = |text: &str| Stamp::new(WallTime::from_millis(5), text.parse().unwrap());
/// let fields = JsonObject::from_json(r#"{"title":"Tea"}"#)?;
/// let value = fields.get("title").unwrap().clone();
/// let arrived = WallTime::from_millis(9);
/// let known = [Field { key: "title".into(), value, stamp: stamp("5 a 0"), arrived }];
/// assert_eq!(unique_stamp(&known, &fields, &stamp("5 b 0")).time(), WallTime::from_millis(6));
/// assert_eq!(unique_stamp(&known, &fields, &stamp("5 a 0")).time(), WallTime::from_millis(5));
/// # Ok::<(), logux::json::JsonError>(())
/// ```
pub fn unique_stamp(known: &[Field], fields: &JsonObject, stamp: &Stamp) -> Stamp {
    let overwritten = || known.iter().filter(|field| fields.get(&field.key).is_some());
    if let Some(first_attempt) = overwritten().find(|field| field.stamp.id() == stamp.id()) {
        return first_attempt.stamp.clone();
    }
    let taken: BTreeSet<WallTime> = overwritten().map(|field| field.stamp.time()).collect();
    let mut time = stamp.time();
    while taken.contains(&time) && time < WallTime::MAX {
        time = time.shifted(1);
    }
    Stamp::new(time, stamp.id().clone())
}
