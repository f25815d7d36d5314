//! Which documents exist, and how they are listed.

use futures_util::future::join_all;
use logux::server::{
    CatalogEntry, CatalogQuery, CreateOutcome, DeleteOutcome, DocumentCreation, DocumentStats,
    DocumentUsage,
};

use super::kit::{Kit, stamp, wall};
use crate::documents::storage::DocumentStorage;

pub(super) async fn a_created_document_is_found<D: DocumentStorage>(kit: &Kit<D>) {
    assert_eq!(kit.find("1").await, None);
    let expected = CatalogEntry::new("1", &kit.creation(5));
    assert_eq!(kit.create("1", 5).await, expected);
    assert_eq!(kit.find("1").await, Some(expected));
    assert_eq!(kit.find("2").await, None);
    // Without a user, and with names that a database could confuse.
    for id in ["A", "a", "é", "e\u{301}", "%", "a/b", "1 "] {
        let creation = DocumentCreation { creator: None, ..kit.creation(6) };
        let created = kit.storage.create(&kit.key(id), &creation).await.expect("created");
        let expected = CatalogEntry::new(id, &creation);
        assert_eq!(created, (CreateOutcome::Created, expected.clone()));
        assert_eq!(kit.find(id).await, Some(expected));
    }
}

pub(super) async fn a_document_is_created_once<D: DocumentStorage>(kit: &Kit<D>) {
    let first = kit.create("1", 5).await;
    assert_eq!(kit.create("1", 5).await, first, "the same creation again");
    for time in [4, 6] {
        let other = DocumentCreation { creator: None, ..kit.creation(time) };
        let created = kit.storage.create(&kit.key("1"), &other).await.expect("created");
        assert_eq!(created, (CreateOutcome::Existed, first.clone()));
    }
}

pub(super) async fn concurrent_creations_create_one_document<D: DocumentStorage>(kit: &Kit<D>) {
    let create = |time| async move {
        let created = kit.storage.create(&kit.key("1"), &kit.creation(time)).await;
        created.expect("created")
    };
    let created = join_all((1..=8).map(create)).await;
    let entry = kit.find("1").await.expect("the document");
    assert!(created.iter().all(|(_, own)| *own == entry), "all see one document");
    let first = created.iter().filter(|(outcome, _)| *outcome == CreateOutcome::Created);
    assert_eq!(first.count(), 1, "one creation creates it");
}

pub(super) async fn a_deletion_is_taken_back_by_a_later_creation<D: DocumentStorage>(kit: &Kit<D>) {
    let (key, storage) = (kit.key("1"), &kit.storage);
    kit.create("1", 1).await;
    kit.archive("1", 1..=3).await;
    for attempt in 1..=2 {
        let deleted = storage.delete(&key, &kit.deletion(5)).await.expect("deleted");
        let (outcome, entry) = deleted.expect("a document");
        assert_eq!(outcome, DeleteOutcome::Deleted, "attempt {attempt}");
        assert_eq!(entry.deletion(), Some(&kit.deletion(5)));
        assert_eq!(kit.find("1").await, Some(entry));
    }
    let (outcome, _) = storage.create(&key, &kit.creation(4)).await.expect("an older creation");
    assert_eq!(outcome, CreateOutcome::Deleted);
    for attempt in 1..=2 {
        let (outcome, entry) = storage.create(&key, &kit.creation(6)).await.expect("created");
        assert_eq!(outcome, CreateOutcome::Revived, "attempt {attempt}");
        assert_eq!((entry.deletion(), entry.changed_at), (None, wall(6)));
        assert_eq!(kit.find("1").await, Some(entry));
    }
    let repeated = storage.delete(&key, &kit.deletion(5)).await.expect("deleted");
    assert_eq!(repeated.map(|(outcome, _)| outcome), Some(DeleteOutcome::TakenBack));
    assert_eq!(storage.position_at(&key, wall(100)).await.expect("a number"), Some(3));
}

