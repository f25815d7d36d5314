//! The documents that a hub settles: the rule of each kind, and what the hub knows of a document.

use core::time::Duration;
use std::{collections::HashMap, sync::Arc};

use serde::{Deserialize, Serialize};

use super::HubLog;
use crate::{
    action::{Action, ActionId, DocumentKey, DocumentVerb, Meta},
    log::LogError,
    replay::Coverage,
    store::Store,
    time::WallTime,
};

/// When the actions of documents are settled: from then on, they cannot be undone any more, and the
/// log has one snapshot in their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementRule {
    /// The number of the latest actions of a document, by all of its authors, that can be undone.
    /// When there are twice as many, the older half is settled. A new subscriber is sent each of
    /// them beside the snapshot: about 170 bytes for a typed letter. Default: 2,000.
    pub open_actions: u64,
    /// The age at which an action that has not arrived yet is refused, with the reason `tooOld`:
    /// the longest time for which a device may work offline. What a document remembers for
    /// such actions is forgotten then. Default: 90 days.
    pub horizon: Duration,
}

impl Default for SettlementRule {
    fn default() -> Self {
        Self { open_actions: 2_000, horizon: Duration::from_hours(90 * 24) }
    }
}

/// The kinds of documents that a hub keeps and settles.
///
/// The actions `KIND/create` and `KIND/edit` with a string `id` stay in the log until a snapshot
/// settles them, for subscribers of the channel `KIND/ID`. The actions of one client about one
/// document, and its subscriptions to it, are processed one after the other. Clients cannot send
/// `KIND/snapshot`.
#[derive(Clone, Debug, Default)]
pub struct DocumentKinds(HashMap<Arc<str>, SettlementRule>);

impl DocumentKinds {
    /// Adds a kind. Returns `false` if it exists already.
    pub fn insert(&mut self, kind: impl Into<Arc<str>>, rule: SettlementRule) -> bool {
        self.0.insert(kind.into(), rule).is_none()
    }

    /// Returns the kinds, in no particular order.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.keys()
    }

    /// Returns the rule of a kind.
    pub fn rule(&self, kind: &str) -> Option<&SettlementRule> {
        self.0.get(kind)
    }

    /// Returns the document that an action is about, if it is of one of these kinds.
    pub fn document_of(&self, action: &Action) -> Option<(DocumentKey, DocumentVerb)> {
        // Most actions of other applications end here.
        let kind = action.kind().rsplit_once('/')?.0;
        self.0.get(kind)?;
        DocumentKey::of(action)
    }

    /// Returns the document whose channel this is, if it is of one of these kinds. O(kinds).
    pub fn document_of_channel(&self, channel: &str) -> Option<DocumentKey> {
        let (kind, id) = self.0.keys().find_map(|kind| {
            let id = channel.strip_prefix(&**kind)?.strip_prefix('/')?;
            Some((kind, id)).filter(|(_, id)| !id.is_empty())
        })?;
        Some(DocumentKey::new(kind.clone(), id))
    }
}

/// A request to make a snapshot of a document:
/// [`Output::SettlementDue`](super::Output::SettlementDue).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettlementRequest {
    /// The document.
    pub key: DocumentKey,
    /// Distinguishes the request from earlier ones, whose snapshots may not know recent undos.
    pub(super) number: u64,
}

/// A snapshot of a document, made by [`SnapshotBuilder`](super::SnapshotBuilder).
#[derive(Clone, Debug)]
pub struct DocumentSnapshot {
    /// The action `KIND/snapshot`.
    pub action: Action,
    /// The actions that the snapshot includes.
    pub coverage: Coverage,
}

/// What a hub knows of a document.
#[derive(Debug, Default)]
pub(super) struct DocumentStatus {
    /// What the last snapshot includes.
    pub(super) coverage: Coverage,
    /// The number of actions and undos in the log that it does not include.
    pub(super) open: u64,
    /// The number at which the next snapshot is due.
    pub(super) due_at: u64,
    pub(super) phase: Phase,
}

/// What is being done to settle a document.
#[derive(Debug, Default)]
pub(super) enum Phase {
    #[default]
    Idle,
    /// The application makes a snapshot for the request with this number.
    Building {
        number: u64,
        /// The actions and undos that were undone in the meantime.
        undone: Vec<ActionId>,
        /// The earliest time of the actions that were answered in the meantime, by their ids and by
        /// the server's clock.
        earliest: WallTime,
    },
    /// What the snapshot includes is removed from the log.
    Removing,
}

