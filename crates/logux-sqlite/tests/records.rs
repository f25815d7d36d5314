//! Records: for each field the last write wins, in any order of arrival.

mod common;

use logux::{Json, Stamp, WallTime, json::JsonObject, testing::strategies};
use logux_sqlite::{
    Changed, Database, Record, RecordConfig, RefusedWrite, SqliteError, SqliteRecords, Write,
};
use proptest::{collection::vec, prelude::*, sample::select};

use common::TempDir;

fn records() -> SqliteRecords {
    Database::open_in_memory().expect("a database").records()
}

fn at(time: i64) -> Stamp {
    Stamp::new(WallTime::from_millis(time), format!("{time} a 0").parse().expect("an id"))
}

fn fields(json: &str) -> JsonObject {
    JsonObject::from_json(json).expect("an object")
}

fn show(record: &Record) -> String {
    let fields = record
        .fields
        .iter()
        .map(|field| format!(" {}={}@{}", field.key, field.value, field.stamp.time()));
    format!("{}:{}", record.id, fields.collect::<String>())
}

fn load(records: &SqliteRecords, id: &str) -> Option<String> {
    records.load("tasks", id, None).expect("load").as_ref().map(show)
}

fn list(records: &SqliteRecords, filter: &str, since: Option<i64>) -> Vec<String> {
    let found =
        records.list("tasks", &fields(filter), since.map(WallTime::from_millis)).expect("list");
    found.iter().map(show).collect()
}

fn refused<T: std::fmt::Debug>(written: Result<T, SqliteError>) -> RefusedWrite {
    match written {
        Err(SqliteError::Refused(write)) => write,
        other => panic!("expected a refused write, got {other:?}"),
    }
}

