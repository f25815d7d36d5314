//! What the client is subscribed to, to be asked for again at the next connection.

use std::collections::{HashMap, HashSet};

use indexmap::IndexMap;

use crate::{
    action::{Action, ActionError, ActionId, Stamp, logux},
    json::{Cursor, Json, JsonError, key_is},
    store::Entry,
};

/// Subscriptions that the server has confirmed, and those it is still asked for.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    /// By the JSON of the `logux/subscribe` without `since`: how many times, and when the server last confirmed it.
    confirmed: IndexMap<String, (usize, Stamp)>,
    asked: HashMap<ActionId, Action>,
    leaving: HashMap<ActionId, Action>,
    /// Asked for, and over before they were answered. They may be sent again for their answers.
    over: HashSet<ActionId>,
}

impl Subscriptions {
    /// An own action is about to be sent.
    pub(super) fn sent(&mut self, id: &ActionId, action: &Action) {
        match action.kind() {
            logux::SUBSCRIBE if self.over.contains(id) => {}
            logux::SUBSCRIBE => drop(self.asked.insert(id.clone(), action.clone())),
            logux::UNSUBSCRIBE => drop(self.leaving.insert(id.clone(), action.clone())),
            _ => {}
        }
    }

    /// The server has done what an own action asked for.
    pub(super) fn processed(&mut self, id: &ActionId, answer: &Entry) {
        self.over.remove(id);
        let stamp = answer.meta.stamp();
        if let Some(action) = self.asked.remove(id) {
            let (times, last) =
                self.confirmed.entry(without(&action, "since")).or_insert((0, stamp.clone()));
            *times += 1;
            *last = stamp;
        } else if let Some(action) = self.leaving.remove(id) {
            let key = subscribed_key(&without(&action, "since"));
            let came_before =
                |other: &ActionId| (other.time(), other.sequence()) < (id.time(), id.sequence());
            let is_over = |other: &ActionId, action: &mut Action| {
                came_before(other) && without(action, "since") == key
            };
            self.over.extend(self.asked.extract_if(is_over).map(|(id, _)| id));
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

    /// The server has not done what an own action asked for.
    pub(super) fn undone(&mut self, id: &ActionId) {
        self.over.remove(id);
        self.asked.remove(id);
        self.leaving.remove(id);
    }

    /// What to ask for at a new connection: every confirmed subscription, since it was confirmed last. One that is about to be ended was asked to end
    /// before, and stays so.
    pub(super) fn again(&mut self) -> Vec<Result<Action, ActionError>> {
        let leaving: HashSet<String> =
            self.leaving.values().map(|action| subscribed_key(&without(action, "since"))).collect();
        let (left, confirmed): (IndexMap<_, _>, IndexMap<_, _>) =
            std::mem::take(&mut self.confirmed)
                .into_iter()
                .partition(|(json, _)| leaving.contains(json));
        self.confirmed = left;
        let again = |(json, (_, last)): (String, (usize, Stamp))| {
            let since = logux::Since { id: last.id().to_string(), time: last.time().as_millis() };
            let since = Json::from_value(&since).map_err(ActionError::Write)?;
            Action::new(format!("{},\"since\":{since}}}", json.strip_suffix('}').unwrap_or(&json)))
        };
        confirmed.into_iter().map(again).collect()
    }
}

/// The JSON of an action without one of its fields.
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
    // An action is JSON that was checked.
    debug_assert!(walked.is_ok(), "an action is a JSON object");
    json.push('}');
    json
}

/// The subscription that an unsubscription, given by its JSON, ends: the same but for the type.
fn subscribed_key(unsubscribe: &str) -> String {
    unsubscribe.replacen("\"logux/unsubscribe\"", "\"logux/subscribe\"", 1)
}
