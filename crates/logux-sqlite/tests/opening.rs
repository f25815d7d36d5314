//! Which files are opened and which are refused; a refused file is not changed.

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
};

use logux::{
    Entry, Json, Store,
    action::Subprotocol,
    store::{Insertion, Query, Synced},
};
use logux_sqlite::{Database, SqliteError};
use rusqlite::Connection;

use common::{TempDir, entry};

const HOLDER: &str = "LOGUX_TEST_HOLD";

fn refused(path: &Path) -> SqliteError {
    let before = fs::read(path).ok();
    let error = Database::open(path).expect_err("the file is refused");
    assert_eq!(fs::read(path).ok(), before, "the file was not changed");
    assert!(error.to_string().contains(&*path.to_string_lossy()), "{error}");
    error
}

fn all(store: &impl Store) -> Vec<Entry> {
    store.page(&Query::created().oldest_first(), 100).expect("a page").entries
}

#[test]
fn a_file_that_is_not_a_database_is_refused() {
    let directory = TempDir::new("not-a-database");
    for (name, content) in
        [("short", &b"hello"[..]), ("long", &[b'x'; 5_000]), ("magic", b"SQLite format 3\0 or not")]
    {
        let path = directory.file(name);
        fs::write(&path, content).unwrap();
        assert!(
            matches!(
                refused(&path),
                SqliteError::NotADatabase { .. } | SqliteError::OtherApplication { .. }
            ),
            "{name}"
        );
    }
    assert_eq!(directory.names(), ["long", "magic", "short"], "no other files were created");
}

#[test]
fn the_database_of_another_application_is_refused() {
    let directory = TempDir::new("other-application");
    for (name, application_id) in [("plain.db", 0), ("marked.db", 0x1234_5678)] {
        let path = directory.file(name);
        let other = Connection::open(&path).unwrap();
        other.execute_batch("CREATE TABLE entries (a); INSERT INTO entries VALUES (1)").unwrap();
        other.pragma_update(None, "application_id", application_id).unwrap();
        drop(other);
        let error = refused(&path);
        assert!(
            matches!(error, SqliteError::OtherApplication { application_id: id, .. } if id == application_id),
            "{error}"
        );
    }
}

