//! The records of the official client: undone changes restore the last confirmed values, and the
//! log keeps the required actions.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use logux::{
    Action, ActionId, Log, MemoryStore, NodeId, Now, Store, WallTime,
    client::{self, Client},
    crdt::SyncMaps,
    log::Draft,
    replay::{Timeline, TimelineConfig},
    store::Query,
    sync,
};
use serde_json::json;

type Tasks = Log<MemoryStore, Timeline<SyncMaps>>;

fn tasks(config: TimelineConfig) -> Tasks {
    let timeline = Timeline::with_config(SyncMaps::new("tasks"), config);
    Log::with_observer(NodeId::new("10:a:b").unwrap(), MemoryStore::new(), timeline).unwrap()
}

fn add(log: &mut Tasks, ms: i64, json: &str, draft: Draft) -> ActionId {
    log.add(WallTime::from_millis(ms), Action::new(json).unwrap(), draft).unwrap().unwrap().meta.id
}

fn write(log: &mut Tasks, n: i64, field: &str) {
    let json = format!(r#"{{"type":"tasks/changed","id":"1","fields":{{"{field}":{n}}}}}"#);
    add(log, n, &json, Draft::default());
}

fn answer(log: &mut Tasks, ms: i64, kind: &str, id: &ActionId) {
    let json = format!(r#"{{"type":"logux/{kind}","id":"{id}","reason":"denied"}}"#);
    let server = format!("{ms} server:x 0").parse().unwrap();
    log.add(
        WallTime::from_millis(ms),
        Action::new(json).unwrap(),
        Draft::of(server, WallTime::from_millis(ms)),
    )
    .unwrap();
}

fn kept_actions(log: &Tasks) -> Vec<String> {
    let page = log.store().page(&Query::created().oldest_first(), 1_000).unwrap();
    page.entries.iter().map(|entry| entry.action.as_json().to_owned()).collect()
}

#[test]
fn an_undone_change_restores_each_field() {
    let mut log = tasks(TimelineConfig::default());
    add(
        &mut log,
        1,
        r#"{"type":"tasks/created","id":"7","fields":{"title":"Tea","done":false}}"#,
        Draft::default(),
    );
    let mine = add(
        &mut log,
        2,
        r#"{"type":"tasks/change","id":"7","fields":{"title":"Milk","done":true}}"#,
        Draft::reason("syncing"),
    );
    add(
        &mut log,
        3,
        r#"{"type":"tasks/changed","id":"7","fields":{"done":"almost"}}"#,
        Draft::default(),
    );
    assert_eq!(log.state().get("7"), Some(json!({"id": "7", "title": "Milk", "done": "almost"})));
    answer(&mut log, 4, "undo", &mine);
    assert_eq!(log.state().get("7"), Some(json!({"id": "7", "title": "Tea", "done": "almost"})));
}

#[test]
fn the_last_confirmed_value_is_kept_until_the_next_one_is_confirmed() {
    // Without history: undo is possible only until the answer of the server.
    let mut log =
        tasks(TimelineConfig { history: Some(0), clean_every: 1, ..TimelineConfig::default() });
    let first = r#"{"type":"tasks/created","id":"7","fields":{"title":"Tea"}}"#;
    add(&mut log, 1, first, Draft::default());
    let refused = add(
        &mut log,
        2,
        r#"{"type":"tasks/change","id":"7","fields":{"title":"Milk"}}"#,
        Draft::reason("syncing"),
    );
    assert_eq!(kept_actions(&log).len(), 2, "the server has not answered");
    answer(&mut log, 3, "undo", &refused);
    assert_eq!(log.state().field("7", "title"), Some(&json!("Tea").into()));
    let done = r#"{"type":"tasks/change","id":"7","fields":{"title":"Coffee"}}"#;
    let mine = add(&mut log, 4, done, Draft::reason("syncing"));
    answer(&mut log, 5, "processed", &mine);
    assert_eq!(kept_actions(&log).last().map(|json| &**json), Some(done));
    assert!(
        !kept_actions(&log).contains(&first.to_owned()),
        "the old value must be removed: {:?}",
        kept_actions(&log)
    );
    let page = log.store().page(&Query::created().index("tasks/7"), 10).unwrap();
    assert!(!page.entries.is_empty(), "the indexes of the reference must exist");
}

#[test]
fn a_deletion_removes_only_older_fields() {
    let mut log = tasks(TimelineConfig::default());
    add(
        &mut log,
        1,
        r#"{"type":"tasks/created","id":"7","fields":{"title":"Tea","done":false}}"#,
        Draft::default(),
    );
    let deletion = add(&mut log, 3, r#"{"type":"tasks/delete","id":"7"}"#, Draft::default());
    assert_eq!(log.state().get("7"), None);
    add(
        &mut log,
        2,
        r#"{"type":"tasks/changed","id":"7","fields":{"title":"late"}}"#,
        Draft::of("2 20:c:d 0".parse().unwrap(), WallTime::from_millis(2)),
    );
    assert_eq!(log.state().get("7"), None, "the change is older than the deletion");
    add(
        &mut log,
        4,
        r#"{"type":"tasks/changed","id":"7","fields":{"done":true}}"#,
        Draft::default(),
    );
    assert_eq!(
        log.state().get("7"),
        Some(json!({"id": "7", "done": true})),
        "the change is newer than the deletion"
    );
    answer(&mut log, 5, "undo", &deletion);
    assert_eq!(log.state().get("7"), Some(json!({"id": "7", "title": "late", "done": true})));
    assert_eq!(log.state().ids().map(|id| &**id).collect::<Vec<_>>(), ["7"]);
}

#[test]
fn malformed_actions_change_nothing_and_are_reported() {
    let mut log = tasks(TimelineConfig::default());
    let long = format!(r#"{{"type":"tasks/change","id":"{}","fields":{{}}}}"#, "7".repeat(5_000));
    let bad = [
        r#"{"type":"tasks/change","id":7,"fields":{}}"#,
        r#"{"type":"tasks/change","id":"7"}"#,
        r#"{"type":"tasks/delete"}"#,
        &long,
    ];
    for json in bad {
        add(&mut log, 1, json, Draft::default());
    }
    assert_eq!(log.state().ids().count(), 0);
    assert_eq!(std::iter::from_fn(|| log.observer_mut().take_warning()).count(), bad.len());
}

#[test]
fn a_log_removes_obsolete_actions() {
    let config = TimelineConfig { history: Some(10), clean_every: 1, ..TimelineConfig::default() };
    let mut log = tasks(config);
    for n in 0..1_000 {
        write(&mut log, n, &format!("field{}", n % 5));
    }
    assert!(log.store().len() <= 20, "{} of 1,000 kept", log.store().len());
    assert!(log.timeline().stats().steps <= 20, "{:?}", log.timeline().stats());
    let read =
        Timeline::read(SyncMaps::new("tasks"), TimelineConfig::default(), log.store()).unwrap();
    assert_eq!(read.state(), log.state());
}

#[test]
fn a_client_shows_its_own_changes_at_once() {
    let config = client::Config {
        node: Arc::new(sync::Config::client(NodeId::new("10:a:b").unwrap())),
        token: None,
    };
    let mut client =
        Client::with_observer(config, MemoryStore::new(), Timeline::new(SyncMaps::new("tasks")))
            .unwrap();
    let change =
        Action::new(r#"{"type":"tasks/create","id":"7","fields":{"title":"Tea"}}"#).unwrap();
    client.sync(Now::from_millis(1, 1), change).unwrap();
    assert_eq!(client.log().state().field("7", "title"), Some(&json!("Tea").into()));
    assert_eq!(client.observer_mut().take_changes().unwrap().parts, ["7".into()]);
}

#[test]
fn obsolete_actions_are_removed_after_a_restart() {
    let config = TimelineConfig { history: Some(10), clean_every: 1, ..TimelineConfig::default() };
    let mut log = tasks(config.clone());
    (0..5).for_each(|n| write(&mut log, n, "a"));
    let node = log.node_id().clone();
    let store = log.into_store();
    let timeline = Timeline::read(SyncMaps::new("tasks"), config, &store).unwrap();
    let mut log = Log::with_observer(node, store, timeline).unwrap();
    (5..30).for_each(|n| write(&mut log, n, "b"));
    let kept = log.store().page(&Query::created(), 100).unwrap().entries;
    let of_a = kept.iter().filter(|entry| entry.action.as_json().contains("\"a\":")).count();
    assert_eq!(of_a, 1, "only the last write before the restart is kept");
}

/// Adds the compensation of an action, and returns its id.
fn compensate(log: &mut Tasks, ms: i64, id: &ActionId) -> Option<ActionId> {
    let action = SyncMaps::compensation(log.timeline(), id)?;
    Some(add(log, ms, action.as_json(), Draft::default()))
}

#[test]
fn an_edit_is_undone_and_redone_by_further_edits() {
    let mut log = tasks(TimelineConfig::default());
    let created = add(
        &mut log,
        1,
        r#"{"type":"tasks/create","id":"7","fields":{"title":"Tea","size":12345678901234567890123}}"#,
        Draft::default(),
    );
    let state = |log: &Tasks| log.state().get("7").map(|record| record.to_string());
    let first = state(&log);
    let deleted = add(&mut log, 2, r#"{"type":"tasks/delete","id":"7"}"#, Draft::default());
    let restored = compensate(&mut log, 3, &deleted).unwrap();
    assert_eq!(state(&log), first, "with the text of all values");
    let deleted_again = compensate(&mut log, 4, &restored).unwrap();
    assert_eq!(state(&log), None);
    compensate(&mut log, 5, &deleted_again).unwrap();
    // The fields were written since by the edits above.
    assert_eq!(compensate(&mut log, 6, &created), None);

    let mine = r#"{"type":"tasks/change","id":"7","fields":{"title":"Milk","new":1}}"#;
    let mine = add(&mut log, 7, mine, Draft::default());
    add(
        &mut log,
        8,
        r#"{"type":"tasks/changed","id":"7","fields":{"title":"Mine"}}"#,
        Draft::default(),
    );
    compensate(&mut log, 9, &mine).unwrap();
    let record = log.state().get("7").unwrap();
    assert_eq!((&record["title"], &record["new"]), (&json!("Mine"), &json!(null)));
    assert_eq!(compensate(&mut log, 10, &mine), None, "nothing is left to undo");
}

#[test]
fn a_creation_is_undone_by_a_deletion_unless_others_have_written_the_record() {
    for (other, expected) in
        [(None, None), (Some("note"), Some(json!({"id": "7", "title": null, "note": 1})))]
    {
        let mut log = tasks(TimelineConfig::default());
        let json = r#"{"type":"tasks/create","id":"7","fields":{"title":"Tea"}}"#;
        let created = add(&mut log, 1, json, Draft::default());
        if let Some(name) = other {
            let json = format!(r#"{{"type":"tasks/changed","id":"7","fields":{{"{name}":1}}}}"#);
            add(&mut log, 2, &json, Draft::default());
        }
        compensate(&mut log, 3, &created).unwrap();
        assert_eq!(log.state().get("7"), expected);
    }
}

/// Who may read a record again has all its fields, also those from before.
#[test]
fn a_revoked_record_is_hidden_until_a_later_change() {
    let mut log = tasks(TimelineConfig { history: Some(0), ..TimelineConfig::default() });
    write(&mut log, 1, "a");
    write(&mut log, 2, "b");
    let revoked = r#"{"type":"tasks/deleted","id":"1","reason":"revoked"}"#;
    add(&mut log, 3, revoked, Draft::default());
    assert_eq!((log.state().get("1"), log.state().field("1", "a")), (None, None));
    assert_eq!(log.state().ids().count(), 0);
    // An older one changes nothing.
    let older = Draft::of("2 server:x 0".parse().unwrap(), WallTime::from_millis(2));
    add(&mut log, 5, r#"{"type":"tasks/changed","id":"1","fields":{"c":2}}"#, older);
    assert_eq!(log.state().get("1"), None);
    write(&mut log, 6, "b");
    assert_eq!(log.state().get("1"), Some(json!({"id": "1", "a": 1, "b": 6, "c": 2})));
}
