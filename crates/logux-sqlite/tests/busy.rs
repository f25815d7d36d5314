//! Files that other programs have locked, and backups of files that are in use.

mod common;

use std::fs;

use logux::{
    Entry, Store,
    store::{Insertion, Query},
};
use logux_sqlite::{Database, Durability, SqliteError, back_up};
use rusqlite::Connection;

use common::{TempDir, entry};

fn add(store: &mut impl Store<Error = SqliteError>, id: &str) -> Result<(), SqliteError> {
    let mut entry: Entry = entry(id, 1);
    assert_eq!(store.add(&mut entry)?, Insertion::Added);
    Ok(())
}

fn count(database: &Database) -> usize {
    database.store().page(&Query::created(), 1_000).expect("a page").entries.len()
}

#[test]
fn a_lock_of_another_program_is_transient() {
    let directory = TempDir::new("locked");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.begin().expect_err("locked");
    assert!(error.is_transient(), "{error}");
    other.execute_batch("COMMIT").unwrap();
    store.begin().unwrap();
    assert!(other.execute_batch("BEGIN IMMEDIATE").is_err(), "no other program can write now");
    add(&mut store, "1 a 0").unwrap();
    store.commit().unwrap();
    assert_eq!(count(&database), 1);
}

#[test]
fn a_rollback_opens_the_file_again() {
    let directory = TempDir::new("reopened");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    add(&mut store, "1 a 0").unwrap();
    store.commit().unwrap();
    add(&mut store, "2 a 0").unwrap();
    store.rollback().unwrap();
    assert_eq!((count(&database), store.last_added().unwrap()), (1, 1));
    assert!(matches!(Database::open(&path), Err(SqliteError::InUse { .. })), "it is still locked");
    add(&mut store, "2 a 0").unwrap();
    store.commit().unwrap();
    assert_eq!(count(&database), 2);
}

#[test]
fn a_locked_file_is_opened_when_it_is_available() {
    let directory = TempDir::new("opened-later");
    let path = directory.file("a.db");
    drop(Database::open(&path).unwrap());
    let other = Connection::open(&path).unwrap();
    other.pragma_update(None, "locking_mode", "EXCLUSIVE").unwrap();
    other
        .execute_batch("BEGIN EXCLUSIVE; CREATE TABLE other (a); DROP TABLE other; COMMIT")
        .unwrap();
    let database = Database::open_when_available(&path, Durability::Full).unwrap();
    let error = database.store().last_added().expect_err("locked");
    assert!(error.is_transient(), "{error}");
    drop(other);
    add(&mut database.store(), "1 a 0").unwrap();
    database.commit().unwrap();
    assert_eq!(count(&database), 1);
}

#[test]
fn a_file_of_another_application_is_refused_also_then() {
    let directory = TempDir::new("refused-later");
    let path = directory.file("a.db");
    fs::write(&path, "no database").unwrap();
    let refused = Database::open_when_available(&path, Durability::Full);
    assert!(matches!(refused, Err(SqliteError::NotADatabase { .. })));
}

#[test]
fn a_checkpoint_makes_the_file_complete() {
    let directory = TempDir::new("checkpoint");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    add(&mut store, "1 a 0").unwrap();
    store.commit().unwrap();
    database.checkpoint().unwrap();
    let copy = directory.file("copy.db");
    fs::copy(&path, &copy).unwrap();
    assert_eq!(count(&Database::open(&copy).unwrap()), 1);
}

#[test]
fn a_backup_of_a_file_in_use_has_everything_that_was_committed() {
    let directory = TempDir::new("backup");
    let (path, copy) = (directory.file("a.db"), directory.file("copy.db"));
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    for number in 0..200 {
        add(&mut store, &format!("{number} a 0")).unwrap();
        store.commit().unwrap();
    }
    add(&mut store, "200 a 0").unwrap();
    let backup = back_up(&path, &copy).unwrap();
    assert_eq!((backup.entries, backup.records), (200, 0));
    assert_eq!(backup.bytes, fs::metadata(&copy).unwrap().len());
    store.commit().unwrap();
    let copied = Database::open(&copy).unwrap();
    assert_eq!((count(&copied), copied.store().last_added().unwrap()), (200, 200));
    assert_eq!(count(&database), 201);
}

#[test]
fn a_backup_replaces_no_file() {
    let directory = TempDir::new("backup-exists");
    let (path, copy) = (directory.file("a.db"), directory.file("copy.db"));
    drop(Database::open(&path).unwrap());
    fs::write(&copy, "precious").unwrap();
    let error = back_up(&path, &copy).expect_err("it exists");
    assert!(error.to_string().contains("copy.db"), "{error}");
    assert_eq!(fs::read(&copy).unwrap(), b"precious");
    let missing = back_up(directory.file("missing.db"), directory.file("other.db"));
    assert!(matches!(missing, Err(SqliteError::File { .. })));
    assert!(!directory.names().iter().any(|name| name.contains("other") || name == "missing.db"));
}