#[test]
fn a_newer_schema_is_refused() {
    let directory = TempDir::new("newer-schema");
    let path = directory.file("a.db");
    drop(Database::open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    assert!(matches!(refused(&path), SqliteError::NewerSchema { found: 99, supported: 6, .. }));
}

#[test]
fn a_path_that_cannot_be_opened_is_refused() {
    let directory = TempDir::new("no-file");
    for path in [directory.file("missing/a.db"), directory.file("")] {
        let error = Database::open(&path).unwrap_err();
        assert!(matches!(error, SqliteError::File { .. }), "{error}");
    }
}

#[test]
fn an_empty_file_becomes_a_database() {
    let directory = TempDir::new("empty-file");
    let path = directory.file("a.db");
    fs::write(&path, "").unwrap();
    assert_eq!(Database::open(&path).unwrap().store().last_added().unwrap(), 0);
}

#[test]
fn a_file_of_version_1_is_brought_up_to_date() {
    let directory = TempDir::new("version-1");
    let path = directory.file("a.db");
    Connection::open(&path).unwrap().execute_batch(include_str!("fixtures/v1.sql")).unwrap();

    let database = Database::open(&path).unwrap();
    let store = database.store();
    let entries = all(&store);
    let written: Vec<_> =
        entries.iter().map(|entry| (entry.meta.id.to_string(), entry.action.as_json())).collect();
    assert_eq!(
        written,
        [
            ("1 a 0".to_owned(), r#"{"type":"first"}"#),
            ("9 b 1".to_owned(), r#"{"type":"second","z":1,"a":2}"#)
        ]
    );
    let second = &entries[1].meta;
    assert_eq!((second.time.as_millis(), second.added), (2, Some(2)));
    assert_eq!(
        (second.reasons.len(), second.indexes.len(), second.keep_last.as_deref()),
        (2, 1, Some("a"))
    );
    assert_eq!(second.subprotocol, Some(Subprotocol::SemVer("1.2.0".into())));
    assert_eq!(
        (entries[0].meta.subprotocol.clone(), second.extra.to_json()),
        (Some(Subprotocol::Number(3)), r#"{"k":[1]}"#.into())
    );
    assert_eq!(store.by_id(&second.id).unwrap().as_ref(), Some(&entries[1]));
    assert_eq!(store.newest_with_reason("a").unwrap(), Some(second.stamp()));
    assert_eq!(
        (store.last_added().unwrap(), store.synced().unwrap()),
        (5, Synced { sent: 4, received: 7 })
    );

    // The tables of later versions work.
    let fields = [("a", "1")].into_iter().fold(
        logux::json::JsonObject::default(),
        |mut fields, (key, value)| {
            fields.set(key, Json::new(value).unwrap());
            fields
        },
    );
    database.records().create("tasks", "1", &fields, &second.stamp()).unwrap();
    database.commit().unwrap();
    drop((store, database));
    let version: i32 = Connection::open(&path)
        .unwrap()
        .query_one("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, 6);
}

#[test]
fn records_of_version_4_get_their_sizes() {
    let directory = TempDir::new("version-4");
    let path = directory.file("a.db");
    let object = |json: &str| logux::json::JsonObject::from_json(json).unwrap();
    let at = |time| {
        let id = format!("{time} a 0").parse().unwrap();
        logux::Stamp::new(logux::WallTime::from_millis(time), id)
    };
    let database = Database::open(&path).unwrap();
    let fields = object(r#"{"é":12,"b":"x"}"#);
    database.records().create("tasks", "1", &fields, &at(1)).unwrap();
    database.commit().unwrap();
    drop(database);
    let older =
        "ALTER TABLE records DROP COLUMN field_count; ALTER TABLE records DROP COLUMN bytes;
        DROP TABLE documents; DROP TABLE document_archive; DROP TABLE document_versions;
        DROP TABLE purged_documents;
        PRAGMA user_version = 4";
    Connection::open(&path).unwrap().execute_batch(older).unwrap();

    let database = Database::open(&path).unwrap();
    let mut config = logux_sqlite::RecordConfig::default();
    (config.max_fields, config.max_bytes) = (3, 10);
    let records = database.records().with_config(config);
    records.change("tasks", "1", &object(r#"{"c":1}"#), &at(2)).unwrap();
    for json in [r#"{"c":12}"#, r#"{"d":1}"#] {
        assert!(records.change("tasks", "1", &object(json), &at(3)).is_err(), "{json}");
    }
}

#[test]
fn a_file_has_one_owner_in_a_process() {
    let directory = TempDir::new("one-owner");
    let path = directory.file("a.db");
    let first = Database::open(&path).unwrap();
    let store = first.store();
    assert!(matches!(Database::open(&path).unwrap_err(), SqliteError::InUse { .. }));
    drop(first);
    assert!(
        matches!(Database::open(&path).unwrap_err(), SqliteError::InUse { .. }),
        "the store keeps the file open"
    );
    drop(store);
    Database::open(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn a_linked_file_has_one_owner() {
    let directory = TempDir::new("one-name");
    let (path, link) = (directory.file("a.db"), directory.file("link.db"));
    let first = Database::open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Database::open(&link).unwrap_err(), SqliteError::InUse { .. }));
    drop(first);
    Database::open(&link).unwrap();
}

#[test]
fn a_file_has_one_owner_among_processes() {
    let directory = TempDir::new("one-process");
    let path = directory.file("a.db");
    let mut holder = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "hold_a_file_open", "--nocapture", "--test-threads=1"])
        .env(HOLDER, &path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(holder.stdout.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap() == "held"));
    let in_use = Database::open(&path).unwrap_err();
    let SqliteError::InUse { pid, .. } = in_use else { panic!("{in_use}") };
    assert_eq!(pid, Some(holder.id()));
    let named = format!("is in use by the process {}; stop it", holder.id());
    assert!(in_use.to_string().contains(&named), "{in_use}");
    holder.kill().unwrap();
    holder.wait().unwrap();
    let store = Database::open(&path).unwrap().store();
    assert_eq!(all(&store).len(), 1, "the commit of the other process is kept");
}

/// The body of the other process, not a test.
#[test]
fn hold_a_file_open() {
    let Some(path) = std::env::var_os(HOLDER) else { return };
    let mut store = Database::open(path).unwrap().store();
    assert_eq!(store.add(&mut entry("1 a 0", 1)).unwrap(), Insertion::Added);
    store.commit().unwrap();
    println!("\nheld");
    let _ = std::io::stdin().read_line(&mut String::new());
}

#[cfg(unix)]
#[test]
fn new_files_belong_to_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new("private");
    let _database = Database::open(folder.file("logux.db")).unwrap();
    let names = folder.names();
    assert_eq!(names, ["logux.db", "logux.db-lock", "logux.db-shm", "logux.db-wal"]);
    for name in names {
        let mode = fs::metadata(folder.file(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[cfg(unix)]
#[test]
fn existing_files_are_made_private() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = TempDir::new("public");
    let path = folder.file("logux.db");
    let database = Database::open(&path).unwrap();
    assert_eq!(database.restricted_files(), [] as [std::path::PathBuf; 0]);
    let mut store = database.store();
    assert_eq!(store.add(&mut entry("1 a 0", 1)).unwrap(), Insertion::Added);
    store.commit().unwrap();
    // The write-ahead log that a process leaves when it is killed.
    let wal = folder.file("logux.db-wal");
    let left = fs::read(&wal).unwrap();
    drop((store, database));
    fs::write(&wal, left).unwrap();
    for name in ["logux.db", "logux.db-wal"] {
        fs::set_permissions(folder.file(name), fs::Permissions::from_mode(0o644)).unwrap();
    }

    let database = Database::open(&path).unwrap();
    assert_eq!(database.restricted_files(), [path, wal]);
    for name in folder.names() {
        let mode = fs::metadata(folder.file(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
    assert_eq!(all(&database.store()).len(), 1);
}
