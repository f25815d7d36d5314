//! Own edits of documents that the server has refused, until the application takes them.

use core::ops::ControlFlow;
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{Client, DocumentEvent, Output};
use crate::{
    action::{Action, ActionId, DocumentKey, DocumentVerb, logux::Undo},
    json::Json,
    log::{Log, LogError, Observer},
    store::Store,
    time::WallTime,
};

/// The largest number of refused edits of a document that are kept.
pub const MAX_REFUSED_EDITS: usize = 100;

/// The largest size of the refused edits of a document, in bytes of JSON. The latest is kept
/// whatever its size is.
const MAX_REFUSED_BYTES: usize = 1024 * 1024;

/// An own edit of a document that the server has refused, or has undone later. The state of the
/// document does not include it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedEdit {
    /// The id of the action.
    pub id: ActionId,
    /// The action: `KIND/edit` or `KIND/create`.
    pub action: Action,
    /// The reason of the server, such as `denied`.
    pub reason: String,
    /// What else the server has said, by key.
    pub extra: Vec<(String, Json)>,
}

impl RefusedEdit {
    /// Returns when the user has made the edit.
    pub const fn made_at(&self) -> WallTime {
        self.id.time()
    }

    fn of_undo(undo: Undo) -> Option<Self> {
        let Undo { id, reason, action, extra } = undo;
        Some(Self { id: id.parse().ok()?, action: action?, reason, extra })
    }

    fn to_undo(&self) -> Undo {
        let Self { id, action, reason, extra } = self.clone();
        Undo { id: id.to_string(), reason, action: Some(action), extra }
    }
}

/// The names of the store's values with the refused edits of a document. A number follows.
fn prefix(channel: &str) -> String {
    format!("refused {channel} ")
}

/// Where the refused edits of documents are in the store, as far as they were needed.
#[derive(Debug, Default)]
pub(super) struct RefusedEdits(HashMap<Arc<str>, VecDeque<Kept>>);

/// A refused edit in the store.
#[derive(Debug)]
struct Kept {
    number: u64,
    bytes: usize,
    id: ActionId,
}

/// Calls `visit` with the refused edits of a document, their numbers and their sizes, in no order.
fn walk<S: Store, O: Observer>(
    log: &Log<S, O>,
    channel: &str,
    mut visit: impl FnMut(u64, usize, RefusedEdit),
) -> Result<(), LogError<S::Error>> {
    let prefix = prefix(channel);
    log.walk_values(&prefix, |name, json| {
        // The name of another document may begin with the name of this one and a space.
        let number = name.get(prefix.len()..).and_then(|number| number.parse::<u64>().ok());
        let undo = Action::new(json).ok().and_then(|action| Undo::from_action(&action));
        if let Some((number, edit)) = number.zip(undo.and_then(RefusedEdit::of_undo)) {
            visit(number, json.len(), edit);
        }
        ControlFlow::Continue(())
    })
}

impl<S: Store, O: Observer> Client<S, O> {
    /// Returns the own edits of a document that the server has refused, or has undone later, oldest
    /// first: what the user has written, and why it is not in the document. They are in the store,
    /// also after a restart, until [`forget_refused`](Self::forget_refused): for each document the
    /// latest 100, and at most 1 MiB of JSON, older ones are dropped. Also those of a document that
    /// was not open when the answer came. A refused deletion is not among them.
    ///
    /// # Errors
    /// If the store fails.
    pub fn refused_edits(&self, channel: &str) -> Result<Vec<RefusedEdit>, LogError<S::Error>> {
        let mut found = Vec::new();
        walk(&self.log, channel, |number, _, edit| found.push((number, edit)))?;
        found.sort_unstable_by_key(|(number, _)| *number);
        Ok(found.into_iter().map(|(_, edit)| edit).collect())
    }

    /// Forgets one of the [`refused_edits`](Self::refused_edits) of a document, or with `None` all
    /// of them.
    ///
    /// # Errors
    /// If the store fails.
    pub fn forget_refused(
        &mut self,
        channel: &str,
        id: Option<&ActionId>,
    ) -> Result<(), LogError<S::Error>> {
        let kept = self.kept_refused(channel)?;
        let is_forgotten = |kept: &Kept| id.is_none_or(|id| *id == kept.id);
        let mut forgotten = Vec::new();
        kept.retain(|kept| {
            let stays = !is_forgotten(kept);
            if !stays {
                forgotten.push(kept.number);
            }
            stays
        });
        self.drop_refused(channel, &forgotten)
    }

    /// Keeps an own action that the server has undone, if it is an edit of a document.
    pub(super) fn keep_refused(
        &mut self,
        own: &Action,
        id: &ActionId,
        undo: &Undo,
    ) -> Result<(), LogError<S::Error>> {
        let Some(key) = edited_document(own) else { return Ok(()) };
        let (action, reason, extra) = (own.clone(), undo.reason.clone(), undo.extra.clone());
        let edit = RefusedEdit { id: id.clone(), action, reason, extra };
        let Ok(json) = edit.to_undo().to_action() else { return Ok(()) };
        // An action that is nested too deep is not part of it.
        if json.field("action").is_none() {
            return Ok(());
        }
        let (channel, bytes) = (key.channel(), json.as_json().len());
        let kept = self.kept_refused(channel)?;
        if kept.iter().any(|kept| kept.id == *id) {
            return Ok(());
        }
        let number = kept.back().map_or(0, |last| last.number + 1);
        kept.push_back(Kept { number, bytes, id: id.clone() });
        let mut total: usize = kept.iter().map(|kept| kept.bytes).sum();
        let mut dropped = Vec::new();
        while kept.len() > MAX_REFUSED_EDITS || (kept.len() > 1 && total > MAX_REFUSED_BYTES) {
            let Some(oldest) = kept.pop_front() else { break };
            total -= oldest.bytes;
            dropped.push(oldest.number);
        }
        self.drop_refused(channel, &dropped)?;
        self.log.set_value(&format!("{}{number}", prefix(channel)), Some(json.as_json()))?;
        self.is_changed = true;
        self.pending.push_back(Output::Document(channel.clone(), DocumentEvent::Refused));
        Ok(())
    }

    /// Returns where the refused edits of a document are, oldest first.
    fn kept_refused(&mut self, channel: &str) -> Result<&mut VecDeque<Kept>, LogError<S::Error>> {
        if !self.refused.0.contains_key(channel) {
            let mut kept = Vec::new();
            walk(&self.log, channel, |number, bytes, edit| {
                kept.push(Kept { number, bytes, id: edit.id });
            })?;
            kept.sort_unstable_by_key(|kept| kept.number);
            self.refused.0.insert(channel.into(), kept.into());
        }
        Ok(self.refused.0.entry(channel.into()).or_default())
    }

    fn drop_refused(&mut self, channel: &str, numbers: &[u64]) -> Result<(), LogError<S::Error>> {
        let prefix = prefix(channel);
        for number in numbers {
            self.log.set_value(&format!("{prefix}{number}"), None)?;
            self.is_changed = true;
        }
        Ok(())
    }
}

/// Returns the document that an action edits. A `create` of records has no operations.
fn edited_document(action: &Action) -> Option<DocumentKey> {
    let (key, verb) = DocumentKey::of(action)?;
    match verb {
        DocumentVerb::Edit => Some(key),
        DocumentVerb::Create if action.field("ops").is_some() => Some(key),
        _ => None,
    }
}
