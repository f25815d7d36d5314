//! What the checks share: a storage, the fields to write to it, and contexts for its methods.

use std::{collections::BTreeMap, sync::Arc};

use logux::{
    Action, ActionId, Entry, Json, Meta, NodeId, Stamp, WallTime,
    json::JsonObject,
    server::{Author, HandlerRequest},
};
use logux_net::drive::Clock;
use tokio::sync::mpsc;

use crate::{
    error::HandlerError,
    handlers::{context::Context, pattern::Params},
    hub::{application::AuthorConnection, handle::Handle},
    sync_map::{
        SyncMap, SyncMapFilter, Write,
        data::{EditOutcome, LoadOutcome, RecordList, SyncMapData},
    },
    telemetry::Telemetry,
};

/// The origin of the checks' times, so that a storage may assume realistic ones.
const EPOCH: i64 = 1_700_000_000_000;

/// One storage under test.
pub(super) struct Kit<S, M> {
    state: Arc<S>,
    pub(super) storage: M,
    /// The fields of a record.
    pub(super) one: JsonObject,
    /// Other values of the same fields.
    pub(super) other: JsonObject,
}

/// A write: made at `time` by `node`, arrived at `arrived`; milliseconds since [`EPOCH`].
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) time: i64,
    pub(super) node: &'static str,
    pub(super) arrived: i64,
}

/// Returns a write of the default node that arrives when it is made.
pub(super) const fn at(time: i64) -> At {
    At { time, node: "10:phone:tab", arrived: time }
}

pub(super) const fn wall(time: i64) -> WallTime {
    WallTime::from_millis(EPOCH + time)
}

impl At {
    pub(super) const fn by(self, node: &'static str) -> Self {
        Self { node, ..self }
    }

    pub(super) const fn arriving(self, arrived: i64) -> Self {
        Self { arrived, ..self }
    }

    pub(super) fn stamp(self) -> Stamp {
        let node = NodeId::new(self.node).expect("a node id");
        Stamp::new(wall(self.time), ActionId::new(wall(self.time), node, 0))
    }
}

impl<S: Send + Sync + 'static, M: SyncMap<S>> Kit<S, M> {
    pub(super) fn new(state: Arc<S>, fields: [&str; 2], storage: M) -> Self {
        let [one, other] =
            fields.map(|json| JsonObject::from_json(json).expect("fields are a JSON object"));
        let different =
            |(key, value): (&str, &Json)| other.get(key).is_some_and(|other| other != value);
        assert!(
            one.iter().count() == other.iter().count() && one.iter().all(different),
            "expected equal keys and different values"
        );
        assert!(one.iter().count() > 1, "expected at least two fields");
        Self { state, storage, one, other }
    }

    /// Returns the context of a handler.
    fn context(&self, stamp: &Stamp, action: &str) -> Context<S> {
        let mut meta = Meta::new(stamp.id().clone());
        meta.time = stamp.time();
        let node = stamp.id().node().clone();
        let author = Author { node, subprotocol: None, headers: None, session: None };
        let request = HandlerRequest::notice(
            Entry::new(Action::new(action).expect("an action"), meta),
            author,
        );
        let handle = Handle::new(
            stamp.id().node().clone(),
            mpsc::channel(1).0,
            <_>::default(),
            Clock::start(),
            Telemetry::default(),
        );
        Context::new(request, Params::new(), AuthorConnection::none(), self.state.clone(), handle)
    }

    pub(super) async fn create(&self, id: &str, fields: &JsonObject, at: At) -> EditOutcome {
        self.try_create(id, fields, at).await.expect("created")
    }

    /// Creates a record, or returns `None` if that is refused with `notFound`.
    pub(super) async fn try_create(
        &self,
        id: &str,
        fields: &JsonObject,
        at: At,
    ) -> Option<EditOutcome> {
        let (context, stamp) = self.edit("create", id, Some(fields), at);
        let write = Write { stamp: &stamp, arrived: wall(at.arrived) };
        accepted(self.storage.create(&context, id, fields, write).await)
    }

    pub(super) async fn change(&self, id: &str, fields: &JsonObject, at: At) -> EditOutcome {
        self.try_change(id, fields, at).await.expect("changed")
    }

    /// Changes a record, or returns `None` if that is refused with `notFound`.
    pub(super) async fn try_change(
        &self,
        id: &str,
        fields: &JsonObject,
        at: At,
    ) -> Option<EditOutcome> {
        let (context, stamp) = self.edit("change", id, Some(fields), at);
        let write = Write { stamp: &stamp, arrived: wall(at.arrived) };
        accepted(self.storage.change(&context, id, fields, write).await)
    }

    /// Deletes a record. Returns the time of the deletion in milliseconds since [`EPOCH`].
    pub(super) async fn delete(&self, id: &str, at: At) -> Option<i64> {
        let (context, stamp) = self.edit("delete", id, None, at);
        let write = Write { stamp: &stamp, arrived: wall(at.arrived) };
        let deleted = self.storage.delete(&context, id, write).await.expect("deleted");
        deleted.map(|time| time.since(wall(0)))
    }

    fn edit(
        &self,
        operation: &str,
        id: &str,
        fields: Option<&JsonObject>,
        at: At,
    ) -> (Context<S>, Stamp) {
        let mut action = JsonObject::default();
        action.set("type", Json::from_value(&format!("records/{operation}")).expect("JSON"));
        action.set("id", Json::from_value(id).expect("JSON"));
        if let Some(fields) = fields {
            action.set("fields", Json::new(fields.to_json()).expect("JSON"));
        }
        let stamp = at.stamp();
        (self.context(&stamp, &action.to_json()), stamp)
    }

    pub(super) async fn load(&self, id: &str, since: Option<i64>) -> LoadOutcome {
        let action = format!(r#"{{"type":"logux/subscribe","channel":"records/{id}"}}"#);
        let context = self.context(&at(0).stamp(), &action);
        self.storage.load(&context, id, since.map(wall)).await.expect("loaded")
    }

    /// Returns the fields of a record, if it exists.
    pub(super) async fn fields(&self, id: &str) -> Option<Values> {
        match self.load(id, None).await {
            LoadOutcome::Record(record) => Some(self.values(&record)),
            _ => None,
        }
    }

    /// Returns the fields that the checks know; a storage may have others.
    pub(super) fn values(&self, record: &SyncMapData) -> Values {
        let known_fields = record.fields.iter().filter(|(key, ..)| self.one.get(key).is_some());
        known_fields.map(|(key, value, _)| (key.to_string(), parsed(value))).collect()
    }

    /// Returns only the n-th field.
    pub(super) fn only(&self, fields: &JsonObject, n: usize) -> JsonObject {
        let (key, value) = fields.iter().nth(n).expect("expected at least two fields");
        let mut only = JsonObject::default();
        only.set(key, value.clone());
        only
    }
}

