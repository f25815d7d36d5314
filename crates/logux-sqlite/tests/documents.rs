//! Documents: cases that the suite of `logux-server` does not cover.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod common;

use std::fs;

use logux::{
    Action, Entry, Meta, Stamp, WallTime,
    action::DocumentKey,
    server::{ArchiveQuery, ArchivedEntry, CatalogQuery, DocumentCreation, DocumentVersion},
};
use logux_sqlite::{Database, SqliteDocuments, SqliteError, rusqlite::Connection};

use common::TempDir;

const SECRET: &str = "the recipe of the cake";

fn stamp(time: i64) -> Stamp {
    Stamp::new(WallTime::from_millis(time), format!("{time} 10:phone:tab 0").parse().unwrap())
}

fn archived(id: &str, added: u64) -> ArchivedEntry {
    let text = format!(r#"{{"type":"notes/edit","id":"{id}","n":{added},"text":"{SECRET}"}}"#);
    let meta = Meta::new(stamp(added.cast_signed()).id().clone());
    let entry = Entry::new(Action::new(text).unwrap(), meta);
    ArchivedEntry::new(added, WallTime::from_millis(added.cast_signed()), entry)
}

fn create(documents: &SqliteDocuments, id: &str, entries: u64) -> DocumentKey {
    let key = DocumentKey::new("notes", id);
    let creation = DocumentCreation {
        stamp: stamp(1),
        creator: Some("10".into()),
        at: WallTime::from_millis(1),
    };
    documents.create(&key, &creation).unwrap();
    let entries: Vec<_> = (1..=entries).map(|added| archived(id, added)).collect();
    assert!(documents.archive(&key, &entries).unwrap());
    key
}

#[test]
fn a_commit_covers_the_log_and_the_documents() {
    let directory = TempDir::new("documents-commit");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let documents = database.documents();
    let key = create(&documents, "1", 2);
    database.commit().unwrap();
    create(&documents, "2", 2);
    database.rollback().unwrap();
    drop((documents, database));
    let documents = Database::open(&path).unwrap().documents();
    let page = documents.list("notes", &CatalogQuery::new(9)).unwrap();
    assert_eq!(page.entries.iter().map(|entry| &*entry.id).collect::<Vec<_>>(), ["1"]);
    assert_eq!(documents.archived(&key, ArchiveQuery::new(9)).unwrap().entries.len(), 2);
}

#[test]
fn an_interrupted_purge_is_continued() {
    let directory = TempDir::new("documents-purge");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let documents = database.documents();
    let key = create(&documents, "1", 2_000);
    assert!(documents.purge(&key).unwrap(), "a large archive is purged in steps");
    documents.commit().unwrap();
    drop((documents, database));
    let documents = Database::open(&path).unwrap().documents();
    assert_eq!(documents.find(&key).unwrap(), None);
    // A new document with the id begins while the rest of the former one is removed.
    create(&documents, "1", 3);
    assert!(documents.remove_purged().unwrap());
    while documents.remove_purged().unwrap() {}
    assert_eq!(documents.archived(&key, ArchiveQuery::new(9)).unwrap().entries.len(), 3);
    documents.commit().unwrap();
    drop(documents);
    let rows = "SELECT count(*) FROM document_archive";
    let rows: i64 = Connection::open(&path).unwrap().query_one(rows, [], |row| row.get(0)).unwrap();
    assert_eq!(rows, 3);
}

#[test]
fn a_purged_text_is_not_in_the_file() {
    let directory = TempDir::new("documents-secret");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let documents = database.documents();
    let has_secret = || {
        database.commit().unwrap();
        database.checkpoint().unwrap();
        let found = |path| {
            let bytes: Vec<u8> = fs::read(path).unwrap_or_default();
            bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes())
        };
        [found(path.clone()), found(directory.file("a.db-wal"))]
    };
    let key = create(&documents, "1", 600);
    let version = DocumentVersion {
        name: SECRET.into(),
        position: 2,
        at: WallTime::from_millis(1),
        by: None,
        id: stamp(1).id().clone(),
    };
    documents.add_version(&key, &version).unwrap();
    assert!(has_secret()[0]);
    let mut has_more = documents.purge(&key).unwrap();
    while has_more {
        has_more = documents.remove_purged().unwrap();
    }
    assert_eq!(has_secret(), [false, false]);
    let key = create(&documents, "2", 600);
    assert!(has_secret()[0]);
    while documents.forget_archived(&key, 601).unwrap() {}
    assert_eq!(has_secret(), [false, false]);
}

#[test]
fn a_damaged_row_is_an_error() {
    let directory = TempDir::new("documents-damaged");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let key = create(&database.documents(), "1", 1);
    database.commit().unwrap();
    drop(database);
    let damage = "UPDATE document_archive SET action = '{'; UPDATE documents SET revived = x'00';";
    Connection::open(&path).unwrap().execute_batch(damage).unwrap();
    let documents = Database::open(&path).unwrap().documents();
    for error in [
        documents.archived(&key, ArchiveQuery::new(1)).unwrap_err(),
        documents.find(&key).unwrap_err(),
    ] {
        assert!(matches!(error, SqliteError::Corrupt(_)), "{error}");
    }
}
