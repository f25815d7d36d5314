//! The latest actions and their outcomes.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Instant,
};

use logux::{
    ActionId, Entry,
    action::logux::{PROCESSED, UNDO},
    excerpt, name_excerpt,
    server::HubEvent,
};
use serde::Serialize;

use crate::telemetry::inspector::milliseconds;

/// The largest number of remembered actions.
const MAX_ACTIONS: usize = 1_000;
/// The largest part of an action that is shown, in bytes.
const MAX_JSON: usize = 4_000;
/// The largest number of errors that are shown for one action.
const MAX_ERRORS: usize = 5;
/// The largest part of an error that is shown, in bytes.
const MAX_ERROR: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct ActionHistory {
    latest: VecDeque<Remembered>,
    /// The positions in `latest`, plus `forgotten` at the time of insertion.
    positions: HashMap<ActionId, u64>,
    /// The number of actions that were removed from `latest`.
    forgotten: u64,
}

#[derive(Debug)]
struct Remembered {
    id: ActionId,
    arrived: Instant,
    shown: ShownAction,
}

/// An action as the page shows it.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShownAction {
    /// The change number of its last change.
    change: u64,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// The node id of its author.
    author: String,
    /// The time of its arrival, in milliseconds since the epoch.
    came: u64,
    /// Its JSON, possibly truncated.
    action: String,
    is_kept: bool,
    /// Whether it was removed from the log.
    is_cleaned: bool,
    /// `processed`, `undone`, or `sent` for the server's own actions without a handler request;
    /// `None` while it is in progress.
    outcome: Option<&'static str>,
    /// The reason of its undo.
    reason: Option<String>,
    /// The time until its handler request, in milliseconds.
    waited: Option<f64>,
    /// The time until its answer, in milliseconds.
    took: Option<f64>,
    /// The number of clients that it was sent to.
    clients: Option<usize>,
    /// How many times it was received again.
    again: u32,
    errors: Vec<String>,
    /// The id of its answer: `logux/processed` or `logux/undo`.
    answer: Option<String>,
    /// The id of the action that this one answers.
    answers: Option<String>,
}

impl ActionHistory {
    pub(super) fn record(&mut self, change: u64, now: u64, event: &HubEvent) {
        match event {
            HubEvent::Added(entry) => self.push(change, now, entry),
            HubEvent::Sent(entry, clients) => {
                self.link_answer(change, now, entry);
                self.change(change, &entry.meta.id, |action, _| {
                    action.clients = Some(action.clients.unwrap_or(0) + clients);
                    // A server's own action without a handler request has no other end. With one,
                    // its outcome is set when it is answered.
                    if action.outcome.is_none()
                        && action.waited.is_none()
                        && entry.meta.id.node().is_server()
                    {
                        action.outcome = Some("sent");
                    }
                });
            }
            HubEvent::Processed(entry) => self.end(change, now, entry, "processed", None),
            HubEvent::Undone { entry, reason } => {
                self.end(change, now, entry, "undone", Some(reason))
            }
            HubEvent::Cleaned(entry) => {
                self.change(change, &entry.meta.id, |action, _| action.is_cleaned = true)
            }
            HubEvent::Duplicate(id) => self.change(change, id, |action, _| action.again += 1),
            _ => {}
        }
    }

    pub(super) fn requested(&mut self, change: u64, id: &ActionId) {
        self.change(change, id, |action, arrived| {
            action.waited = Some(milliseconds(arrived.elapsed()))
        });
    }

    pub(super) fn failed(&mut self, change: u64, id: &ActionId, error: &dyn fmt::Display) {
        self.change(change, id, |action, _| {
            if action.errors.len() < MAX_ERRORS {
                action.errors.push(excerpt(&error.to_string(), MAX_ERROR).into_owned());
            }
        });
    }

    /// Returns the actions that changed after this change number, oldest first.
    pub(super) fn after(&self, change: u64) -> Vec<ShownAction> {
        let changed = self.latest.iter().filter(|action| action.shown.change > change);
        changed.map(|action| action.shown.clone()).collect()
    }

    fn push(&mut self, change: u64, now: u64, Entry { action, meta }: &Entry) {
        if self.latest.len() >= MAX_ACTIONS
            && let Some(oldest) = self.latest.pop_front()
        {
            self.positions.remove(&oldest.id);
            self.forgotten += 1;
        }
        let shown = ShownAction {
            change,
            id: name_excerpt(&meta.id.to_string()).into_owned(),
            kind: name_excerpt(action.kind()).into_owned(),
            author: name_excerpt(meta.id.node().as_str()).into_owned(),
            came: now,
            action: excerpt(action.as_json(), MAX_JSON).into_owned(),
            is_kept: meta.added.is_some(),
            is_cleaned: false,
            outcome: None,
            reason: None,
            waited: None,
            took: None,
            clients: None,
            again: 0,
            errors: Vec::new(),
            answer: None,
            answers: None,
        };
        self.positions.insert(meta.id.clone(), self.forgotten + self.latest.len() as u64);
        self.latest.push_back(Remembered { id: meta.id.clone(), arrived: Instant::now(), shown });
    }

