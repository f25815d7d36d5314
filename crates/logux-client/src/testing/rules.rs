//! What a [`FakeServer`](super::FakeServer) answers, as a test has configured it.

use core::fmt;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use logux::{
    Action, ActionId, Json,
    action::{DocumentKey, logux::Undo},
    json::JsonObject,
    sync::Authentication,
    wire::ErrorMessage,
};
use serde::Serialize;
use serde_json::Value;

/// Decides whether a client may connect.
type Auth = dyn Fn(&Authentication) -> Result<(), ErrorMessage> + Send + Sync;

/// Returns the channels of an action.
pub(super) type Channels = dyn Fn(&Action) -> Vec<String> + Send + Sync;

/// The configuration of the answers.
#[derive(Default)]
pub(super) struct Rules {
    /// Accepts all clients by default.
    pub(super) auth: Option<Arc<Auth>>,
    /// The answers to the next actions.
    undo_next: VecDeque<Refusal>,
    /// The answers to these actions.
    undo_actions: Vec<(Value, Refusal)>,
    /// The actions that a new subscriber of a channel receives.
    pub(super) responses: HashMap<String, Vec<Action>>,
    /// The channels by the type of the action.
    resend: HashMap<String, Arc<Channels>>,
    /// The kinds of documents, and of records.
    documents: Vec<String>,
    records: Vec<String>,
    /// Whether all actions of channels are kept for later subscribers.
    pub(super) keeps_all: bool,
}

/// The content of a `logux/undo`.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    reason: String,
    extra: Vec<(String, Json)>,
}

impl Refusal {
    /// `extra` is a JSON object with further keys.
    ///
    /// # Panics
    /// If `extra` is another value.
    pub(super) fn with_extra(reason: &str, extra: &impl Serialize) -> Self {
        let extra = Json::from_value(extra).ok();
        let extra = extra.and_then(|json| JsonObject::from_json(json.as_str()).ok());
        let extra = extra.expect("a JSON object with the further keys of the undo");
        let extra = extra.iter().map(|(key, value)| (key.to_owned(), value.clone())).collect();
        Self { extra, ..Self::new(reason) }
    }

    pub(super) fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned(), extra: Vec::new() }
    }

    /// Returns the undo of an action.
    pub(super) fn undo(self, id: &ActionId, action: &Action) -> Undo {
        let Self { reason, extra } = self;
        Undo { id: id.to_string(), reason, action: Some(action.clone()), extra }
    }
}

/// Where an action goes.
#[derive(Clone, Debug, Default)]
pub(super) struct Route {
    pub(super) channels: Vec<String>,
    /// Whether later subscribers of the channels receive it, too.
    pub(super) is_kept: bool,
}

impl Rules {
    pub(super) fn undo_next(&mut self, refusal: Refusal) {
        self.undo_next.push_back(refusal);
    }

    pub(super) fn undo_action(&mut self, action: &Action, refusal: Refusal) {
        self.undo_actions.push((value(action), refusal));
    }

    pub(super) fn resend(&mut self, kind: &str, channels: Arc<Channels>) {
        self.resend.insert(kind.to_owned(), channels);
    }

    pub(super) fn documents(&mut self, kind: &str) {
        self.documents.push(kind.to_owned());
    }

    pub(super) fn records(&mut self, plural: &str) {
        self.records.push(plural.to_owned());
    }

    /// Returns the answer to an action if it is refused.
    pub(super) fn refusal(&mut self, action: &Action) -> Option<Refusal> {
        self.undo_next.pop_front().or_else(|| {
            if self.undo_actions.is_empty() {
                return None;
            }
            let value = value(action);
            let found = self.undo_actions.iter().rev().find(|(refused, _)| *refused == value);
            found.map(|(_, refusal)| refusal.clone())
        })
    }

    /// Returns the function with the channels of the actions of a type.
    pub(super) fn channels_of(&self, kind: &str) -> Option<Arc<Channels>> {
        self.resend.get(kind).cloned()
    }

    /// Returns where an action of documents or records goes. `None` if it is another one.
    pub(super) fn shared_route(&self, action: &Action) -> Option<Route> {
        let (kind, _) = action.kind().rsplit_once('/')?;
        let id = action.str_field("id")?;
        let is_kind = |kinds: &[String]| kinds.iter().any(|known| known == kind);
        if is_kind(&self.documents) && DocumentKey::of(action).is_some() {
            return Some(Route { channels: vec![format!("{kind}/{id}")], is_kept: true });
        }
        let channels = || vec![kind.to_owned(), format!("{kind}/{id}")];
        is_kind(&self.records).then(|| Route { channels: channels(), is_kept: true })
    }
}

/// Two actions are equal if their values are, whatever the order of their keys.
fn value(action: &Action) -> Value {
    action.parse().unwrap_or_default()
}

impl fmt::Debug for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rules")
            .field("undo_next", &self.undo_next)
            .field("undo_actions", &self.undo_actions)
            .field("documents", &self.documents)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}
