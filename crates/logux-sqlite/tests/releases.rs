//! Files that earlier releases have written: `tests/fixtures/VERSION.db`, by the example
//! `write_fixture` of that release.

#![allow(clippy::unwrap_used, reason = "a test that cannot continue has failed")]

mod common;

use std::{fs, path::Path};

use logux::{
    ActionId, Stamp, Store, WallTime,
    action::DocumentKey,
    server::DocumentCreation,
    store::{Query, Synced},
};
use logux_sqlite::Database;

use common::TempDir;

#[test]
fn files_of_all_releases_are_opened() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut count = 0;
    for file in fs::read_dir(fixtures).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "db") {
            open(&file);
            count += 1;
        }
    }
    assert!(count > 0);
}

fn entry_stamp(id: &str) -> Stamp {
    let id: ActionId = id.parse().unwrap();
    Stamp::new(id.time(), id)
}

fn open(file: &Path) {
    let directory = TempDir::new("release");
    let path = directory.file("a.db");
    fs::copy(file, &path).unwrap();
    let database = Database::open(&path).unwrap_or_else(|error| panic!("{file:?}: {error}"));
    let mut store = database.store();
    let entries = store.page(&Query::added().oldest_first(), 10).unwrap().entries;
    let entries: Vec<_> = entries
        .iter()
        .map(|entry| {
            let meta = &entry.meta;
            (meta.id.to_string(), meta.time.as_millis(), meta.added, entry.action.as_json())
        })
        .collect();
    let expected = [
        ("1 10:phone:tab 0".to_owned(), 1, Some(1), r#"{"type":"first"}"#),
        ("9 server:x 1".to_owned(), 2, Some(2), r#"{"type":"second","z":1,"a":"\ud83d"}"#),
    ];
    assert_eq!(entries, expected, "{file:?}");
    assert_eq!(store.last_added().unwrap(), 3, "{file:?}");
    assert_eq!(store.synced().unwrap(), Synced { sent: 4, received: 7 }, "{file:?}");
    let by_index = store.page(&Query::created().index("things"), 10).unwrap().entries;
    assert_eq!(by_index.len(), 2, "{file:?}");

    let records = database.records();
    let task = records.load("tasks", "1", None).unwrap().expect("the record");
    let fields: Vec<_> =
        task.fields.iter().map(|field| (&*field.key, field.value.as_str())).collect();
    assert_eq!(fields, [("done", "false"), ("title", "\"Tea\"")], "{file:?}");
    assert_eq!(records.load("tasks", "2", None).unwrap(), None, "{file:?}");
    assert!(records.deletion("tasks", "2").unwrap().is_some(), "{file:?}");

    let (documents, key) = (database.documents(), DocumentKey::new("notes", "1"));
    let (stamp, at) = (entry_stamp("9 server:x 1"), WallTime::from_millis(9));
    let creation = DocumentCreation { stamp, creator: None, at };
    documents.create(&key, &creation).unwrap();
    assert!(documents.find(&key).unwrap().is_some(), "{file:?}");
    store.remove(&"1 10:phone:tab 0".parse().unwrap()).unwrap();
    store.commit().unwrap();
}
