//! A document over a log in a file: it is restored from the snapshot and the later actions after a
//! restart, and the file keeps only the necessary actions.

#![allow(clippy::unwrap_used, reason = "a panic fails the test")]

mod common;

use logux::{
    Log, NodeId, Store, WallTime,
    crdt::{Crdt, Document, DocumentOp, ListError, Path, Shared},
    replay::{Snapshot, Timeline, TimelineConfig},
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
        note.list_op(&items, |items| {
            if n % 8 == 0 || list < 2 { items.push_op(json!(n), id) } else { items.remove_op(0) }
        })
    })
    .unwrap();
}

#[test]
fn a_document_survives_a_restart() {
    let directory = TempDir::new("document");
    let (file, node) = (directory.file("note.db"), NodeId::new("10:laptop:tab").unwrap());
    let options = || TimelineConfig { history: Some(50), ..TimelineConfig::default() };
    let reducer = || Shared::<Document>::new("note");
    let snapshot;
    let state: Value;
    {
        let database = Database::open(&file).unwrap();
        let timeline = Timeline::with_config(reducer(), options());
        let mut log = Log::with_observer(node.clone(), database.store(), timeline).unwrap();
        (0..400).for_each(|n| edit(&mut log, n));
        snapshot = Snapshot::of(&mut log).unwrap().to_string();
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
    assert!(kept < 400, "{kept} of 900 actions kept");
    let whole = Timeline::read(reducer(), options(), &store).unwrap();
    assert_eq!(whole.state().to_json(), state);
    let opened =
        snapshot.parse::<Snapshot>().unwrap().open(reducer(), options(), &node, &store).unwrap();
    assert_eq!(opened.state().to_json(), state);
}
