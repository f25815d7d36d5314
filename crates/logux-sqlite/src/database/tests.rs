use super::*;
use logux::{Action, Entry, Meta, Store, store::Insertion};
use std::panic::{AssertUnwindSafe, catch_unwind};

fn entry(id: &str, length: usize) -> Entry {
    let action = Action::new(format!(r#"{{"type":"a","text":"{}"}}"#, "x".repeat(length))).unwrap();
    Entry::new(action, Meta::new(id.parse().unwrap()).with_reason("r"))
}

fn with_one_committed() -> (Database, SqliteStore) {
    let database = Database::open_in_memory().unwrap();
    let mut store = database.store();
    assert_eq!(store.add(&mut entry("1 a 0", 1)).unwrap(), Insertion::Added);
    store.commit().unwrap();
    (database, store)
}

#[test]
fn a_database_is_ready_to_write_in_a_transaction_and_outside_of_calls() {
    let (database, mut store) = with_one_committed();
    assert!(!database.is_ready_to_write(), "a write begins a transaction");
    assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
    assert!(database.is_ready_to_write());
    let during_a_call = database.write(|_, _| {
        let other = database.clone();
        Ok(std::thread::spawn(move || other.is_ready_to_write()).join().unwrap())
    });
    assert!(!during_a_call.unwrap());
}

fn count(reads: &Reads<'_>) -> Result<i64, SqliteError> {
    let count = "SELECT count(*) FROM entries";
    reads.read(|db| Ok(db.query_one(count, [], |row| row.get(0))?))
}

#[test]
fn a_read_of_committed_data_does_not_make_writers_wait() {
    let path = std::env::temp_dir().join(format!("logux-read-{}.db", std::process::id()));
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    assert_eq!(store.add(&mut entry("1 a 0", 1)).unwrap(), Insertion::Added);
    store.commit().unwrap();
    let counts = database.read_committed(Duration::ZERO, |reads| {
        let before = count(reads)?;
        reads.read(|_| {
            let (sender, written) = std::sync::mpsc::channel();
            let mut store = store.clone();
            std::thread::spawn(move || {
                let added = store.add(&mut entry("2 a 0", 1)).and_then(|_| store.commit());
                sender.send(added).unwrap();
            });
            let wait = Duration::from_secs(10);
            written.recv_timeout(wait).expect("the write does not wait for the read")
        })?;
        Ok((before, count(reads)?))
    });
    assert_eq!(counts.unwrap(), (1, 1), "a read sees one state");
    assert_eq!(database.read_committed(Duration::ZERO, count).unwrap(), 2);
    assert_eq!(store.add(&mut entry("3 a 0", 1)).unwrap(), Insertion::Added);
    let now = database.read_committed(Duration::ZERO, count).unwrap();
    assert_eq!(now, 3, "it includes what nobody commits");
    let waiting = {
        let database = database.clone();
        std::thread::spawn(move || database.read_committed(Duration::from_secs(60), count))
    };
    store.commit().unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), 3);
    // The second connection is closed, and opened again.
    database.reopen().unwrap();
    assert_eq!(database.read_committed(Duration::ZERO, count).unwrap(), 3);
    assert!(matches!(Database::open(&path), Err(SqliteError::InUse { .. })));
    drop((database, store));
    for end in ["", "-lock"] {
        std::fs::remove_file(format!("{}{end}", path.display())).unwrap();
    }
    let wal = format!("{}-wal", path.display());
    assert!(!Path::new(&wal).exists(), "the last connection removes it");
}

#[test]
fn a_panic_rolls_back_and_the_next_commit_reports_it() {
    let (database, mut store) = with_one_committed();
    assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _ = database.write::<()>(|db, _| {
            db.execute("DELETE FROM entries", []).unwrap();
            panic!("during a write");
        });
    }));
    assert!(panicked.is_err());
    assert_eq!(
        (store.last_added().unwrap(), store.by_id(&"2 a 0".parse().unwrap()).unwrap()),
        (1, None)
    );
    assert!(matches!(store.add(&mut entry("3 a 0", 1)), Err(SqliteError::RolledBack(_))));
    assert!(matches!(store.commit(), Err(SqliteError::RolledBack(_))));
    assert_eq!(store.add(&mut entry("3 a 0", 1)).unwrap(), Insertion::Added);
    store.commit().unwrap();
    assert_eq!(store.last_added().unwrap(), 2);
}

#[test]
fn a_failed_write_undoes_only_itself() {
    let (database, mut store) = with_one_committed();
    assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
    let failed = database.write::<()>(|db, last_added| {
        db.execute("DELETE FROM entries", [])?;
        *last_added = 9;
        Err(SqliteError::IdAmongFields)
    });
    assert!(matches!(failed, Err(SqliteError::IdAmongFields)));
    assert_eq!(store.last_added().unwrap(), 2);
    store.commit().unwrap();
    assert!(store.by_id(&"2 a 0".parse().unwrap()).unwrap().is_some());
}

#[test]
fn a_full_disk_keeps_committed_entries() {
    let (database, mut store) = with_one_committed();
    database.read(|db| Ok(db.pragma_update(None, "max_page_count", 60)?)).unwrap();
    let mut added = 1;
    let failure =
        (2..).find_map(|number| match store.add(&mut entry(&format!("{number} a 0"), 5_000)) {
            Ok(insertion) => {
                assert_eq!(insertion, Insertion::Added);
                added = number;
                None
            }
            Err(error) => Some((number, error)),
        });
    let (number, error) = failure.expect("the disk is full");
    assert!(matches!(error, SqliteError::Sqlite(_)), "{error}");
    assert_eq!(store.by_id(&format!("{number} a 0").parse().unwrap()).unwrap(), None);
    let last = if store.commit().is_ok() { added } else { 1 };
    assert_eq!(store.last_added().unwrap(), last);
    assert!(store.by_id(&format!("{last} a 0").parse().unwrap()).unwrap().is_some());
}

#[test]
fn a_rollback_restores_the_added_numbers() {
    let (database, mut store) = with_one_committed();
    assert_eq!(store.add(&mut entry("2 a 0", 1)).unwrap(), Insertion::Added);
    store.clean().unwrap();
    database.rollback().unwrap();
    assert_eq!(store.last_added().unwrap(), 1);
    assert_eq!(store.by_id(&"2 a 0".parse().unwrap()).unwrap(), None);
    database.rollback().unwrap();
    store.commit().unwrap();
}
