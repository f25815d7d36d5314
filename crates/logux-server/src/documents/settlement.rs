//! The snapshots that settle documents.

use std::sync::Arc;

use logux::{
    action::DocumentKey,
    crdt::Crdt,
    server::{DocumentSnapshot, SettlementRule, SnapshotBuilder},
};
use tokio::sync::Semaphore;

use crate::{
    documents::open::log_of, error::HandlerError, handlers::registry::MakeSnapshot,
    hub::handle::Handle,
};

/// Returns the function that makes the snapshots of a kind, on a thread for blocking work. One at a
/// time for each kind.
pub(super) fn make_snapshots<C>(rule: SettlementRule) -> MakeSnapshot
where
    C: Crdt<Op: Send> + Send + 'static,
{
    let limit = Arc::new(Semaphore::new(1));
    Arc::new(move |key, handle| {
        let limit = limit.clone();
        Box::pin(async move { make_snapshot::<C>(key, rule, &handle, &limit).await })
    })
}

async fn make_snapshot<C>(
    key: DocumentKey,
    rule: SettlementRule,
    handle: &Handle,
    limit: &Semaphore,
) -> Result<Option<DocumentSnapshot>, HandlerError>
where
    C: Crdt<Op: Send> + Send + 'static,
{
    let _permit = limit.acquire().await?;
    let entries = log_of(&key, handle).await?;
    let now = handle.now();
    let snapshot = tokio::task::spawn_blocking(move || {
        let mut builder = SnapshotBuilder::<C>::new(key, rule);
        entries.iter().for_each(|entry| builder.add(entry));
        builder.build(now)
    });
    Ok(snapshot.await??)
}
