//! Purges: a document is removed for good.

use logux::server::{
    AddVersionOutcome, ArchivePage, ArchiveQuery, CatalogQuery, CreateOutcome, DocumentStats,
};

use super::kit::{Kit, wall};
use crate::documents::storage::DocumentStorage;

/// Purges a document. Returns the number of calls.
async fn purge<D: DocumentStorage>(kit: &Kit<D>, id: &str) -> u64 {
    let mut calls = 1;
    let mut has_more = kit.storage.purge(&kit.key(id)).await.expect("purged");
    while has_more {
        calls += 1;
        assert!(calls < 10_000, "each call removes a part");
        has_more = kit.storage.remove_purged().await.expect("removed");
    }
    calls
}

pub(super) async fn a_purged_document_leaves_nothing<D: DocumentStorage>(kit: &Kit<D>) {
    let (key, storage) = (kit.key("1"), &kit.storage);
    kit.create("1", 1).await;
    kit.archive("1", 1..=20).await;
    storage.add_version(&key, &kit.version("Draft", 7, 1)).await.expect("added");
    storage.delete(&key, &kit.deletion(5)).await.expect("deleted");
    purge(kit, "1").await;
    let stats = DocumentStats { id: "1".into(), changed_at: wall(9), bytes: 1, actions: 1 };
    storage.touch(&kit.kind, &[stats]).await.expect("touched");
    let late = [kit.archived("1", 21)];
    assert!(!storage.archive(&key, &late).await.expect("a result"), "not archived");
    let outcome = storage.add_version(&key, &kit.version("Late", 7, 1)).await;
    assert_eq!(outcome.expect("a result"), AddVersionOutcome::Missing);
    assert_eq!(storage.delete(&key, &kit.deletion(6)).await.expect("a result"), None);
    for is_created_again in [false, true] {
        if is_created_again {
            // Also by a creation that is older than the deletion.
            let (outcome, entry) = storage.create(&key, &kit.creation(2)).await.expect("created");
            assert_eq!((outcome, entry.last_deletion), (CreateOutcome::Created, None));
        }
        assert_eq!(kit.find("1").await.is_some(), is_created_again);
        let listed = kit.list(CatalogQuery::new(5)).await;
        assert_eq!(listed.len(), usize::from(is_created_again));
        let deleted = CatalogQuery { deleted: true, ..CatalogQuery::new(5) };
        assert_eq!(kit.list(deleted).await, [""; 0]);
        let page = storage.archived(&key, ArchiveQuery::new(5)).await.expect("a page");
        assert_eq!(page, ArchivePage::default());
        assert_eq!(storage.snapshot_at(&key, 100).await.expect("a result"), None);
        assert_eq!(storage.position_at(&key, wall(100)).await.expect("a result"), None);
        assert_eq!(storage.versions(&key).await.expect("versions"), []);
    }
    assert_eq!(purge(kit, "none").await, 1);
}

pub(super) async fn a_large_archive_is_purged<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    kit.create("1", 1).await;
    kit.archive("1", 1..=2_500).await;
    let mut has_more = kit.storage.purge(&key).await.expect("purged");
    // A new document has nothing of the one that is still being removed.
    kit.create("1", 2).await;
    kit.archive("1", 1..=2).await;
    let numbers = async || {
        let page = kit.storage.archived(&key, ArchiveQuery::new(9)).await.expect("a page");
        page.entries.iter().map(|archived| archived.added).collect::<Vec<_>>()
    };
    assert_eq!(numbers().await, [1, 2]);
    while has_more {
        has_more = kit.storage.remove_purged().await.expect("removed");
    }
    assert_eq!(numbers().await, [1, 2]);
    assert!(!kit.storage.remove_purged().await.expect("a result"), "nothing is left");
}

pub(super) async fn other_documents_stay<D: DocumentStorage>(kit: &Kit<D>) {
    for id in ["1", "2"] {
        kit.create(id, 1).await;
        kit.archive(id, 1..=10).await;
        kit.storage.add_version(&kit.key(id), &kit.version("Draft", 7, 1)).await.expect("added");
    }
    purge(kit, "1").await;
    let key = kit.key("2");
    assert!(kit.find("2").await.is_some());
    let page = kit.storage.archived(&key, ArchiveQuery::new(100)).await.expect("a page");
    assert_eq!(page.entries.len(), 10);
    assert_eq!(kit.storage.versions(&key).await.expect("versions").len(), 1);
}
