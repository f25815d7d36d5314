//! Records: the latest write wins per field, whatever comes first.

mod common;

use logux::{Json, Stamp, WallTime, json::JsonObject, testing::strategies};
use logux_sqlite::{Changed, Database, Record, SqliteError, SyncMaps, Write};
use proptest::{collection::vec, prelude::*, sample::select};

use common::Folder;

fn maps() -> SyncMaps {
    Database::open_in_memory().expect("a database").sync_maps()
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

fn load(maps: &SyncMaps, id: &str) -> Option<String> {
    maps.load("tasks", id, None).expect("load").as_ref().map(show)
}

fn list(maps: &SyncMaps, filter: &str, since: Option<i64>) -> Vec<String> {
    let found =
        maps.list("tasks", &fields(filter), since.map(WallTime::from_millis)).expect("list");
    found.iter().map(show).collect()
}

#[test]
fn the_latest_write_of_a_field_wins() {
    let maps = maps();
    let created = maps.create("tasks", "1", &fields(r#"{"b":"x","a":1}"#), &at(3)).unwrap();
    assert_eq!(
        created,
        Changed { won: fields(r#"{"b":"x","a":1}"#), existed: false, exists: true }
    );
    let late = maps.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap();
    assert_eq!(late, Changed { won: fields(r#"{"a":2}"#), existed: true, exists: true });
    let mixed = maps.change("tasks", "1", &fields(r#"{"c":null,"a":3,"b":"y"}"#), &at(4)).unwrap();
    assert_eq!(mixed.won, fields(r#"{"c":null,"b":"y"}"#));
    assert!(
        maps.change("tasks", "1", &fields(r#"{"a":2}"#), &at(5)).unwrap().won.is_empty(),
        "the same again"
    );
    assert_eq!(load(&maps, "1").unwrap(), r#"1: a=2@5 b="y"@4 c=null@4"#);
    assert_eq!((load(&maps, "2"), maps.load("users", "1", None).unwrap()), (None, None));
}

#[test]
fn within_one_time_the_order_of_actions_decides() {
    let maps = maps();
    let stamp = |id: &str| Stamp::new(WallTime::from_millis(1), id.parse().unwrap());
    maps.change("tasks", "1", &fields(r#"{"a":"emoji"}"#), &stamp("1 \u{1f600} 0")).unwrap();
    maps.change("tasks", "1", &fields(r#"{"a":"private"}"#), &stamp("1 \u{e000} 0")).unwrap();
    maps.change("tasks", "1", &fields(r#"{"a":"plain"}"#), &stamp("1 z 9")).unwrap();
    assert_eq!(load(&maps, "1").unwrap(), r#"1: a="private"@1"#);
}

#[test]
fn a_deletion_takes_what_is_older() {
    let maps = maps();
    maps.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    assert!(maps.delete("tasks", "1", &at(3)).unwrap());
    assert_eq!((load(&maps, "1"), maps.deletion("tasks", "1").unwrap()), (None, Some(at(3))));
    let late = maps.change("tasks", "1", &fields(r#"{"a":2}"#), &at(2)).unwrap();
    assert_eq!(late, Changed { won: JsonObject::default(), existed: false, exists: false });
    assert!(!maps.create("tasks", "1", &fields(r#"{"a":2}"#), &at(3)).unwrap().exists);
    assert!(!maps.delete("tasks", "1", &at(2)).unwrap(), "a later deletion is known");
    assert_eq!(load(&maps, "1"), None);
    let back = maps.create("tasks", "1", &fields(r#"{"a":3}"#), &at(4)).unwrap();
    assert_eq!(back, Changed { won: fields(r#"{"a":3}"#), existed: false, exists: true });
    assert_eq!(
        (load(&maps, "1").unwrap(), maps.deletion("tasks", "1").unwrap()),
        ("1: a=3@4".into(), None)
    );
}

#[test]
fn a_late_deletion_does_not_take_what_is_newer() {
    let maps = maps();
    maps.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    maps.change("tasks", "1", &fields(r#"{"a":5}"#), &at(5)).unwrap();
    assert!(!maps.delete("tasks", "1", &at(3)).unwrap());
    assert_eq!(load(&maps, "1").unwrap(), "1: a=5@5");
    // A deletion of what nobody knows yet waits for it.
    assert!(maps.delete("tasks", "2", &at(3)).unwrap());
    assert!(!maps.create("tasks", "2", &fields(r#"{"a":1}"#), &at(1)).unwrap().exists);
}

#[test]
fn a_record_without_fields_is_a_record() {
    let maps = maps();
    assert!(maps.create("tasks", "1", &JsonObject::default(), &at(1)).unwrap().exists);
    assert_eq!(
        (load(&maps, "1").unwrap(), list(&maps, "{}", None)),
        ("1:".into(), vec!["1:".into()])
    );
}

#[test]
fn the_id_is_no_field() {
    let maps = maps();
    let error = maps.create("tasks", "1", &fields(r#"{"a":1,"\u0069d":"2"}"#), &at(1)).unwrap_err();
    assert!(matches!(error, SqliteError::IdAmongFields));
    assert_eq!(load(&maps, "1"), None);
}

#[test]
fn values_stay_to_the_letter() {
    let maps = maps();
    let text = r#"{"a\u0000":9007199254740993,"b":"\ud83d","c":[ 1.50 ],"":0.30000000000000004}"#;
    maps.create("tasks", "é", &fields(text), &at(1)).unwrap();
    let record = maps.load("tasks", "é", None).unwrap().unwrap();
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
fn lists_by_fields() {
    let maps = maps();
    for (id, json) in [
        ("1", r#"{"project":"10","done":false}"#),
        ("2", r#"{"project":"\u0031\u0030","done":true}"#),
        ("3", r#"{"project":10,"done":true}"#),
        ("4", r#"{"owner":"10","done":true}"#),
        ("5", r#"{"project":"10"}"#),
    ] {
        maps.create("tasks", id, &fields(json), &at(1)).unwrap();
        maps.create("notes", id, &fields(json), &at(1)).unwrap();
    }
    let found = |filter: &str| {
        let found = maps.list("tasks", &fields(filter), None).unwrap();
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
    maps.change("tasks", "1", &fields(r#"{"project":"20"}"#), &at(2)).unwrap();
    maps.delete("tasks", "5", &at(2)).unwrap();
    assert_eq!(
        (found(r#"{"project":"10"}"#), found(r#"{"project":"20"}"#)),
        ("2".into(), "1".into())
    );
}

#[test]
fn gives_only_what_is_newer() {
    let maps = maps();
    maps.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), &at(1)).unwrap();
    maps.change("tasks", "1", &fields(r#"{"b":2}"#), &at(5)).unwrap();
    maps.create("tasks", "2", &fields(r#"{"a":1}"#), &at(3)).unwrap();
    assert_eq!(list(&maps, "{}", Some(3)), ["1: b=2@5", "2: a=1@3"], "the time itself is included");
    assert_eq!(
        list(&maps, r#"{"a":1}"#, Some(4)),
        ["1: b=2@5", "2:"],
        "a filter looks at all fields"
    );
    let since = |time| {
        maps.load("tasks", "1", Some(WallTime::from_millis(time))).unwrap().as_ref().map(show)
    };
    assert_eq!(
        [since(0), since(5), since(6)],
        ["1: a=1@1 b=2@5", "1: b=2@5", "1:"].map(|text| Some(text.to_owned()))
    );
}

#[test]
fn what_arrives_late_is_news_all_the_same() {
    let maps = maps();
    fn arriving(stamp: &Stamp, arrived: i64) -> Write<'_> {
        Write { stamp, arrived: WallTime::from_millis(arrived) }
    }
    maps.create("tasks", "1", &fields(r#"{"a":1,"b":1}"#), arriving(&at(5), 5)).unwrap();
    maps.change("tasks", "2", &fields(r#"{"a":1}"#), arriving(&at(1), 9)).unwrap();
    maps.create("tasks", "3", &fields("{}"), arriving(&at(1), 1)).unwrap();
    maps.delete("tasks", "3", arriving(&at(2), 9)).unwrap();
    assert_eq!(list(&maps, "{}", Some(8)), ["1:", "2: a=1@1"]);
    assert_eq!(
        maps.deleted_since("tasks", WallTime::from_millis(8)).unwrap(),
        [("3".into(), at(2))]
    );
}

#[test]
fn remembers_deletions_until_told() {
    let maps = maps();
    for id in ["1", "2", "3", "4"] {
        maps.create("tasks", id, &fields(r#"{"a":1}"#), &at(1)).unwrap();
    }
    for (id, time) in [("3", 5), ("1", 7), ("2", 9)] {
        assert!(maps.delete("tasks", id, &at(time)).unwrap());
    }
    maps.create("tasks", "2", &fields(r#"{"a":2}"#), &at(10)).unwrap();
    let since = |time| {
        let found = maps.deleted_since("tasks", WallTime::from_millis(time)).unwrap();
        found
            .iter()
            .map(|(id, stamp)| format!("{id}@{}", stamp.time()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!([since(0), since(7), since(8)], ["3@5 1@7", "1@7", ""]);
    assert_eq!(maps.forget_deletions("tasks", WallTime::from_millis(7)).unwrap(), 1);
    assert_eq!(since(0), "1@7");
    assert!(
        maps.create("tasks", "3", &fields(r#"{"a":1}"#), &at(2)).unwrap().exists,
        "nothing speaks against it now"
    );
    assert!(!maps.create("tasks", "1", &fields(r#"{"a":1}"#), &at(2)).unwrap().exists);
    assert_eq!(maps.forget_deletions("tasks", WallTime::from_millis(100)).unwrap(), 2);
    assert_eq!(list(&maps, "{}", None), ["2: a=2@10", "3: a=1@2", "4: a=1@1"]);
}

#[test]
fn one_commit_for_the_log_and_the_records() {
    use logux::Store;
    let folder = Folder::new("one-commit");
    let path = folder.file("a.db");
    let database = Database::open(&path).unwrap();
    let mut store = database.store();
    for (id, time) in [("1 a 0", 1), ("2 a 0", 2)] {
        let _ = store.add(&mut common::entry(id, time)).unwrap();
        database.sync_maps().change("tasks", id, &fields(r#"{"a":1}"#), &at(time)).unwrap();
        if time == 1 {
            store.commit().unwrap();
        }
    }
    assert_eq!(list(&database.sync_maps(), "{}", None).len(), 2, "reads see what is not committed");
    drop((store, database));
    let database = Database::open(&path).unwrap();
    assert_eq!(
        (database.store().last_added().unwrap(), list(&database.sync_maps(), "{}", None).len()),
        (1, 1)
    );
}

/// Something that happens to one record.
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

    fn happen(&self, maps: &SyncMaps) -> Result<(), SqliteError> {
        match self {
            Self::Change(fields, stamp) => maps.change("tasks", "1", fields, stamp).map(drop),
            Self::Delete(stamp) => maps.delete("tasks", "1", stamp).map(drop),
        }
    }
}

/// Events of different stamps, since an action has a stamp of its own, and the same events in another order.
fn events() -> impl Strategy<Value = (Vec<Event>, Vec<Event>)> {
    let different = vec(event(), 0..10).prop_map(|mut events| {
        events.sort_by(|a, b| a.stamp().cmp(b.stamp()));
        events.dedup_by(|a, b| a.stamp() == b.stamp());
        events
    });
    different.prop_flat_map(|events| (Just(events.clone()), Just(events).prop_shuffle()))
}

/// What came last, told by going through the events in their order.
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
    fn any_order_of_arrival_gives_what_their_own_order_gives((ordered, arrived) in events(), again in any::<prop::sample::Index>()) {
        let maps = maps();
        for event in &arrived {
            event.happen(&maps).unwrap();
        }
        if !arrived.is_empty() {
            arrived[again.index(arrived.len())].happen(&maps).unwrap();
        }
        let found = maps.load("tasks", "1", None).unwrap();
        let found = found.map(|record| {
            record.fields.into_iter().map(|field| (field.key.to_string(), field.value.to_string(), field.stamp)).collect()
        });
        prop_assert_eq!(found, replay(&ordered));
    }
}
