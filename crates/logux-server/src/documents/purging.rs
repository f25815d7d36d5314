//! Removing documents for good.

use std::{sync::Arc, time::Duration};

use logux::{action::DocumentKey, crdt::Crdt};

use crate::{
    documents::open::{LockedDocument, OpenDocuments},
    error::HandlerError,
    hub::handle::{Handle, WeakHandle},
    telemetry::event::{Event, Failure},
};

/// The number of deleted documents that are read from the catalog at a time.
const PAGE: usize = 100;
/// The longest time between two searches for documents to purge.
const MAX_INTERVAL: Duration = Duration::from_hours(1);
/// The shortest time between two searches.
const MIN_INTERVAL: Duration = Duration::from_secs(1);

/// Purges the documents whose deletion cannot be taken back any more, until the server ends.
pub(super) async fn purge_deleted<C>(
    documents: Arc<OpenDocuments<C>>,
    kept_for: Duration,
    server: WeakHandle,
) where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    let interval = (kept_for / 16).clamp(MIN_INTERVAL, MAX_INTERVAL);
    loop {
        let Some(handle) = server.upgrade() else { return };
        if let Err(error) = purge_due(&documents, kept_for, &handle).await {
            let what = Failure::Purge { kind: documents.kind() };
            handle.telemetry().record(&Event::Failed { what, error: &error.message() });
        }
        drop(handle);
        tokio::time::sleep(interval).await;
    }
}

async fn purge_due<C>(
    documents: &Arc<OpenDocuments<C>>,
    kept_for: Duration,
    handle: &Handle,
) -> Result<(), HandlerError>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    // A crash may have interrupted a purge.
    while documents.storage().remove_purged().await? {}
    loop {
        let before = handle.now().before(kept_for);
        let kind = documents.kind().clone();
        let due = documents.storage().deleted_before(kind.clone(), before, PAGE).await?;
        for entry in &due {
            let key = DocumentKey::new(kind.clone(), entry.id.clone());
            let is_due = |document: &LockedDocument<C>| {
                let deletion = document.entry().and_then(|entry| entry.deletion());
                deletion.is_some_and(|deletion| deletion.at < before)
            };
            purge_if(documents, &key, handle, is_due).await?;
        }
        if due.len() < PAGE {
            return Ok(());
        }
    }
}

/// Removes a document for good: from the log, the archive, the versions and the catalog. Returns
/// `false` if there is none.
///
/// The catalog is last, so that a purge which a crash has interrupted can be repeated.
pub(super) async fn purge<C>(
    documents: &Arc<OpenDocuments<C>>,
    key: &DocumentKey,
    handle: &Handle,
) -> Result<bool, HandlerError>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    purge_if(documents, key, handle, |document| document.entry().is_some()).await
}

/// Returns `true` if a document with this key was purged. Its id is not used again.
pub(super) async fn is_purged(key: &DocumentKey, handle: &Handle) -> Result<bool, HandlerError> {
    Ok(handle.value(&purged_name(key)).await?.is_some())
}

/// Returns the name of the server's value that says when a document was purged.
fn purged_name(key: &DocumentKey) -> String {
    format!("purged/{}", key.channel())
}

async fn purge_if<C>(
    documents: &Arc<OpenDocuments<C>>,
    key: &DocumentKey,
    handle: &Handle,
    is_wanted: impl FnOnce(&LockedDocument<C>) -> bool,
) -> Result<bool, HandlerError>
where
    C: Crdt<Op: Send> + Send + Sync + 'static,
{
    let mut document = documents.lock(key, handle).await?;
    if !is_wanted(&document) {
        return Ok(false);
    }
    // Devices have what they have received of the document: a new one with its id would merge with
    // that.
    handle.set_value(purged_name(key), handle.now().as_millis().to_string()).await;
    if !handle.purge(key.clone()).await {
        return Err(HandlerError::unavailable("the server stops, or its log cannot be written"));
    }
    let storage = documents.storage();
    let mut has_more = storage.clone().purge(key.clone()).await?;
    while has_more {
        has_more = storage.clone().remove_purged().await?;
    }
    document.close();
    document.set_entry(None);
    Ok(true)
}
