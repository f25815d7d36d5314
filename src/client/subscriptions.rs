//! The subscriptions of a client, which are requested again at the next connection.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::{
    action::{Action, ActionError, ActionId, Stamp, logux},
    json::{Cursor, Json, JsonError, key_is},
    store::Entry,
};

/// The subscriptions that the server has confirmed, and those that it has not answered yet.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By the JSON of the `logux/subscribe` without `since`: the number of confirmed subscriptions,
    /// and the stamp of the last confirmation.
    confirmed: IndexMap<String, (usize, Stamp)>,
    asked: HashMap<ActionId, Action>,
    leaving: HashMap<ActionId, Action>,
    /// Subscriptions that were ended before they were answered. They may be sent again, for their
    /// answers.
    ended: HashSet<ActionId>,
}

impl Subscriptions {
    /// Records an own action that is about to be sent.
    pub(super) fn sent(&mut self, id: &ActionId, action: &Action) {
        match action.kind() {
            logux::SUBSCRIBE if self.ended.contains(id) => {}
            logux::SUBSCRIBE => drop(self.asked.insert(id.clone(), action.clone())),
            logux::UNSUBSCRIBE => drop(self.leaving.insert(id.clone(), action.clone())),
            _ => {}
        }
    }

    /// Records that the server has processed an own action.
    pub(super) fn processed(&mut self, id: &ActionId, answer: &Entry) {
        self.ended.remove(id);
        let stamp = answer.meta.stamp();
        if let Some(action) = self.asked.remove(id) {
            let (times, last) =
                self.confirmed.entry(without(&action, "since")).or_insert((0, stamp.clone()));
            *times += 1;
            *last = stamp;
        } else if let Some(action) = self.leaving.remove(id) {
            let key = subscribed_key(&without(&action, "since"));
            let is_earlier =
                |other: &ActionId| (other.time(), other.sequence()) < (id.time(), id.sequence());
            let is_ended = |other: &ActionId, action: &mut Action| {
                is_earlier(other) && without(action, "since") == key
            };
            self.ended.extend(self.asked.extract_if(is_ended).map(|(id, _)| id));
            let found = self.confirmed.get_index_of(&key);
            if let Some(index) = found {
                let times = &mut self.confirmed[index].0;
                *times -= 1;
                if *times == 0 {
                    self.confirmed.shift_remove_index(index);
                }
            }
        }
    }

    /// Records that the server has undone an own action.
    pub(super) fn undone(&mut self, id: &ActionId) {
        self.ended.remove(id);
        self.asked.remove(id);
        self.leaving.remove(id);
    }

    /// Returns the actions that subscribe again at a new connection: one for every confirmed
    /// subscription, with `since` of its last confirmation. A subscription that is about to end is
    /// left out: its `logux/unsubscribe` was sent, and is not answered yet.
    pub(super) fn resubscriptions(&mut self) -> Vec<Result<Action, ActionError>> {
        let leaving: HashSet<String> =
            self.leaving.values().map(|action| subscribed_key(&without(action, "since"))).collect();
        let (ending, confirmed): (IndexMap<_, _>, IndexMap<_, _>) =
            std::mem::take(&mut self.confirmed)
                .into_iter()
                .partition(|(json, _)| leaving.contains(json));
        self.confirmed = ending;
        let resubscribe = |(json, (_, last)): (String, (usize, Stamp))| {
            let since = logux::Since { id: last.id().to_string(), time: last.time().as_millis() };
            let since = Json::from_value(&since).map_err(ActionError::Write)?;
            Action::new(format!("{},\"since\":{since}}}", json.strip_suffix('}').unwrap_or(&json)))
        };
        confirmed.into_iter().map(resubscribe).collect()
    }
}

/// Returns the JSON of an action without one of its fields.
fn without(action: &Action, name: &str) -> String {
    let mut json = String::from("{");
    let walked: Result<_, JsonError> = Cursor::new(action.as_json()).object(|cursor, key| {
        let value = cursor.value()?;
        if !key_is(key, name) {
            if json.len() > 1 {
                json.push(',');
            }
            json.extend([key, ":", value]);
        }
        Ok(())
    });
    // The JSON of an action was checked when the action was created.
    debug_assert!(walked.is_ok(), "an action is a JSON object");
    json.push('}');
    json
}

/// Returns the key of the subscription that a `logux/unsubscribe` with this JSON ends: the same
/// JSON with the other type.
fn subscribed_key(unsubscribe: &str) -> String {
    unsubscribe.replacen("\"logux/unsubscribe\"", "\"logux/subscribe\"", 1)
}
