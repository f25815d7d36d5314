//! The SQLite store passes the suite of every store, in memory and in a file that is closed and
//! reopened.

mod common;

use logux::testing::{store_model, store_suite};
use logux_sqlite::{Database, SqliteStore};

use common::TempDir;

fn in_memory() -> SqliteStore {
    Database::open_in_memory().expect("a database").store()
}

#[test]
fn passes_the_suite_in_memory() {
    store_suite::run(in_memory);
}

#[test]
fn passes_the_suite_in_a_file() {
    let directory = TempDir::new("suite");
    let mut count = 0;
    store_suite::run(|| {
        count += 1;
        Database::open(directory.file(&format!("{count}.db"))).expect("a database").store()
    });
}

#[test]
fn passes_the_reopening_suite() {
    let directory = TempDir::new("reopening");
    let mut count = 0;
    store_suite::run_reopened(|| {
        count += 1;
        let file = directory.file(&format!("{count}.db"));
        move || Database::open(&file).expect("a database").store()
    });
}

#[test]
fn behaves_like_the_model() {
    store_model::assert_like_model(in_memory, |_| (), 200);
}
