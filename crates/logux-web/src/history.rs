//! What the log of this device has: its entries, and former states of open documents.

use core::ops::ControlFlow;

use logux::{
    Action, ActionId, Entry, Json,
    client::Client,
    crdt::{Crdt, Document, Shared},
    replay::{Timeline, TimelineSet},
    store::{JournalStore, Query},
};
use serde::Serialize;

use crate::call::CallError;

/// An entry of the log.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    id: String,
    action: Action,
    /// In milliseconds since the epoch, by the clock of this device.
    time: i64,
    added: u64,
    reasons: Vec<String>,
    fate: &'static str,
}

/// A position in the history of a document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Position {
    id: String,
    time: i64,
    is_undone: bool,
}

/// Returns all entries of the log in their order: `[{"id","action","time","added","reasons",
/// "fate"}]`. O(n).
pub(crate) fn entries(client: &Client<JournalStore, TimelineSet>) -> Result<Json, CallError> {
    let (mut entries, timelines) = (Vec::new(), client.log().observer());
    let is_undone = |entry: &Entry| {
        entry.meta.indexes.iter().any(|name| {
            let timeline = timelines.timeline::<Shared<Document>>(name);
            timeline.is_some_and(|timeline| timeline.is_undone(&entry.meta.id))
        })
    };
    client.log().walk(&Query::created().oldest_first(), |entry| {
        let is_waiting = entry.meta.reasons.iter().any(|reason| &**reason == "syncing");
        entries.push(LogEntry {
            id: entry.meta.id.to_string(),
            action: entry.action.clone(),
            time: entry.meta.time.as_millis(),
            added: entry.meta.added.unwrap_or_default(),
            reasons: entry.meta.reasons.iter().map(ToString::to_string).collect(),
            fate: match () {
                () if is_undone(entry) => "undone",
                () if is_waiting => "waiting",
                () => "processed",
            },
        });
        ControlFlow::Continue(())
    })?;
    Ok(Json::from_value(&entries)?)
}

/// Returns the positions of a document to which this device can go back, oldest first:
/// `[{"id","time","isUndone"}]`.
pub(crate) fn positions(timeline: &Timeline<Shared<Document>>) -> Result<Json, CallError> {
    let positions = timeline.history().map(|(stamp, is_in_effect)| Position {
        id: stamp.id().to_string(),
        time: stamp.time().as_millis(),
        is_undone: !is_in_effect,
    });
    Ok(Json::from_value(&positions.collect::<Vec<_>>())?)
}

/// Returns the state of a document right after an action.
pub(crate) fn state_at(
    timeline: &Timeline<Shared<Document>>,
    id: &str,
) -> Result<Option<Json>, CallError> {
    let Ok(id) = id.parse::<ActionId>() else { return Ok(None) };
    let position = timeline.history().find(|(stamp, _)| *stamp.id() == id);
    let state = position.map(|(stamp, _)| timeline.state_at(stamp));
    Ok(state.map(|state| Json::from_value(&state.to_json())).transpose()?)
}
