//! The inbox in an application's own database: each action is new once, and ids are forgotten on
//! request.

mod common;

use std::{sync::Barrier, thread, time::Duration};

use logux::ActionId;
use logux_sqlite::{
    SqliteInbox,
    rusqlite::{Connection, TransactionBehavior, params},
};

use common::TempDir;

fn id(text: &str) -> ActionId {
    text.parse().expect("an id")
}

fn in_memory() -> (Connection, SqliteInbox) {
    let db = Connection::open_in_memory().expect("a database");
    let inbox = SqliteInbox::create(&db).expect("a table");
    (db, inbox)
}

fn insert(db: &mut Connection, inbox: SqliteInbox, text: &str) -> bool {
    let transaction = db.transaction().expect("a transaction");
    let first = inbox.insert(&transaction, &id(text)).expect("an answer");
    transaction.commit().expect("committed");
    first
}

#[test]
fn an_action_is_new_once() {
    let (mut db, inbox) = in_memory();
    for text in ["1 10:a:b 0", "1 10:a:b 1", "2 10:a:b 0", "1 \u{1f600} 0", "1 a\u{0} 0", "1 a 0"] {
        assert_eq!(
            (insert(&mut db, inbox, text), insert(&mut db, inbox, text)),
            (true, false),
            "{text}"
        );
    }
}

#[test]
fn a_rollback_removes_the_id() {
    let (mut db, inbox) = in_memory();
    let transaction = db.transaction().expect("a transaction");
    assert!(inbox.insert(&transaction, &id("1 a 0")).expect("an answer"));
    assert!(
        !inbox.insert(&transaction, &id("1 a 0")).expect("an answer"),
        "known within the transaction"
    );
    transaction.rollback().expect("rolled back");
    assert!(insert(&mut db, inbox, "1 a 0"));
}

#[test]
fn the_table_is_created_once() {
    let (mut db, inbox) = in_memory();
    assert!(insert(&mut db, inbox, "1 a 0"));
    let inbox = SqliteInbox::create(&db).expect("the existing table");
    assert!(!insert(&mut db, inbox, "1 a 0"));
}

#[test]
fn forgets_by_count() {
    let (mut db, inbox) = in_memory();
    for number in 0..10 {
        let text = format!("{number} a 0");
        insert(&mut db, inbox, &text);
        let arrived = "UPDATE logux_inbox SET arrived = arrived + ?1 WHERE id = ?2";
        db.execute(arrived, params![number, text.as_bytes()]).expect("an update");
    }
    assert_eq!(inbox.forget_all_but(&db, 10).expect("forgotten"), 0);
    assert_eq!(inbox.forget_all_but(&db, 3).expect("forgotten"), 7);
    assert!(
        !insert(&mut db, inbox, "9 a 0")
            && !insert(&mut db, inbox, "7 a 0")
            && insert(&mut db, inbox, "6 a 0")
    );
    assert_eq!(inbox.forget_all_but(&db, 0).expect("forgotten"), 4);
}

#[test]
fn forgets_by_age() {
    let (mut db, inbox) = in_memory();
    insert(&mut db, inbox, "1 a 0");
    insert(&mut db, inbox, "2 a 0");
    db.execute("UPDATE logux_inbox SET arrived = arrived - 3600000 WHERE id = ?1", [b"1 a 0"])
        .expect("an update");
    assert_eq!(inbox.forget_older_than(&db, Duration::from_secs(7_200)).expect("forgotten"), 0);
    assert_eq!(inbox.forget_older_than(&db, Duration::MAX).expect("forgotten"), 0);
    assert_eq!(inbox.forget_older_than(&db, Duration::from_secs(1_800)).expect("forgotten"), 1);
    assert!(insert(&mut db, inbox, "1 a 0") && !insert(&mut db, inbox, "2 a 0"));
}

#[test]
fn only_one_of_concurrent_inserts_is_new() {
    let directory = TempDir::new("inbox");
    let path = directory.file("app.db");
    let db = Connection::open(&path).expect("a database");
    db.execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE done (id TEXT)").expect("a table");
    let inbox = SqliteInbox::create(&db).expect("a table");
    let together = Barrier::new(4);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut db = Connection::open(&path).expect("a database");
                db.busy_timeout(Duration::from_secs(20)).expect("a setting");
                together.wait();
                for number in 0..20 {
                    let transaction = db
                        .transaction_with_behavior(TransactionBehavior::Deferred)
                        .expect("a transaction");
                    if inbox.insert(&transaction, &id(&format!("{number} a 0"))).expect("an answer")
                    {
                        transaction
                            .execute("INSERT INTO done VALUES (?1)", [number])
                            .expect("a row");
                    }
                    transaction.commit().expect("committed");
                }
            });
        }
    });
    let done: (i64, i64) = db
        .query_one("SELECT count(*), count(DISTINCT id) FROM done", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .expect("numbers");
    assert_eq!(done, (20, 20));
}
