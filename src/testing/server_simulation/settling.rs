//! What the server's log keeps: its effects, and the snapshots of documents, which the application
//! makes in the background.

use std::sync::Arc;

use super::{
    application::{Application, Database},
    context::Context,
};
use crate::{
    action::logux::UNDO,
    server::{Hub, Input, LogQuery, Retention, SettlementRequest},
    store::Entry,
    testing::FailingStore,
};

/// The snapshots in progress, and the kept actions that the application has not processed.
#[derive(Debug, Default)]
pub(super) struct Settling {
    requests: Vec<SettlementRequest>,
    /// The snapshots, each with the time when the hub receives it, in milliseconds.
    snapshots: Vec<(u64, Input)>,
    kept: Vec<Arc<Entry>>,
}

impl Settling {
    pub(super) const fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.snapshots.is_empty()
    }

    /// Returns the time of the next event, in milliseconds.
    pub(super) fn next_event(&self) -> Option<u64> {
        self.snapshots.iter().map(|(at, _)| *at).min()
    }

    pub(super) fn request(&mut self, request: SettlementRequest) {
        self.requests.push(request);
    }

    /// Records an entry that the log keeps.
    pub(super) fn recorded(&mut self, entry: Arc<Entry>) {
        self.kept.push(entry);
    }

    /// Processes the actions that have their effect because the log keeps them.
    pub(super) fn process_kept<A: Application>(
        &mut self,
        application: &A,
        database: &mut Database<A::Data>,
    ) {
        for entry in self.kept.drain(..).filter(|entry| !entry.meta.id.node().is_server()) {
            if entry.action.kind() == UNDO || application.is_processed_by_log(&entry.action) {
                database.record(application, &entry);
            }
        }
    }

    /// Makes the requested snapshots from the committed log.
    pub(super) fn make_snapshots<A: Application>(
        &mut self,
        context: &mut Context,
        application: &A,
        hub: &Hub<FailingStore>,
    ) {
        for request in core::mem::take(&mut self.requests) {
            let mut entries = Vec::new();
            let query = LogQuery::kept_for(&Retention::forever(request.key.channel()));
            let mut next = Some(query.limit(1_000));
            while let Some(query) = next {
                let Ok(page) = hub.page(&query) else { break };
                entries.extend(page.entries);
                next = page.next;
            }
            let snapshot = application.snapshot(&request.key, &entries, context.now().wall);
            context.record(|| match &snapshot {
                Some(snapshot) => format!("a snapshot is made: {}", snapshot.action.as_json()),
                None => "there is nothing to settle".to_owned(),
            });
            let at = context.after(|config| &config.handler_delay);
            self.snapshots.push((at, Input::Settle(request, snapshot.map(Box::new))));
        }
    }

    /// Returns the snapshots that the hub receives now.
    pub(super) fn due(&mut self, now_ms: u64) -> Vec<Input> {
        let due = self.snapshots.extract_if(.., |(at, _)| *at <= now_ms);
        due.map(|(_, input)| input).collect()
    }
}
