//! A document over a log in a file: it is read from the snapshot and the later actions after a
//! restart, and the file keeps only these.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod common;

use std::time::Duration;

use logux::{
    Log, NodeId, Store, WallTime,
    crdt::{Crdt, Document, DocumentOp, ListError, Path, Shared},
    replay::{Timeline, TimelineConfig},
    store::Query,
};
use logux_sqlite::{Database, SqliteStore};
use serde_json::{Value, json};

use common::TempDir;

type Notes = Log<SqliteStore, Timeline<Shared<Document>>>;

fn edit(log: &mut Notes, n: i64) {
    let title = DocumentOp::Set { path: Path::of(&["title"]).unwrap(), value: json!(n).into() };
    log.edit(WallTime::from_millis(n), |_, _| Ok::<_, ListError>(title)).unwrap();
    let items = Path::of(&["items"]).unwrap();
    log.edit(WallTime::from_millis(n), |note, id| {
        let list = note.list("/items").map_or(0, logux::crdt::List::len);
        // Seven of eight items are removed again.
        note.list_op(&items, id, |items| {
            if n % 8 == 0 || list < 2 {
                items.push_op(json!(n), id)
            } else {
                items.remove_op(0, id)
            }
        })
    })
    .unwrap();
}

#[test]
fn a_document_survives_a_restart() {
    let directory = TempDir::new("document");
    let (file, node) = (directory.file("note.db"), NodeId::new("10:laptop:tab").unwrap());
    let reducer = || Shared::<Document>::new("notes", "1").settled_by(node.clone());
    let state: Value;
    {
        let database = Database::open(&file).unwrap();
        let timeline = Timeline::new(reducer());
        let mut log = Log::with_observer(node.clone(), database.store(), timeline).unwrap();
        (0..400).for_each(|n| edit(&mut log, n));
        log.fold(WallTime::from_millis(400), Duration::from_hours(1)).unwrap();
        (400..450).for_each(|n| edit(&mut log, n));
        log.commit().unwrap();
        // Uncommitted edits are lost.
        state = log.state().to_json();
        edit(&mut log, 1_000);
        database.rollback().unwrap();
    }
    let database = Database::open(&file).unwrap();
    let store = database.store();
    let kept = store.page(&Query::created(), 10_000).unwrap().entries.len();
    assert_eq!(kept, 101, "the snapshot and what came after it");
    let opened = Timeline::read(reducer(), TimelineConfig::default(), &store).unwrap();
    assert_eq!(opened.state().to_json(), state);
}
