//! The latest actions and what became of them.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::Instant,
};

use logux::{ActionId, Entry, server::HubEvent};
use serde::Serialize;

use crate::telemetry::inspector::milliseconds;

/// How many actions are remembered.
const MAX_ACTIONS: usize = 500;
/// How much of an action is shown, in bytes.
const MAX_JSON: usize = 4_000;
/// How many errors of one action are shown.
const MAX_ERRORS: usize = 5;
/// How much of an error is shown, in bytes.
const MAX_ERROR: usize = 1_000;

#[derive(Debug, Default)]
pub(super) struct Actions {
    latest: VecDeque<Remembered>,
    /// Places in `latest`, counted from the beginning of time.
    places: HashMap<ActionId, u64>,
    /// How many were forgotten.
    forgotten: u64,
}

#[derive(Debug)]
struct Remembered {
    id: ActionId,
    came: Instant,
    shown: ShownAction,
}

/// An action for the page.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ShownAction {
    /// When it changed last.
    change: u64,
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// The node that made it.
    author: String,
    /// When it came, ms since the epoch.
    came: u64,
    /// Its JSON, or the beginning of it.
    action: String,
    is_kept: bool,
    /// Whether it was kept, and is forgotten.
    is_cleaned: bool,
    /// `processed`, `undone`, `sent` for one of the application that nobody is asked about; `None` while it is in progress.
    outcome: Option<&'static str>,
    /// Why it was undone.
    reason: Option<String>,
    /// How long it waited until the application was asked, ms.
    waited: Option<f64>,
    /// How long it took until it was answered, ms.
    took: Option<f64>,
    /// To how many clients it was sent.
    clients: Option<usize>,
    /// How often it came again.
    again: u32,
    errors: Vec<String>,
}

impl Actions {
    pub(super) fn record(&mut self, change: u64, now: u64, report: &HubEvent) {
        match report {
            HubEvent::Added(entry) => self.push(change, now, entry),
            HubEvent::Sent(entry, clients) => self.change(change, &entry.meta.id, |action, _| {
                action.clients = Some(action.clients.unwrap_or(0) + clients);
                // An own action that is not asked about has no other end; one that is loses this at the question.
                if action.outcome.is_none()
                    && action.waited.is_none()
                    && entry.meta.id.node().is_server()
                {
                    action.outcome = Some("sent");
                }
            }),
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
        self.change(change, id, |action, came| action.waited = Some(milliseconds(came.elapsed())));
    }

    pub(super) fn failed(&mut self, change: u64, id: &ActionId, error: &dyn fmt::Display) {
        self.change(change, id, |action, _| {
            if action.errors.len() < MAX_ERRORS {
                action.errors.push(beginning(&error.to_string(), MAX_ERROR));
            }
        });
    }

    /// Those that changed after this, oldest first.
    pub(super) fn after(&self, change: u64) -> Vec<ShownAction> {
        let changed = self.latest.iter().filter(|action| action.shown.change > change);
        changed.map(|action| action.shown.clone()).collect()
    }

    fn push(&mut self, change: u64, now: u64, Entry { action, meta }: &Entry) {
        if self.latest.len() >= MAX_ACTIONS
            && let Some(oldest) = self.latest.pop_front()
        {
            self.places.remove(&oldest.id);
            self.forgotten += 1;
        }
        let shown = ShownAction {
            change,
            id: meta.id.to_string(),
            kind: beginning(action.kind(), MAX_ERROR),
            author: meta.id.node().as_str().to_owned(),
            came: now,
            action: beginning(action.as_json(), MAX_JSON),
            is_kept: meta.added.is_some(),
            is_cleaned: false,
            outcome: None,
            reason: None,
            waited: None,
            took: None,
            clients: None,
            again: 0,
            errors: Vec::new(),
        };
        self.places.insert(meta.id.clone(), self.forgotten + self.latest.len() as u64);
        self.latest.push_back(Remembered { id: meta.id.clone(), came: Instant::now(), shown });
    }

    fn end(
        &mut self,
        change: u64,
        now: u64,
        entry: &Entry,
        outcome: &'static str,
        reason: Option<&str>,
    ) {
        if !self.places.contains_key(&entry.meta.id) {
            // A forged one, or one from before the last start.
            self.push(change, now, entry);
        }
        self.change(change, &entry.meta.id, |action, came| {
            action.outcome = Some(outcome);
            action.reason = reason.map(|reason| beginning(reason, MAX_ERROR));
            action.took = Some(milliseconds(came.elapsed()));
        });
    }

    fn change(&mut self, change: u64, id: &ActionId, make: impl FnOnce(&mut ShownAction, Instant)) {
        let permit =
            self.places.get(id).and_then(|permit| usize::try_from(permit - self.forgotten).ok());
        if let Some(Remembered { shown, came, .. }) =
            permit.and_then(|permit| self.latest.get_mut(permit))
        {
            shown.change = change;
            make(shown, *came);
        }
    }
}

/// A text up to a length.
fn beginning(text: &str, max: usize) -> String {
    match text.floor_char_boundary(max) {
        end if end < text.len() => format!("{}…", &text[..end]),
        _ => text.to_owned(),
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
    fn the_latest_are_remembered_with_their_outcome() {
        let mut actions = Actions::default();
        let entries: Vec<_> = (0..u32::try_from(MAX_ACTIONS).unwrap() + 10).map(entry).collect();
        for (n, entry) in entries.iter().enumerate() {
            actions.record(n as u64 + 1, 0, &HubEvent::Added(entry.clone()));
        }
        assert_eq!((actions.latest.len(), actions.places.len()), (MAX_ACTIONS, MAX_ACTIONS));
        let last = entries.last().unwrap();
        actions.record(1_001, 0, &HubEvent::Sent(last.clone(), 2));
        actions.record(
            1_002,
            0,
            &HubEvent::Undone { entry: last.clone(), reason: "denied".into() },
        );
        actions.record(1_002, 0, &HubEvent::Cleaned(last.clone()));
        // One that was forgotten begins anew.
        actions.record(1_003, 0, &HubEvent::Processed(entries[0].clone()));
        let news = actions.after(1_000);
        let seen: Vec<_> =
            news.iter().map(|action| (&*action.id, action.outcome, action.clients)).collect();
        assert_eq!(
            seen,
            [("509 10:a:b 0", Some("undone"), Some(2)), ("0 10:a:b 0", Some("processed"), None)]
        );
        assert_eq!(
            (news[0].reason.as_deref(), news[0].is_cleaned, news[1].is_cleaned),
            (Some("denied"), true, false)
        );
        assert_eq!(actions.latest.len(), MAX_ACTIONS);
    }

    #[test]
    fn long_texts_are_cut_between_letters() {
        assert_eq!(beginning("aä", 2), "a…");
        assert_eq!(beginning("aä", 3), "aä");
    }
}