#[test]
fn the_last_write_of_a_field_wins() {
    let records = records();
    let changed =
        |json: &str, existed, time| Changed { won: fields(json), existed, stamp: at(time) };
    let first = r#"{"b":"x","a":1}"#;
    let created = records.create("tasks", "1", &fields(first), &at(3)).unwrap();
    assert_eq!(created, changed(first, false, 3));
    let late = records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap();
    assert_eq!(late, changed(r#"{"a":2}"#, true, 5));
    let mixed =
        records.change("tasks", "1", &fields(r#"{"c":null,"a":3,"b":"y"}"#), &at(4)).unwrap();
    assert_eq!(mixed.won, fields(r#"{"c":null,"b":"y"}"#));
    let again = records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap();
    assert_eq!(again.won, fields(r#"{"a":2}"#), "a repeated write has the same result");
    assert_eq!(load(&records, "1").unwrap(), r#"1: a=2@5 b="y"@4 c=null@4"#);
    assert_eq!((load(&records, "2"), records.load("users", "1", None).unwrap()), (None, None));
}

#[test]
fn the_second_write_at_the_same_time_is_moved() {
    let records = records();
    let stamp = |id: &str| Stamp::new(WallTime::from_millis(1), id.parse().unwrap());
    for (id, value, time) in [("1 \u{1f600} 0", 1, 1), ("1 \u{e000} 0", 2, 2), ("1 z 9", 3, 1)] {
        let key = if value == 3 { "b" } else { "a" };
        let json = format!(r#"{{"{key}":{value}}}"#);
        let changed = records.create("tasks", "1", &fields(&json), &stamp(id)).unwrap();
        assert_eq!(changed.stamp.time(), WallTime::from_millis(time));
    }
    assert_eq!(load(&records, "1").unwrap(), "1: a=2@2 b=3@1");
}

#[test]
fn a_deletion_deletes_what_is_known() {
    let records = records();
    records.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap();
    let deletion = records.delete("tasks", "1", &at(3)).unwrap().unwrap();
    assert_eq!((deletion.time(), deletion.id()), (at(6).time(), at(3).id()), "after the change");
    let deleted = (None, Some(deletion));
    assert_eq!((load(&records, "1"), records.deletion("tasks", "1").unwrap()), deleted);
    for time in [6, 7] {
        let change = records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(time));
        assert_eq!(refused(change), RefusedWrite::NotFound, "also later");
    }
    let create = records.create("tasks", "1", &fields(r#"{"a":2}"#), &at(6));
    assert_eq!(refused(create), RefusedWrite::NotFound);
    assert_eq!(records.delete("tasks", "1", &at(9)).unwrap(), None);
    let back = records.create("tasks", "1", &fields(r#"{"a":3}"#), &at(10)).unwrap();
    assert!(!back.existed);
    assert_eq!(
        (load(&records, "1").unwrap(), records.deletion("tasks", "1").unwrap()),
        ("1: a=3@10".into(), None)
    );
    assert_eq!(records.delete("tasks", "2", &at(3)).unwrap(), None);
    let older = records.create("tasks", "2", &fields("{}"), &at(2));
    assert_eq!(refused(older), RefusedWrite::NotFound, "its author hides older writes");
}

#[test]
fn records_have_bounds() {
    let mut config = RecordConfig::default();
    (config.max_fields, config.max_bytes) = (3, 40);
    let records = records().with_config(config);
    records.create("tasks", "1", &fields(r#"{"a":1,"b":2}"#), &at(1)).unwrap();
    let more = records.change("tasks", "1", &fields(r#"{"c":1,"d":2}"#), &at(2));
    assert_eq!(refused(more), RefusedWrite::TooManyFields(3));
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(40));
    let long = records.change("tasks", "1", &fields(&long), &at(2));
    assert_eq!(refused(long), RefusedWrite::TooLarge(40));
    assert_eq!(load(&records, "1").unwrap(), "1: a=1@1 b=2@1", "nothing was written");
    records.change("tasks", "1", &fields(r#"{"a":3,"c":1}"#), &at(2)).unwrap();
    records.delete("tasks", "1", &at(3)).unwrap().unwrap();
    records.create("tasks", "1", &fields(r#"{"x":1,"y":1,"z":1}"#), &at(4)).unwrap();
    assert!(records.change("tasks", "1", &fields(r#"{"w":1}"#), &at(5)).is_err());
}

#[test]
fn a_record_may_have_no_fields() {
    let records = records();
    assert!(!records.create("tasks", "1", &JsonObject::default(), &at(1)).unwrap().existed);
    assert_eq!(
        (load(&records, "1").unwrap(), list(&records, "{}", None)),
        ("1:".into(), vec!["1:".into()])
    );
}

#[test]
fn the_id_is_not_a_field() {
    let records = records();
    let error =
        records.create("tasks", "1", &fields(r#"{"a":1,"\u0069d":"2"}"#), &at(1)).unwrap_err();
    assert!(matches!(error, SqliteError::IdAmongFields));
    assert_eq!(load(&records, "1"), None);
}

#[test]
fn values_are_stored_unchanged() {
    let records = records();
    let text = r#"{"a\u0000":9007199254740993,"b":"\ud83d","c":[ 1.50 ],"":0.30000000000000004}"#;
    records.create("tasks", "é", &fields(text), &at(1)).unwrap();
    let record = records.load("tasks", "é", None).unwrap().unwrap();
    let kept: Vec<_> =
        record.fields.iter().map(|field| (&*field.key, field.value.as_str())).collect();
    let expected = [
        ("", "0.30000000000000004"),
        ("a\0", "9007199254740993"),
        ("b", r#""\ud83d""#),
        ("c", "[ 1.50 ]"),
    ];
    assert_eq!(kept, expected);
}

#[test]
fn lists_records_by_fields() {
    let records = records();
    for (id, json) in [
        ("1", r#"{"project":"10","done":false}"#),
        ("2", r#"{"project":"\u0031\u0030","done":true}"#),
        ("3", r#"{"project":10,"done":true}"#),
        ("4", r#"{"owner":"10","done":true}"#),
        ("5", r#"{"project":"10"}"#),
    ] {
        records.create("tasks", id, &fields(json), &at(1)).unwrap();
        records.create("notes", id, &fields(json), &at(1)).unwrap();
    }
    let found = |filter: &str| {
        let found = records.list("tasks", &fields(filter), None).unwrap();
        found.iter().map(|record| record.id.to_string()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(found("{}"), "1 2 3 4 5");
    assert_eq!(found(r#"{"project":"10"}"#), "1 2 5");
    assert_eq!(found(r#"{"project":"10","done":true}"#), "2");
    assert_eq!(found(r#"{"project":1e1}"#), "3");
    assert_eq!(
        (found(r#"{"project":null}"#), found(r#"{"unknown":1}"#)),
        (String::new(), String::new())
    );
    records.change("tasks", "1", &fields(r#"{"project":"20"}"#), &at(2)).unwrap();
    records.delete("tasks", "5", &at(2)).unwrap();
    assert_eq!(
        (found(r#"{"project":"10"}"#), found(r#"{"project":"20"}"#)),
        ("2".into(), "1".into())
    );
}

#[test]
fn lists_only_fields_since_a_time() {
    let records = records();
    records.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    records.change("tasks", "1", &fields(r#"{"b":2}"#), &at(5)).unwrap();
    records.create("tasks", "2", &fields(r#"{"a":1}"#), &at(3)).unwrap();
    assert_eq!(list(&records, "{}", Some(3)), ["1: b=2@5", "2: a=1@3"], "`since` is inclusive");
    assert_eq!(
        list(&records, r#"{"a":1}"#, Some(4)),
        ["1: b=2@5", "2:"],
        "a filter matches older fields too"
    );
    let since = |time| {
        records.load("tasks", "1", Some(WallTime::from_millis(time))).unwrap().as_ref().map(show)
    };
    assert_eq!(
        [since(0), since(5), since(6)],
        ["1: a=1@1 b=2@5", "1: b=2@5", "1:"].map(|text| Some(text.to_owned()))
    );
}

#[test]
fn since_compares_arrival_times() {
    let records = records();
    fn arriving(stamp: &Stamp, arrived: i64) -> Write<'_> {
        Write { stamp, arrived: WallTime::from_millis(arrived) }
    }
    records.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), arriving(&at(5), 5)).unwrap();
    records.create("tasks", "2", &fields(r#"{"a":1}"#), arriving(&at(1), 9)).unwrap();
    records.create("tasks", "3", &fields("{}"), arriving(&at(1), 1)).unwrap();
    records.delete("tasks", "3", arriving(&at(2), 9)).unwrap();
    assert_eq!(list(&records, "{}", Some(8)), ["1:", "2: a=1@1"]);
    assert_eq!(
        records.deleted_since("tasks", WallTime::from_millis(8)).unwrap(),
        [("3".into(), at(2))]
    );
}

#[test]
fn remembers_deletions_until_forgotten() {
    let records = records();
    for id in ["1", "2", "3", "4"] {
        records.create("tasks", id, &fields(r#"{"a":1}"#), &at(1)).unwrap();
    }
    for (id, time) in [("3", 5), ("1", 7), ("2", 9)] {
        assert!(records.delete("tasks", id, &at(time)).unwrap().is_some());
    }
    records.create("tasks", "2", &fields(r#"{"a":2}"#), &at(10)).unwrap();
    let since = |time| {
        let found = records.deleted_since("tasks", WallTime::from_millis(time)).unwrap();
        found
            .iter()
            .map(|(id, stamp)| format!("{id}@{}", stamp.time()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!([since(0), since(7), since(8)], ["3@5 1@7", "1@7", ""]);
    assert_eq!(records.forget_deletions("tasks", WallTime::from_millis(7)).unwrap(), 1);
    assert_eq!(since(0), "1@7");
    let old = fields(r#"{"a":1}"#);
    assert!(!records.create("tasks", "3", &old, &at(2)).unwrap().existed, "it is forgotten");
    let create = records.create("tasks", "1", &old, &at(2));
    assert_eq!(refused(create), RefusedWrite::NotFound);
    assert_eq!(records.forget_deletions("tasks", WallTime::from_millis(100)).unwrap(), 2);
    assert_eq!(list(&records, "{}", None), ["2: a=2@10", "3: a=1@2", "4: a=1@1"]);
}

#[test]
fn deleting_forgets_old_deletions() {
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    let records = records();
    let ids: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let count = || records.deleted_since("tasks", WallTime::MIN).unwrap().len();
    for (n, id) in ids.iter().enumerate() {
        // The first 30 deletions are older than 90 days when the last 10 arrive.
        let time = if n < 30 { n as i64 } else { 91 * DAY + n as i64 };
        records.create("tasks", id, &fields("{}"), &at(time)).unwrap();
        records.delete("tasks", id, &at(time)).unwrap().unwrap();
        assert!(n >= 30 || count() == n + 1);
    }
    assert_eq!(count(), 10);
}

#[test]
fn a_commit_covers_the_log_and_the_records() {
    use logux::Store;
    let directory = TempDir::new("one-commit");
    let path = directory.file("a.db");
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    for (id, time) in [("1 a 0", 1), ("2 a 0", 2)] {
        let _ = store.add(&mut common::entry(id, time)).unwrap();
        database.records().create("tasks", id, &fields(r#"{"a":1}"#), &at(time)).unwrap();
        if time == 1 {
            store.commit().unwrap();
        }
    }
    assert_eq!(list(&database.records(), "{}", None).len(), 2, "reads include uncommitted writes");
    drop((store, database));
    let database = Database::open(&path).unwrap();
    assert_eq!(
        (database.store().last_added().unwrap(), list(&database.records(), "{}", None).len()),
        (1, 1)
    );
}

/// An event of one record.
#[derive(Clone, Debug)]
enum Event {
    Create(JsonObject, Stamp),
    Change(JsonObject, Stamp),
    Delete(Stamp),
}

fn event() -> impl Strategy<Value = Event> {
    let fields = vec((select(&["a", "b", "c"][..]), 0..3_u8), 0..3).prop_map(|pairs| {
        let mut fields = JsonObject::default();
        for (key, value) in pairs {
            fields.set(key, Json::new(value.to_string()).expect("JSON"));
        }
        fields
    });
    let stamp = strategies::stamp().prop_filter("a later time must exist", |stamp| {
        stamp.time() < WallTime::MAX.shifted(-1_000)
    });
    (fields, stamp, 0..4_u8).prop_map(|(fields, stamp, kind)| match kind {
        0 => Event::Create(fields, stamp),
        1 => Event::Delete(stamp),
        _ => Event::Change(fields, stamp),
    })
}

impl Event {
    const fn stamp(&self) -> &Stamp {
        match self {
            Self::Create(_, stamp) | Self::Change(_, stamp) | Self::Delete(stamp) => stamp,
        }
    }
}

/// A client that receives the results, and compares times only, as the official clients do.
#[derive(Debug, Default)]
struct Watcher(std::collections::BTreeMap<String, (String, WallTime)>);

impl Watcher {
    fn receive(&mut self, records: &SqliteRecords, event: &Event) {
        let changed = match event {
            Event::Create(fields, stamp) => records.create("tasks", "1", fields, stamp),
            Event::Change(fields, stamp) => records.change("tasks", "1", fields, stamp),
            Event::Delete(stamp) => {
                if let Some(deletion) = records.delete("tasks", "1", stamp).expect("deleted") {
                    assert!(self.0.values().all(|(_, time)| *time < deletion.time()));
                    self.0.clear();
                }
                return;
            }
        };
        let changed = match changed {
            Err(SqliteError::Refused(RefusedWrite::NotFound)) => return,
            changed => changed.expect("changed"),
        };
        let time = changed.stamp.time();
        for (key, value) in changed.won.iter() {
            let entry = self.0.entry(key.to_owned()).or_insert((value.to_string(), time));
            if entry.1 < time {
                *entry = (value.to_string(), time);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn watchers_and_newcomers_see_the_same(mut events in vec(event(), 0..12)) {
        // Distinct actions have distinct ids.
        let mut seen = std::collections::BTreeSet::new();
        events.retain(|event| seen.insert(event.stamp().id().to_string()));
        let records = records();
        let mut watcher = Watcher::default();
        for event in &events {
            watcher.receive(&records, event);
            let found = records.load("tasks", "1", None).unwrap();
            let fields = found.into_iter().flat_map(|record| record.fields);
            let loaded = fields
                .map(|field| (field.key.to_string(), (field.value.to_string(), field.stamp.time())))
                .collect();
            prop_assert_eq!(&watcher.0, &loaded);
        }
    }
}
