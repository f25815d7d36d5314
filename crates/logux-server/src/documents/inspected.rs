//! Documents for the page of the inspector: lists, and what there is about one document.
//!
//! The page sends one of these queries to `/inspector/documents.json`:
//!
//! | Query | Answer |
//! | --- | --- |
//! | `kind&limit&after&creator&deleted` | `kinds`, and the documents of a kind: of the first one without `kind` |
//! | `kind&id&known` | a document; its state and latest actions only if its position is not `known` |
//! | `kind&id&before` | actions before a position |
//! | `kind&id&position` | the state at a position, and the differences to now |

use std::time::Duration;

use futures_util::future::BoxFuture;
use hyper::StatusCode;
use logux::{Json, NodeId, action::Moment, excerpt, server::ArchivedEntry};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use crate::{
    documents::{
        commands::Listed,
        history::{History, described, latest_position},
        http::{Refusal, failed, whole},
        query::Query,
        service::Documents,
    },
    error::HandlerError,
    hub::handle::Handle,
};

/// The path of the requests.
const PATH: &str = "/inspector/documents.json";
/// The longest time for an answer. Then it is the error `unavailable`.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest number of people in a document that are shown.
const MAX_PEOPLE: usize = 100;
/// The number of actions in a page.
const ACTIONS: usize = 30;
/// The largest JSON of a state, or of differences, that the page receives, in bytes.
const MAX_VALUE: usize = 1_000_000;
/// The largest number of operations of an action that are shown.
const MAX_OPS: usize = 20;
/// The largest part of an operation that is shown, in bytes.
const MAX_OP: usize = 400;

/// Answers a request of the page.
pub(super) fn answer(server: Handle, query: String) -> BoxFuture<'static, (StatusCode, Value)> {
    Box::pin(async move {
        let query = Query::new(&query);
        let answer = timeout(TIMEOUT, respond(&server, &query)).await.unwrap_or_else(|_| {
            let message = "the server is busy".to_owned();
            Err((StatusCode::SERVICE_UNAVAILABLE, "unavailable".to_owned(), message))
        });
        whole(answer.map(|value| (StatusCode::OK, value)))
    })
}

async fn respond(server: &Handle, query: &Query<'_>) -> Result<Value, Refusal> {
    let kinds = server.document_kinds();
    let kind = query.text("kind").or_else(|| kinds.first().map(|kind| &**kind));
    let documents = kind.and_then(|kind| server.documents(kind));
    let documents = documents.ok_or_else(|| failed(server, PATH, &HandlerError::NotFound))?;
    let inspected = Inspected { server, documents };
    let fail = |error: HandlerError| failed(server, PATH, &error);
    let Some(id) = query.text("id") else {
        let mut list = inspected.list(query).await?;
        list["kinds"] = json!(kinds);
        return Ok(list);
    };
    if let Some(before) = query.number("before")? {
        return inspected.actions(id, Some(before)).await.map_err(fail);
    }
    match query.number("position")? {
        Some(position) => inspected.state_at(id, position).await.map_err(fail),
        None => inspected.document(id, query.number("known")?).await.map_err(fail),
    }
}

struct Inspected<'a> {
    server: &'a Handle,
    documents: Documents,
}