impl<S: Send + Sync + 'static, M: SyncMap<S> + SyncMapFilter<S>> Kit<S, M> {
    pub(super) async fn list(&self, filter: &JsonObject, since: Option<i64>) -> RecordList {
        let action = format!(
            r#"{{"type":"logux/subscribe","channel":"records","filter":{}}}"#,
            filter.to_json()
        );
        let context = self.context(&at(0).stamp(), &action);
        let list = self.storage.list(&context, filter, since.map(wall)).await.expect("listed");
        let (pages, _) = self.pages(&context, filter, since).await;
        assert_eq!(sorted(pages), sorted(list.clone()), "the pages have what the list has");
        list
    }

    /// Returns the records and deletions of all pages, and the number of pages.
    pub(super) async fn pages(
        &self,
        context: &Context<S>,
        filter: &JsonObject,
        since: Option<i64>,
    ) -> (RecordList, usize) {
        let (mut all, mut count) = (RecordList::default(), 0);
        loop {
            let (since, after) = (since.map(wall), all.next.as_deref());
            let page = self.storage.list_page(context, filter, since, after).await.expect("listed");
            all.records.extend(page.records);
            all.deleted.extend(page.deleted);
            all.next = page.next;
            count += 1;
            if all.next.is_none() {
                return (all, count);
            }
            assert!(count < 1_000, "the pages of a list end");
        }
    }

    /// Returns the context of a subscription to all records.
    pub(super) fn subscription(&self) -> Context<S> {
        self.context(&at(0).stamp(), r#"{"type":"logux/subscribe","channel":"records"}"#)
    }

    /// Returns the ids of the records that match, sorted.
    pub(super) async fn ids(&self, filter: &JsonObject) -> Vec<String> {
        let mut ids: Vec<_> = self
            .list(filter, None)
            .await
            .records
            .iter()
            .map(|record| record.id.to_string())
            .collect();
        ids.sort();
        ids
    }
}

fn accepted(written: Result<EditOutcome, HandlerError>) -> Option<EditOutcome> {
    match written {
        Ok(outcome) => Some(outcome),
        Err(HandlerError::NotFound) => None,
        Err(error) => panic!("expected a write or `notFound`, got {error:?}"),
    }
}

fn sorted(mut list: RecordList) -> RecordList {
    list.records.sort_by(|a, b| a.id.cmp(&b.id));
    list.deleted.sort();
    list
}

/// Fields by their keys, compared as JSON.
pub(super) type Values = BTreeMap<String, serde_json::Value>;

pub(super) fn values(fields: &JsonObject) -> Values {
    fields.iter().map(|(key, value)| (key.to_owned(), parsed(value))).collect()
}

/// Parses a value for comparison; one that is not a valid Rust string is compared by its source
/// text.
pub(super) fn parsed(value: &Json) -> serde_json::Value {
    value.parse().unwrap_or_else(|_| value.as_str().into())
}