pub(super) async fn a_deletion_is_moved_after_the_creation<D: DocumentStorage>(kit: &Kit<D>) {
    let (key, storage) = (kit.key("1"), &kit.storage);
    kit.create("1", 5).await;
    for attempt in 1..=2 {
        let deleted = storage.delete(&key, &kit.deletion(3)).await.expect("deleted");
        let (outcome, entry) = deleted.expect("a document");
        assert_eq!(outcome, DeleteOutcome::Deleted, "attempt {attempt}");
        let deletion = entry.deletion().expect("a deletion");
        assert_eq!(
            (deletion.stamp.time(), deletion.stamp.id()),
            (wall(6), kit.deletion(3).stamp.id())
        );
        assert_eq!(kit.find("1").await, Some(entry));
    }
    let other = storage.delete(&key, &kit.deletion(9)).await.expect("deleted");
    assert_eq!(other.map(|(outcome, _)| outcome), Some(DeleteOutcome::AlreadyDeleted));
    let (outcome, _) = storage.create(&key, &kit.creation(8)).await.expect("created");
    assert_eq!(outcome, CreateOutcome::Deleted, "the later deletion counts");
}

pub(super) async fn a_missing_document_is_not_deleted<D: DocumentStorage>(kit: &Kit<D>) {
    let deleted = kit.storage.delete(&kit.key("1"), &kit.deletion(5)).await.expect("deleted");
    assert_eq!(deleted, None);
    assert_eq!(kit.find("1").await, None);
    kit.create("1", 1).await;
}

pub(super) async fn sizes_are_stored<D: DocumentStorage>(kit: &Kit<D>) {
    let stats = |id: &str, time, bytes| DocumentStats {
        id: id.into(),
        changed_at: wall(time),
        bytes,
        actions: bytes * 2,
    };
    for id in ["1", "2"] {
        kit.create(id, 5).await;
    }
    let touched = [stats("1", 9, 100), stats("none", 9, 1), stats("2", 4, 7)];
    kit.storage.touch(&kit.kind, &touched).await.expect("touched");
    let sizes = |entry: CatalogEntry| (entry.changed_at, entry.bytes, entry.actions);
    assert_eq!(kit.find("1").await.map(sizes), Some((wall(9), 100, 200)));
    assert_eq!(kit.find("2").await.map(sizes), Some((wall(5), 7, 14)), "not earlier");
    assert_eq!(kit.find("none").await, None);
    kit.storage.touch(&kit.kind, &[]).await.expect("touched");
    let (_, entry) = kit.storage.create(&kit.key("1"), &kit.creation(6)).await.expect("created");
    assert_eq!(sizes(entry), (wall(9), 100, 200));
}

pub(super) async fn documents_are_listed_by_their_last_change<D: DocumentStorage>(kit: &Kit<D>) {
    assert_eq!(kit.list(CatalogQuery::new(10)).await, [""; 0]);
    // Ids with the same time are in the order of bytes.
    let ids = [("1", 7), ("A", 5), ("a", 5), ("é", 5), ("\u{e000}", 5), ("\u{1f600}", 5), ("2", 3)];
    for (id, time) in ids {
        kit.create(id, time).await;
    }
    let expected = ["1", "\u{1f600}", "\u{e000}", "é", "a", "A", "2"];
    for limit in [1, 2, 6, 7, 100] {
        assert_eq!(kit.list(CatalogQuery::new(limit)).await, expected, "pages of {limit}");
    }
    let stats = DocumentStats { id: "2".into(), changed_at: wall(8), bytes: 1, actions: 1 };
    kit.storage.touch(&kit.kind, &[stats]).await.expect("touched");
    assert_eq!(kit.list(CatalogQuery::new(3)).await[..2], ["2", "1"]);
}

pub(super) async fn a_document_that_changes_is_listed_once<D: DocumentStorage>(kit: &Kit<D>) {
    for time in 1..=4_i64 {
        kit.create(&time.to_string(), time).await;
    }
    let mut query = CatalogQuery::new(2);
    let first = kit.storage.list(&kit.kind, &query).await.expect("a page");
    for id in ["4", "1"] {
        let stats = DocumentStats { id: id.into(), changed_at: wall(9), bytes: 1, actions: 1 };
        kit.storage.touch(&kit.kind, &[stats]).await.expect("touched");
    }
    query.after = first.next;
    assert_eq!(kit.list(query).await, ["2"], "the others are at the front");
}

