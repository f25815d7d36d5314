//! The archive: settled actions and snapshots.

use logux::{
    Action, Entry, Json, Meta,
    action::Subprotocol,
    server::{ARCHIVE_PAGE_BYTES, ArchiveQuery, ArchivedEntry},
    store::Direction,
};

use super::kit::{Kit, stamp, wall};
use crate::documents::storage::DocumentStorage;

/// All pages of a query.
async fn read<D: DocumentStorage>(kit: &Kit<D>, query: ArchiveQuery) -> Vec<ArchivedEntry> {
    let mut entries = Vec::new();
    let mut next = Some(query);
    while let Some(query) = next {
        let page = kit.storage.archived(&kit.key("1"), query).await.expect("a page");
        assert!(page.entries.len() <= query.limit, "a page has at most the limit");
        let expected = page.entries.last().map(|last| query.continued(last.added));
        assert!(
            page.next.is_none() || page.next == expected,
            "the next page is after the last entry"
        );
        entries.extend(page.entries);
        next = page.next;
    }
    entries
}

fn numbers(entries: &[ArchivedEntry]) -> Vec<u64> {
    entries.iter().map(|archived| archived.added).collect()
}

pub(super) async fn archived_entries_are_read_unchanged<D: DocumentStorage>(kit: &Kit<D>) {
    kit.create("1", 1).await;
    let text =
        format!(r#"{{"type":"{}/edit", "id":"1","ops":[1.50, "\ud83d\u0000 é",{{}}]}}"#, kit.kind);
    let moved = stamp(3, "10:phone\u{1f600}:tab");
    let mut meta = Meta::new(moved.id().clone()).with_time(wall(2));
    meta.subprotocol = Some(Subprotocol::SemVer("1.2.0".into()));
    meta.reasons = vec!["a".into(), "b\u{0}\"".into(), "c".into()].into();
    meta.indexes = vec!["approved/5".into()].into();
    meta.keep_last = Some("last".into());
    meta.extra.set("é", Json::new(r#"{"n":9007199254740993}"#).expect("JSON"));
    let full = Entry::new(Action::new(text).expect("an action"), meta.clone());
    let mut numbered = full.clone();
    numbered.meta.subprotocol = Some(Subprotocol::Number(5));
    let mut fraction = full.clone();
    fraction.meta.subprotocol = Subprotocol::from_number(1.5);
    let entries: Vec<ArchivedEntry> = [full, numbered, fraction]
        .into_iter()
        .zip([7, 9, u64::from(u32::MAX) + 1])
        .map(|(entry, added)| ArchivedEntry::new(added, wall(4), entry))
        .chain([kit.archived("1", 3)])
        .collect();
    assert!(kit.storage.archive(&kit.key("1"), &entries).await.expect("archived"));
    let mut expected = entries;
    expected.sort_by_key(|archived| archived.added);
    assert_eq!(read(kit, ArchiveQuery::new(10)).await, expected);
}

pub(super) async fn an_archive_is_read_in_pages<D: DocumentStorage>(kit: &Kit<D>) {
    kit.create("1", 1).await;
    kit.create("2", 1).await;
    assert_eq!(read(kit, ArchiveQuery::new(3)).await, []);
    kit.archive("1", (1..=20).rev()).await;
    kit.archive("2", 5..=6).await;
    for limit in [1, 7, 20, 100] {
        let all = ArchiveQuery::new(limit);
        assert_eq!(numbers(&read(kit, all).await), (1..=20).collect::<Vec<_>>());
        let newest = ArchiveQuery { direction: Direction::NewestFirst, ..all };
        assert_eq!(numbers(&read(kit, newest).await), (1..=20).rev().collect::<Vec<_>>());
        for (after, before, expected) in [
            (Some(3), Some(9), 4..9),
            (None, Some(4), 1..4),
            (Some(17), None, 18..21),
            (Some(5), Some(6), 0..0),
            (Some(9), Some(3), 0..0),
            (Some(5), Some(5), 0..0),
            (Some(20), None, 0..0),
            (Some(u64::MAX), None, 0..0),
        ] {
            let query = ArchiveQuery { after, before, ..all };
            let expected: Vec<u64> = expected.collect();
            assert_eq!(numbers(&read(kit, query).await), expected, "{query:?}");
            let query = ArchiveQuery { direction: Direction::NewestFirst, ..query };
            let reversed: Vec<u64> = expected.into_iter().rev().collect();
            assert_eq!(numbers(&read(kit, query).await), reversed, "{query:?}");
        }
    }
}

pub(super) async fn a_page_ends_at_its_size<D: DocumentStorage>(kit: &Kit<D>) {
    kit.create("1", 1).await;
    let filler = "x".repeat(ARCHIVE_PAGE_BYTES * 3 / 5);
    let large = |added| {
        let text = format!(r#"{{"type":"{}/edit","id":"1","text":"{filler}"}}"#, kit.kind);
        let meta = kit.archived("1", added).entry.meta;
        ArchivedEntry::new(added, wall(1), Entry::new(Action::new(text).expect("an action"), meta))
    };
    let entries: Vec<_> = (1..=5).map(large).collect();
    assert!(kit.storage.archive(&kit.key("1"), &entries).await.expect("archived"));
    let mut sizes = Vec::new();
    let mut next = Some(ArchiveQuery::new(100));
    while let Some(query) = next {
        let page = kit.storage.archived(&kit.key("1"), query).await.expect("a page");
        sizes.push(page.entries.len());
        next = page.next;
    }
    assert_eq!(sizes, [2, 2, 1], "entries in each page");
}

pub(super) async fn a_number_is_archived_once<D: DocumentStorage>(kit: &Kit<D>) {
    kit.create("1", 1).await;
    kit.archive("1", 1..=5).await;
    kit.archive("1", 3..=8).await;
    kit.archive("1", []).await;
    let expected: Vec<_> = (1..=8).map(|added| kit.archived("1", added)).collect();
    assert_eq!(read(kit, ArchiveQuery::new(100)).await, expected);
}

pub(super) async fn a_missing_document_has_no_archive<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    for entries in [&[kit.archived("1", 1)][..], &[]] {
        assert!(!kit.storage.archive(&key, entries).await.expect("a result"), "not archived");
    }
    assert_eq!(read(kit, ArchiveQuery::new(5)).await, []);
    assert_eq!(kit.storage.snapshot_at(&key, 100).await.expect("a result"), None);
    assert_eq!(kit.storage.position_at(&key, wall(100)).await.expect("a result"), None);
    assert!(!kit.storage.forget_archived(&key, 100).await.expect("a result"));
    kit.create("1", 1).await;
    assert_eq!(read(kit, ArchiveQuery::new(5)).await, [], "nothing is kept for a later document");
}

pub(super) async fn the_latest_snapshot_is_found<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    kit.create("1", 1).await;
    kit.archive("1", 8..=31).await;
    for (added, expected) in [(9, None), (10, Some(10)), (29, Some(20)), (100, Some(30))] {
        let found = kit.storage.snapshot_at(&key, added).await.expect("a snapshot");
        assert_eq!(found, expected.map(|added| kit.archived("1", added)), "at {added}");
    }
    // A snapshot of another kind of action is not one of the document.
    let other = r#"{"type":"other/snapshot","id":"1"}"#;
    let entry =
        Entry::new(Action::new(other).expect("an action"), kit.archived("1", 40).entry.meta);
    let archived = [ArchivedEntry::new(40, wall(80), entry)];
    assert!(kit.storage.archive(&key, &archived).await.expect("archived"));
    let found = kit.storage.snapshot_at(&key, u64::MAX).await.expect("a snapshot");
    assert_eq!(found.map(|archived| archived.added), Some(30));
}

pub(super) async fn the_position_at_a_time_is_found<D: DocumentStorage>(kit: &Kit<D>) {
    kit.create("1", 1).await;
    let mut entries: Vec<_> = (1..=9).map(|added| kit.archived("1", added)).collect();
    // Several at one time.
    entries[4].at = wall(8);
    assert!(kit.storage.archive(&kit.key("1"), &entries).await.expect("archived"));
    for (time, expected) in
        [(1, None), (2, Some(1)), (7, Some(3)), (8, Some(5)), (12, Some(6)), (99, Some(9))]
    {
        let found = kit.storage.position_at(&kit.key("1"), wall(time)).await.expect("a number");
        assert_eq!(found, expected, "at {time}");
    }
}

pub(super) async fn earlier_entries_are_forgotten<D: DocumentStorage>(kit: &Kit<D>) {
    let key = kit.key("1");
    kit.create("1", 1).await;
    kit.create("2", 1).await;
    kit.archive("1", 1..=2_600).await;
    kit.archive("2", 1..=3).await;
    let mut calls = 1;
    while kit.storage.forget_archived(&key, 2_590).await.expect("forgotten") {
        calls += 1;
        assert!(calls < 2_600, "each call removes some entries");
    }
    let left = read(kit, ArchiveQuery::new(100)).await;
    assert_eq!(numbers(&left), (2_590..=2_600).collect::<Vec<_>>());
    let snapshot = kit.storage.snapshot_at(&key, 2_599).await.expect("a snapshot");
    assert_eq!(snapshot.map(|archived| archived.added), Some(2_590));
    let other = kit.storage.archived(&kit.key("2"), ArchiveQuery::new(9)).await.expect("a page");
    assert_eq!(numbers(&other.entries), [1, 2, 3]);
}