    /// Remembers an entry that is an answer, and links it with its action. Answers are not reported
    /// when they are added, only when they are sent.
    fn link_answer(&mut self, change: u64, now: u64, entry: &Entry) {
        // An undo by a client is no answer.
        let is_answer =
            entry.meta.id.node().is_server() && [PROCESSED, UNDO].contains(&entry.action.kind());
        let target = entry.action.str_field("id").filter(|_| is_answer);
        let Some(target) = target.and_then(|id| id.parse::<ActionId>().ok()) else { return };
        if !self.positions.contains_key(&entry.meta.id) {
            self.push(change, now, entry);
        }
        let (answer, answers) = (entry.meta.id.to_string(), target.to_string());
        self.change(change, &entry.meta.id, |action, _| action.answers = Some(answers));
        self.change(change, &target, |action, _| action.answer = Some(answer));
    }

    fn end(
        &mut self,
        change: u64,
        now: u64,
        entry: &Entry,
        outcome: &'static str,
        reason: Option<&str>,
    ) {
        if !self.positions.contains_key(&entry.meta.id) {
            // The action was forged, or was added before the last start or removed from `latest`.
            self.push(change, now, entry);
        }
        self.change(change, &entry.meta.id, |action, arrived| {
            action.outcome = Some(outcome);
            action.reason = reason.map(|reason| excerpt(reason, MAX_ERROR).into_owned());
            action.took = Some(milliseconds(arrived.elapsed()));
        });
    }

    fn change(
        &mut self,
        change: u64,
        id: &ActionId,
        update: impl FnOnce(&mut ShownAction, Instant),
    ) {
        let position = self
            .positions
            .get(id)
            .and_then(|position| usize::try_from(position - self.forgotten).ok());
        if let Some(Remembered { shown, arrived, .. }) =
            position.and_then(|position| self.latest.get_mut(position))
        {
            shown.change = change;
            update(shown, *arrived);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use logux::{Action, Meta};

    use super::*;

    fn entry(n: u32) -> Arc<Entry> {
        let meta = Meta::new(format!("{n} 10:a:b 0").parse().unwrap());
        Arc::new(Entry::new(Action::new(r#"{"type":"say"}"#).unwrap(), meta))
    }

    #[test]
    fn the_latest_actions_are_remembered_with_their_outcomes() {
        let mut actions = ActionHistory::default();
        let entries: Vec<_> = (0..u32::try_from(MAX_ACTIONS).unwrap() + 10).map(entry).collect();
        for (n, entry) in entries.iter().enumerate() {
            actions.record(n as u64 + 1, 0, &HubEvent::Added(entry.clone()));
        }
        assert_eq!((actions.latest.len(), actions.positions.len()), (MAX_ACTIONS, MAX_ACTIONS));
        let last = entries.last().unwrap();
        actions.record(2_001, 0, &HubEvent::Sent(last.clone(), 2));
        actions.record(
            2_002,
            0,
            &HubEvent::Undone { entry: last.clone(), reason: "denied".into() },
        );
        actions.record(2_002, 0, &HubEvent::Cleaned(last.clone()));
        // An action that was removed is added again.
        actions.record(2_003, 0, &HubEvent::Processed(entries[0].clone()));
        let changed = actions.after(2_000);
        let outcomes: Vec<_> =
            changed.iter().map(|action| (&*action.id, action.outcome, action.clients)).collect();
        assert_eq!(
            outcomes,
            [("1009 10:a:b 0", Some("undone"), Some(2)), ("0 10:a:b 0", Some("processed"), None)]
        );
        assert_eq!(
            (changed[0].reason.as_deref(), changed[0].is_cleaned, changed[1].is_cleaned),
            (Some("denied"), true, false)
        );
        assert_eq!(actions.latest.len(), MAX_ACTIONS);
    }

    #[test]
    fn an_action_is_linked_with_its_answer() {
        let mut actions = ActionHistory::default();
        let action = entry(1);
        actions.record(1, 0, &HubEvent::Added(action));
        let answer = |n: u32, json: &str| {
            let meta = Meta::new(format!("{n} server:x 0").parse().unwrap());
            Arc::new(Entry::new(Action::new(json).unwrap(), meta))
        };
        let processed = answer(2, r#"{"type":"logux/processed","id":"1 10:a:b 0"}"#);
        actions.record(2, 0, &HubEvent::Sent(processed, 1));
        let all_of = |actions: &ActionHistory| actions.after(0);
        let links = |actions: &ActionHistory| -> Vec<_> {
            all_of(actions)
                .into_iter()
                .map(|action| (action.id, action.answer, action.answers))
                .collect()
        };
        let (action_id, answer_id) = ("1 10:a:b 0".to_owned(), "2 server:x 0".to_owned());
        assert_eq!(
            links(&actions),
            [
                (action_id.clone(), Some(answer_id.clone()), None),
                (answer_id, None, Some(action_id))
            ]
        );
        // The last answer counts, and one to an unknown action is shown too.
        let undo = answer(3, r#"{"type":"logux/undo","id":"1 10:a:b 0","reason":"error"}"#);
        actions.record(3, 0, &HubEvent::Sent(undo.clone(), 1));
        actions.record(4, 0, &HubEvent::Sent(undo, 2));
        let unknown = answer(5, r#"{"type":"logux/undo","id":"9 10:a:b 0","reason":"error"}"#);
        actions.record(5, 0, &HubEvent::Sent(unknown, 1));
        let all = links(&actions);
        assert_eq!((all.len(), all[0].1.as_deref()), (4, Some("3 server:x 0")));
        let undo = all_of(&actions).into_iter().find(|action| action.id == "3 server:x 0");
        assert_eq!(undo.and_then(|undo| undo.clients), Some(3));
    }
}