pub(super) async fn documents_are_listed_by_their_creator<D: DocumentStorage>(kit: &Kit<D>) {
    let other = format!("{}x", kit.user);
    for (id, creator) in
        [("1", Some(&*kit.user)), ("2", Some(&other)), ("3", None), ("4", Some(&*kit.user))]
    {
        let creation = DocumentCreation { creator: creator.map(Into::into), ..kit.creation(5) };
        kit.storage.create(&kit.key(id), &creation).await.expect("created");
    }
    for (creator, expected) in [(&*kit.user, &["4", "1"][..]), (&other, &["2"]), ("none", &[])] {
        for limit in [1, 5] {
            let query = CatalogQuery { creator: Some(creator.into()), ..CatalogQuery::new(limit) };
            assert_eq!(kit.list(query).await, expected, "of {creator}");
        }
    }
}

pub(super) async fn deleted_documents_are_listed_separately<D: DocumentStorage>(kit: &Kit<D>) {
    for id in ["1", "2", "3"] {
        kit.create(id, 1).await;
    }
    for (id, time) in [("3", 8), ("1", 9)] {
        kit.storage.delete(&kit.key(id), &kit.deletion(time)).await.expect("deleted");
    }
    for creator in [None, Some(kit.user.clone())] {
        let mut query = CatalogQuery { creator, ..CatalogQuery::new(1) };
        assert_eq!(kit.list(query.clone()).await, ["2"]);
        query.deleted = true;
        assert_eq!(kit.list(query).await, ["1", "3"], "the latest deletion first");
    }
    kit.storage.create(&kit.key("3"), &kit.creation(10)).await.expect("created");
    assert_eq!(kit.list(CatalogQuery::new(5)).await, ["3", "2"]);
}

pub(super) async fn old_deletions_are_found<D: DocumentStorage>(kit: &Kit<D>) {
    for (id, time) in [("1", 8), ("2", 6), ("3", 7), ("4", 5), ("5", 9)] {
        kit.create(id, 1).await;
        kit.storage.delete(&kit.key(id), &kit.deletion(time)).await.expect("deleted");
    }
    kit.storage.create(&kit.key("4"), &kit.creation(10)).await.expect("created");
    for (before, limit, expected) in
        [(9, 10, &["2", "3", "1"][..]), (9, 2, &["2", "3"]), (6, 10, &[]), (7, 1, &["2"])]
    {
        let found = kit.storage.deleted_before(&kit.kind, wall(before), limit).await;
        let found = found.expect("a list");
        let ids: Vec<_> = found.iter().map(|entry| &*entry.id).collect();
        assert_eq!(ids, expected, "before {before}, at most {limit}");
        assert!(found.iter().all(|entry| entry.deletion().is_some()));
    }
}

pub(super) async fn the_usage_is_that_of_one_user<D: DocumentStorage>(kit: &Kit<D>) {
    let user = &kit.user;
    let nothing = DocumentUsage::default();
    assert_eq!(kit.storage.usage(user, None).await.expect("a usage"), nothing);
    let other_kind = format!("{}b", kit.kind);
    for (kind, id, creator) in [
        (&kit.kind, "1", Some(user.clone())),
        (&kit.kind, "2", Some(user.clone())),
        (&kit.kind, "3", None),
        (&kit.kind, "4", Some(format!("{user}x").into())),
        (&other_kind, "1", Some(user.clone())),
    ] {
        let creation = DocumentCreation { creator, ..kit.creation(1) };
        let key = logux::action::DocumentKey::new(&**kind, id);
        kit.storage.create(&key, &creation).await.expect("created");
        let bytes = if *kind == kit.kind { id.parse().expect("a number") } else { 100 };
        let stats = DocumentStats { id: id.into(), changed_at: wall(2), bytes, actions: 1 };
        kit.storage.touch(kind, &[stats]).await.expect("touched");
    }
    let usage = async |kind| kit.storage.usage(user, kind).await.expect("a usage");
    let expected = DocumentUsage { documents: 2, bytes: 3, ..nothing };
    assert_eq!(usage(Some(&*kit.kind)).await, expected);
    assert_eq!(usage(None).await, DocumentUsage { documents: 3, bytes: 103, ..nothing });
    kit.storage.delete(&kit.key("2"), &kit.deletion(5)).await.expect("deleted");
    let expected =
        DocumentUsage { documents: 2, bytes: 101, deleted_documents: 1, deleted_bytes: 2 };
    assert_eq!(usage(None).await, expected);
    while kit.storage.purge(&kit.key("2")).await.expect("purged") {}
    let expected = DocumentUsage { documents: 2, bytes: 101, ..nothing };
    assert_eq!(usage(None).await, expected);
    assert_eq!(stamp(1, "10:phone:tab"), kit.creation(1).stamp);
}
