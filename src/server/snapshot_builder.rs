//! Makes the snapshot of a document from the actions that the log keeps of it.

use super::{DocumentSnapshot, LogQuery, Retention, SettlementRule};
use crate::{
    action::{ActionError, ActionId, DocumentKey, logux::UNDO},
    crdt::{Crdt, Shared},
    replay::{Reducer as _, Timeline},
    store::Entry,
    time::{WallTime, as_millis},
};

/// Makes the snapshot of a document of type `C`, in the background: a hub requests it with
/// [`Output::SettlementDue`](super::Output::SettlementDue).
///
/// Pass all entries of [`query`](Self::query), page by page, to [`add`](Self::add). Then pass the
/// result of [`build`](Self::build) to the hub, with [`Input::Settle`](super::Input::Settle).
#[derive(Debug)]
pub struct SnapshotBuilder<C: Crdt> {
    rule: SettlementRule,
    timeline: Timeline<Shared<C>>,
    key: DocumentKey,
    /// The actions in the order of their arrival, each with the action that it has replaced.
    arrived: Vec<(ActionId, Option<ActionId>)>,
}

/// The number of entries of a page that are read at a time, which delays nobody for long.
const PAGE_ENTRIES: usize = 200;

impl<C: Crdt> SnapshotBuilder<C> {
    /// Creates a builder without actions.
    pub fn new(key: DocumentKey, rule: SettlementRule) -> Self {
        let shared = Shared::new(key.kind().clone(), key.id().clone());
        Self { rule, timeline: Timeline::new(shared), key, arrived: Vec::new() }
    }

    /// Returns the query for the actions of the document.
    pub fn query(&self) -> LogQuery {
        LogQuery::kept_for(&Retention::forever(self.key.channel())).limit(PAGE_ENTRIES)
    }

    /// Adds an entry, in the order of arrival.
    pub fn add(&mut self, entry: &Entry) {
        let id = &entry.meta.id;
        if !self.timeline.reducer().is_snapshot(&entry.action, id) {
            // An undo by the application is in the place of its action.
            let is_by_application = entry.action.kind() == UNDO && id.node().is_server();
            let undone = entry.action.str_field("id").filter(|_| is_by_application);
            let replaced = undone.and_then(|undone| undone.parse().ok());
            self.arrived.push((id.clone(), replaced));
        }
        self.timeline.add(entry);
    }

    /// Makes the snapshot, of all actions but the latest ones, which stay open. `None` if it would
    /// not include more than the previous snapshot. O(n log n) for n actions.
    ///
    /// # Errors
    /// If the state exceeds a limit of actions.
    pub fn build(&self, now: WallTime) -> Result<Option<DocumentSnapshot>, ActionError> {
        let open = usize::try_from(self.rule.open_actions).unwrap_or(usize::MAX);
        let included = self.arrived.len().saturating_sub(open);
        let ids = self.arrived[..included]
            .iter()
            .flat_map(|(id, replaced)| [Some(id), replaced.as_ref()]);
        let horizon = i64::try_from(as_millis(self.rule.horizon)).ok();
        let horizon = horizon.and_then(|ms| WallTime::checked_from_millis(now.as_millis() - ms));
        let settlement = self.timeline.settlement_of(ids.flatten(), horizon, C::settle);
        let is_included = |(id, _): &(ActionId, _)| settlement.coverage.is_final(id);
        if !self.arrived.iter().any(is_included) {
            return Ok(None);
        }
        let action = self.timeline.reducer().snapshot_action(&settlement)?;
        Ok(Some(DocumentSnapshot { action, coverage: settlement.coverage }))
    }
}