/// The form of a document in the values of the store.
#[derive(Deserialize, Serialize)]
struct SavedStatus {
    open: u64,
    coverage: Coverage,
}

/// The prefix of the names of these values.
const PREFIX: &str = "document/";
/// The number of documents in memory, in each of two generations.
const GENERATION: usize = 1_024;
/// The number of actions after which the count is saved. After a restart, it may be too low by
/// this.
const SAVE_EVERY: u64 = 64;

/// The documents that were used last. The others are in the values of the store.
#[derive(Debug, Default)]
pub(super) struct Documents {
    recent: HashMap<Arc<str>, DocumentStatus>,
    earlier: HashMap<Arc<str>, DocumentStatus>,
    /// The number of the last request for a snapshot.
    last_request: u64,
}

impl Documents {
    /// Forgets all documents, to read them again from the store.
    pub(super) fn clear(&mut self) {
        *self = Self { last_request: self.last_request, ..Self::default() };
    }

    /// Returns the request for a snapshot of a document, which is made from now on.
    pub(super) fn request(&mut self, key: DocumentKey) -> SettlementRequest {
        self.last_request += 1;
        let number = self.last_request;
        if let Some(status) = self.recent.get_mut(key.channel()) {
            status.phase = Phase::Building { number, undone: Vec::new(), earliest: WallTime::MAX };
        }
        SettlementRequest { key, number }
    }

    /// Forgets a document, also in the store.
    pub(super) fn remove<S: Store>(
        &mut self,
        log: &mut HubLog<S>,
        key: &DocumentKey,
    ) -> Result<(), LogError<S::Error>> {
        self.recent.remove(key.channel());
        self.earlier.remove(key.channel());
        log.set_value(&name(key), None)
    }

    /// Returns what is known of a document.
    pub(super) fn status<S: Store>(
        &mut self,
        log: &HubLog<S>,
        key: &DocumentKey,
        rule: SettlementRule,
    ) -> Result<&mut DocumentStatus, LogError<S::Error>> {
        if !self.recent.contains_key(key.channel()) {
            let status = match self.earlier.remove(key.channel()) {
                Some(status) => status,
                None => read(log, key, rule)?,
            };
            if self.recent.len() >= GENERATION {
                let is_settling = |status: &DocumentStatus| !matches!(status.phase, Phase::Idle);
                let earlier = core::mem::take(&mut self.recent);
                let settling = core::mem::replace(&mut self.earlier, earlier);
                self.recent.extend(settling.into_iter().filter(|(_, status)| is_settling(status)));
            }
            self.recent.insert(key.channel().clone(), status);
        }
        Ok(self.recent.entry(key.channel().clone()).or_default())
    }
}

impl DocumentStatus {
    /// Counts an action that stays in the log. Returns whether the count has to be saved.
    pub(super) fn count(&mut self, meta: &Meta) -> bool {
        if let Phase::Building { earliest, .. } = &mut self.phase {
            *earliest = meta.time.min(meta.id.time()).min(*earliest);
        }
        self.open += 1;
        self.open.is_multiple_of(SAVE_EVERY)
    }

    /// Saves the status in the next commit.
    pub(super) fn save<S: Store>(
        &self,
        log: &mut HubLog<S>,
        key: &DocumentKey,
    ) -> Result<(), LogError<S::Error>> {
        let saved = SavedStatus { open: self.open, coverage: self.coverage.clone() };
        // Numbers and strings can always be written as JSON.
        let Ok(json) = serde_json::to_string(&saved) else { return Ok(()) };
        log.set_value(&name(key), Some(&json))
    }
}

fn name(key: &DocumentKey) -> String {
    format!("{PREFIX}{}", key.channel())
}

fn read<S: Store>(
    log: &HubLog<S>,
    key: &DocumentKey,
    rule: SettlementRule,
) -> Result<DocumentStatus, LogError<S::Error>> {
    let saved = log.value(&name(key))?.and_then(|json| serde_json::from_str(&json).ok());
    let SavedStatus { open, coverage } =
        saved.unwrap_or(SavedStatus { open: 0, coverage: Coverage::default() });
    Ok(DocumentStatus { coverage, open, due_at: due_at(rule), phase: Phase::Idle })
}

/// Returns the number of open actions at which a snapshot is due.
pub(super) fn due_at(rule: SettlementRule) -> u64 {
    rule.open_actions.saturating_mul(2).max(1)
}