impl Inspected<'_> {
    async fn list(&self, query: &Query<'_>) -> Result<Value, Refusal> {
        let page = self.documents.list(&query.list()?).await;
        let page = page.map_err(|error| failed(self.server, PATH, &error))?;
        let channel = |id: &str| self.documents.key(id).channel().clone();
        let channels = page.entries.iter().map(|entry| channel(&entry.id)).collect();
        let presence = self.server.presence(channels, 0).await;
        let mut listed = Vec::new();
        for (index, entry) in page.entries.into_iter().enumerate() {
            let mut document = json!(Listed::from(entry));
            document["present"] = presence.get(index).map_or(0, |channel| channel.present).into();
            listed.push(document);
        }
        let next = page.next.map(|next| next.to_string());
        Ok(json!({"kind": self.documents.kind(), "documents": listed, "after": next}))
    }

    async fn document(&self, id: &str, known: Option<u64>) -> Result<Value, HandlerError> {
        let entry = self.documents.find(id).await?.ok_or(HandlerError::NotFound)?;
        let key = self.documents.key(id);
        let position = latest_position(&key, &self.documents.storage(), self.server).await?;
        let channel = key.channel().clone();
        let presence = self.server.presence(vec![channel], MAX_PEOPLE).await.pop();
        let presence = presence.unwrap_or_default();
        let person = |(node, state): &(NodeId, Json)| json!({"node": node.as_str(), "user": node.client_user_id(), "state": state.as_str()});
        let mut answer = json!({
            "kind": self.documents.kind(),
            "document": Listed::from(entry),
            "position": position,
            "versions": self.documents.versions(id).await?,
            "people": presence.states.iter().map(person).collect::<Vec<_>>(),
            "present": presence.present,
            "subscribers": presence.subscribers,
        });
        if known.is_none() || position != known {
            // A deleted document shows nothing.
            if let Some(value) = self.documents.json(id).await? {
                set_bounded(&mut answer, "value", value);
            }
            answer["actions"] = self.actions(id, None).await?;
        }
        Ok(answer)
    }

    async fn actions(&self, id: &str, before: Option<u64>) -> Result<Value, HandlerError> {
        let (key, storage) = (self.documents.key(id), self.documents.storage());
        let history = History::read(key, storage, self.server).await?;
        let (entries, before) = history.actions(before, ACTIONS).await?;
        let entries: Vec<_> = entries.iter().map(shown).collect();
        Ok(json!({"entries": entries, "before": before}))
    }

    async fn state_at(&self, id: &str, position: u64) -> Result<Value, HandlerError> {
        let then = Moment::Position(position);
        let (position, value) = self.documents.json_at(id, then.clone()).await?;
        let changes = self.documents.changes(id, then, Moment::Position(u64::MAX)).await?;
        let mut answer = json!({ "position": position });
        set_bounded(&mut answer, "value", value);
        set_bounded(&mut answer, "changes", changes);
        Ok(answer)
    }
}

/// Adds a value, and its size as JSON in bytes as `NAMEBytes`. A value that is too large is left
/// out.
fn set_bounded(answer: &mut Value, name: &str, value: Value) {
    let bytes = value.to_string().len();
    answer[format!("{name}Bytes")] = bytes.into();
    if bytes <= MAX_VALUE {
        answer[name] = value;
    }
}

/// Returns an action as the page shows it: what the history says, and its operations.
fn shown(entry: &ArchivedEntry) -> Value {
    // Plain values always serialize.
    let mut shown = serde_json::to_value(described(entry)).unwrap_or_default();
    let ops = entry.entry.action.field("ops").and_then(|ops| serde_json::from_str(ops).ok());
    let ops: Vec<Value> = ops.unwrap_or_default();
    shown["operations"] = ops.len().into();
    shown["ops"] = ops.into_iter().take(MAX_OPS).map(operation).collect();
    if let Some(restored) = entry.entry.action.field("restores") {
        shown["restores"] = serde_json::from_str(restored).unwrap_or_default();
    }
    shown
}

/// Returns an operation as its name, its path, and a text with the rest, possibly truncated.
fn operation(op: Value) -> Value {
    let mut fields = match op {
        Value::Object(fields) => fields,
        other => Map::from_iter([("value".to_owned(), other)]),
    };
    let mut take = |name: &str| match fields.remove(name) {
        Some(Value::String(text)) => Some(excerpt(&text, MAX_OP).into_owned()),
        Some(other) => Some(excerpt(&other.to_string(), MAX_OP).into_owned()),
        None => None,
    };
    let (op, path) = (take("op"), take("path"));
    let rest = if fields.is_empty() { String::new() } else { Value::from(fields).to_string() };
    json!({"op": op, "path": path, "rest": excerpt(&rest, MAX_OP)})
}
