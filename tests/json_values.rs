//! Values in states are the text that was written: numbers, half of a surrogate pair and deep
//! values are the same in the log, in the state, and after saving and loading.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use logux::{
    Action, ActionId, Entry, Json, Log, MemoryStore, Meta, NodeId, Stamp, Store, WallTime,
    action::logux::Undo,
    crdt::{Crdt, Document, List, MAX_EDIT_DEPTH, Map, Path, Register, Shared, SyncMaps},
    json::MAX_DEPTH,
    log::Draft,
    replay::{Reducer, Timeline},
    wire::{MessageLimits, decode},
};
use serde_json::{Value, json};

type Replica<C> = Log<MemoryStore, Timeline<Shared<C>>>;

fn node() -> NodeId {
    NodeId::new("10:a:b").unwrap()
}

fn replica<C: Crdt>() -> Replica<C> {
    let timeline = Timeline::new(Shared::new("it", "1"));
    Log::with_observer(node(), MemoryStore::new(), timeline).unwrap()
}

fn add<C: Crdt>(log: &mut Replica<C>, ms: i64, fields: &str) -> ActionId {
    let text = format!(r#"{{"type":"it/edit","id":"1","ops":[{{{fields}}}]}}"#);
    let action = Action::new(text).unwrap();
    log.add(WallTime::from_millis(ms), action, Draft::default()).unwrap().unwrap().meta.id
}

/// Returns the state after saving and loading, and asserts that a snapshot action has the same.
fn reloaded<C: Crdt>(log: &Replica<C>) -> C {
    let loaded = C::load(&log.state().save()).unwrap();
    let shared = Shared::<C>::new("it", "1");
    let snapshot = shared.snapshot_action(&Shared::settlement(log.timeline(), None)).unwrap();
    let id: ActionId = "9 server:x 0".parse().unwrap();
    let snapshot = Entry::new(snapshot, Meta::new(id));
    assert!(shared.read_snapshot(&snapshot).unwrap().state == *log.state(), "the snapshot");
    assert!(loaded == *log.state(), "the saved state");
    loaded
}

/// Writes a value into each type, and returns the texts that the states have after loading.
fn texts(value: &str) -> Vec<String> {
    let mut register = replica::<Register>();
    add(&mut register, 1, &format!(r#""op":"set","value":{value}"#));
    let mut map = replica::<Map>();
    add(&mut map, 1, &format!(r#""op":"set","path":"/n","value":{value}"#));
    let mut list = replica::<List>();
    let insert = format!(r#""op":"insert","first":0,"values":[{value}]"#);
    add(&mut list, 1, &insert);
    let mut document = replica::<Document>();
    add(&mut document, 1, &format!(r#""op":"set","path":"/n","value":{value}"#));
    vec![
        reloaded(&register).get().unwrap().to_string(),
        reloaded(&map).get("/n").unwrap().to_string(),
        reloaded(&list).get(0).unwrap().to_string(),
        reloaded(&document).values().get("/n").unwrap().to_string(),
    ]
}

#[test]
fn values_keep_their_text() {
    for value in [
        "0",
        "-0",
        "-0.0",
        "1.0",
        "1.50",
        "1.1e24",
        "1e-7",
        "5e-324",
        "0.30000000000000004",
        "9007199254740993",
        "18446744073709551616",
        "123456789012345678901234567890",
        "1e400",
        "6.9294956446009195e15",
        r#""half \ud83d""#,
        r#"{"b":1,"a":[ 1.0 ],"b":"\u0061"}"#,
        "null",
    ] {
        assert_eq!(texts(value), vec![value; 4]);
    }
}

#[test]
fn random_doubles_are_exact() {
    let stamp = Stamp::new(WallTime::from_millis(1), "1 a 0".parse().unwrap());
    let mut random = 0x1234_5678_9ABC_DEF1_u64;
    for _ in 0..20_000 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let double = f64::from_bits(random);
        if !double.is_finite() {
            continue;
        }
        let op = format!(r#"{{"op":"set","path":"/n","value":{double:?}}}"#);
        let mut map = Map::default();
        map.apply(&serde_json::from_str(&op).unwrap(), &stamp);
        for map in [Map::load(&map.save()).unwrap(), map] {
            let json = map.to_json();
            assert_eq!(json["n"].as_f64().map(f64::to_bits), Some(double.to_bits()), "{double:?}");
        }
    }
}

#[test]
fn half_of_a_surrogate_pair_does_not_drop_the_other_fields() {
    let mut log =
        Log::with_observer(node(), MemoryStore::new(), Timeline::new(SyncMaps::new("tasks")))
            .unwrap();
    for (ms, text) in [
        (1, r#"{"type":"tasks/created","id":"1","fields":{"title":"before","done":false}}"#),
        (
            2,
            r#"{"type":"tasks/changed","id":"1","fields":{"\ud83d":1,"title":"half \ud83d","done":true}}"#,
        ),
    ] {
        log.add(WallTime::from_millis(ms), Action::new(text).unwrap(), Draft::default()).unwrap();
    }
    assert_eq!(log.state().field("1", "title").unwrap().as_str(), r#""half \ud83d""#);
    let expected = json!({"id": "1", "title": "half \u{fffd}", "done": true});
    assert_eq!(log.state().get("1"), Some(expected));
}

fn deep(depth: usize) -> String {
    "[".repeat(depth) + &"]".repeat(depth)
}

#[test]
fn the_depth_has_one_limit() {
    // A value of a list is in four levels of the action. Its state fits into a snapshot.
    let deepest = deep(MAX_EDIT_DEPTH - 4);
    assert_eq!(texts(&deepest), vec![deepest; 4]);
    let mut register = replica::<Register>();
    add(&mut register, 1, &format!(r#""op":"set","value":{}"#, deep(MAX_EDIT_DEPTH - 2)));
    let warning = register.observer_mut().take_warning().unwrap().to_string();
    assert!(warning.contains("expected at most 496 levels"), "{warning}");

    // The value is in the action.
    let deepest = deep(MAX_DEPTH - 1);
    let text = |value: &str| format!(r#"{{"type":"it","op":"set","value":{value}}}"#);
    let action = Action::new(text(&deepest)).unwrap();
    let error = Action::new(text(&deep(MAX_DEPTH))).unwrap_err().to_string();
    assert!(error.contains("nested deeper than the limit of 511"), "{error}");
    assert!(Json::new(action.as_json()).is_ok());
    assert!(action.parse::<Value>().is_ok(), "into any type");
    assert_eq!(Register::default().to_json(), Value::Null);

    // The action can be sent, received and undone.
    let undo = Undo {
        id: "1 10:a:b 0".into(),
        reason: "error".into(),
        action: Some(action.clone()),
        extra: Vec::new(),
    };
    let undo = undo.to_action().unwrap();
    assert_eq!((undo.field("action"), undo.str_field("reason").as_deref()), (None, Some("error")));
    let mut log = Log::new(node(), MemoryStore::new()).unwrap();
    let added = log.add(WallTime::from_millis(1), action, Draft::reason("r")).unwrap().unwrap();
    assert_eq!(log.store().by_id(&added.meta.id).unwrap(), Some(added));
    let sync = format!(r#"["sync",1,{},{{"id":[1,"10:a:b",0],"time":1}}]"#, text(&deepest));
    assert!(decode(&sync, &MessageLimits::default()).is_ok());
}

#[test]
fn a_value_is_found_beside_many_others() {
    let mut log = replica::<Document>();
    let items: Path = "/items".parse().unwrap();
    for n in 0..200_i64 {
        log.edit(WallTime::from_millis(n), |document, id| {
            document.list_op(&items, id, |list| list.push_op(json!({"n": n, "tags": ["a", n]}), id))
        })
        .unwrap();
    }
    add(&mut log, 1_000, r#""op":"set","path":"/title","value":"Plan""#);
    let get = |path: &str| log.state().get(&path.parse().unwrap());
    assert_eq!(get("/title"), Some(json!("Plan")));
    assert_eq!(get("/items/150/n"), Some(json!(150)));
    assert_eq!(get("/items/7/tags/1"), Some(json!(7)));
    assert_eq!(get("/items/7"), Some(json!({"n": 7, "tags": ["a", 7]})));
    assert_eq!((get("/items/200"), get("/items/07"), get("/titles")), (None, None, None));
}

#[test]
fn a_list_below_a_list_is_hidden_beside_a_similar_path() {
    let mut log = replica::<Document>();
    // In the order of paths, `/a!` is between `/a` and `/a/b`.
    for (ms, path) in [(1, "/a"), (2, "/a!"), (3, "/a/b")] {
        log.edit(WallTime::from_millis(ms), |document, id| {
            document.list_op(&path.parse().unwrap(), id, |list| list.push_op(json!(ms), id))
        })
        .unwrap();
    }
    assert_eq!(log.state().to_json(), json!({"a": [1], "a!": [2]}));
}
