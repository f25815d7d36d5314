//! Records: for each field the last write wins, in any order of arrival.

mod common;

use logux::{Json, Stamp, WallTime, json::JsonObject, testing::strategies};
use logux_sqlite::{Changed, Database, Record, SqliteError, SqliteRecords, Write};
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

#[test]
fn the_last_write_of_a_field_wins() {
    let records = records();
    let created = records.create("tasks", "1", &fields(r#"{"b":"x","a":1}"#), &at(3)).unwrap();
    assert_eq!(
        created,
        Changed { won: fields(r#"{"b":"x","a":1}"#), existed: false, exists: true }
    );
    let late = records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap();
    assert_eq!(late, Changed { won: fields(r#"{"a":2}"#), existed: true, exists: true });
    let mixed =
        records.change("tasks", "1", &fields(r#"{"c":null,"a":3,"b":"y"}"#), &at(4)).unwrap();
    assert_eq!(mixed.won, fields(r#"{"c":null,"b":"y"}"#));
    assert!(
        records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap().won.is_empty(),
        "a repeated write"
    );
    assert_eq!(load(&records, "1").unwrap(), r#"1: a=2@5 b="y"@4 c=null@4"#);
    assert_eq!((load(&records, "2"), records.load("users", "1", None).unwrap()), (None, None));
}

#[test]
fn writes_at_the_same_time_are_ordered_by_action_id() {
    let records = records();
    let stamp = |id: &str| Stamp::new(WallTime::from_millis(1), id.parse().unwrap());
    records.change("tasks", "1", &fields(r#"{"a":"emoji"}"#), &stamp("1 \u{1f600} 0")).unwrap();
    records.change("tasks", "1", &fields(r#"{"a":"private"}"#), &stamp("1 \u{e000} 0")).unwrap();
    records.change("tasks", "1", &fields(r#"{"a":"plain"}"#), &stamp("1 z 9")).unwrap();
    assert_eq!(load(&records, "1").unwrap(), r#"1: a="private"@1"#);
}

#[test]
fn a_deletion_removes_older_fields() {
    let records = records();
    records.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    assert!(records.delete("tasks", "1", &at(3)).unwrap());
    assert_eq!((load(&records, "1"), records.deletion("tasks", "1").unwrap()), (None, Some(at(3))));
    let late = records.change("tasks", "1", &fields(r#"{"a":2}"#), &at(2)).unwrap();
    assert_eq!(late, Changed { won: JsonObject::default(), existed: false, exists: false });
    assert!(!records.create("tasks", "1", &fields(r#"{"a":2}"#), &at(3)).unwrap().exists);
    assert!(!records.delete("tasks", "1", &at(2)).unwrap(), "a later deletion is known");
    assert_eq!(load(&records, "1"), None);
    let back = records.create("tasks", "1", &fields(r#"{"a":3}"#), &at(4)).unwrap();
    assert_eq!(back, Changed { won: fields(r#"{"a":3}"#), existed: false, exists: true });
    assert_eq!(
        (load(&records, "1").unwrap(), records.deletion("tasks", "1").unwrap()),
        ("1: a=3@4".into(), None)
    );
}

#[test]
fn a_late_deletion_keeps_newer_fields() {
    let records = records();
    records.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    records.change("tasks", "1", &fields(r#"{"a":5}"#), &at(5)).unwrap();
    assert!(!records.delete("tasks", "1", &at(3)).unwrap());
    assert_eq!(load(&records, "1").unwrap(), "1: a=5@5");
    // The deletion of an unknown record applies to its later arrival.
    assert!(records.delete("tasks", "2", &at(3)).unwrap());
    assert!(!records.create("tasks", "2", &fields(r#"{"a":1}"#), &at(1)).unwrap().exists);
}

#[test]
fn a_record_may_have_no_fields() {
    let records = records();
    assert!(records.create("tasks", "1", &JsonObject::default(), &at(1)).unwrap().exists);
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
    records.change("tasks", "2", &fields(r#"{"a":1}"#), arriving(&at(1), 9)).unwrap();
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
        assert!(records.delete("tasks", id, &at(time)).unwrap());
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
    assert!(
        records.create("tasks", "3", &fields(r#"{"a":1}"#), &at(2)).unwrap().exists,
        "the deletion is forgotten"
    );
    assert!(!records.create("tasks", "1", &fields(r#"{"a":1}"#), &at(2)).unwrap().exists);
    assert_eq!(records.forget_deletions("tasks", WallTime::from_millis(100)).unwrap(), 2);
    assert_eq!(list(&records, "{}", None), ["2: a=2@10", "3: a=1@2", "4: a=1@1"]);
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
        database.records().change("tasks", id, &fields(r#"{"a":1}"#), &at(time)).unwrap();
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
    Change(JsonObject, Stamp),
    Delete(Stamp),
}

fn event() -> impl Strategy<Value = Event> {
    let change = vec((select(&["a", "b", "c"][..]), 0..3_u8), 0..3).prop_map(|pairs| {
        let mut fields = JsonObject::default();
        for (key, value) in pairs {
            fields.set(key, Json::new(value.to_string()).expect("JSON"));
        }
        fields
    });
    prop_oneof![
        3 => (change, strategies::stamp()).prop_map(|(fields, stamp)| Event::Change(fields, stamp)),
        1 => strategies::stamp().prop_map(Event::Delete),
    ]
}

impl Event {
    const fn stamp(&self) -> &Stamp {
        match self {
            Self::Change(_, stamp) | Self::Delete(stamp) => stamp,
        }
    }

    fn apply(&self, records: &SqliteRecords) -> Result<(), SqliteError> {
        match self {
            Self::Change(fields, stamp) => records.change("tasks", "1", fields, stamp).map(drop),
            Self::Delete(stamp) => records.delete("tasks", "1", stamp).map(drop),
        }
    }
}

/// Events with distinct stamps, as distinct actions have, and the same events in another order.
fn events() -> impl Strategy<Value = (Vec<Event>, Vec<Event>)> {
    let different = vec(event(), 0..10).prop_map(|mut events| {
        events.sort_by(|a, b| a.stamp().cmp(b.stamp()));
        events.dedup_by(|a, b| a.stamp() == b.stamp());
        events
    });
    different.prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
}

/// The expected record: applies the events in the order of their stamps.
fn replay(ordered: &[Event]) -> Option<Vec<(String, String, Stamp)>> {
    let mut record: Option<std::collections::BTreeMap<String, (String, Stamp)>> = None;
    for event in ordered {
        match event {
            Event::Delete(_) => record = None,
            Event::Change(fields, stamp) => {
                let record = record.get_or_insert_default();
                for (key, value) in fields.iter() {
                    record.insert(key.to_owned(), (value.to_string(), stamp.clone()));
                }
            }
        }
    }
    Some(record?.into_iter().map(|(key, (value, stamp))| (key, value, stamp)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_result_does_not_depend_on_the_order_of_arrival((ordered, arrived) in events(), again in any::<prop::sample::Index>()) {
        let records = records();
        for event in &arrived {
            event.apply(&records).unwrap();
        }
        if !arrived.is_empty() {
            arrived[again.index(arrived.len())].apply(&records).unwrap();
        }
        let found = records.load("tasks", "1", None).unwrap();
        let found = found.map(|record| {
            record.fields.into_iter().map(|field| (field.key.to_string(), field.value.to_string(), field.stamp)).collect()
        });
        prop_assert_eq!(found, replay(&ordered));
    }
}
