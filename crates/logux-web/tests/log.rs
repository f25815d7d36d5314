//! What JavaScript hears of the log, and adds to it.

mod page;

use logux_web::Turn;
use page::Page;
use serde_json::{Value, json};

/// Returns the events of a turn about the log: what has happened, the type of the action, its meta.
fn logged(turn: &Turn) -> Vec<(String, String, Value)> {
    let events = turn.events.iter().map(|event| serde_json::to_value(event).expect("JSON"));
    let of_log = events.filter(|event| event["event"] == "added" || event["event"] == "cleaned");
    let text = |value: &Value| value.as_str().expect("a string").to_owned();
    of_log
        .map(|event| (text(&event["event"]), text(&event["action"]["type"]), event["meta"].clone()))
        .collect()
}

fn names(turn: &Turn) -> Vec<String> {
    logged(turn).into_iter().map(|(event, kind, _)| format!("{event} {kind}")).collect()
}

#[test]
fn a_page_hears_of_the_log_after_it_has_asked() {
    let mut page = Page::load("10:phone:1", Vec::new());
    let silent = page.call(&json!({"sync": {"action": {"type": "before"}}}));
    assert_eq!(logged(&silent), []);
    page.call(&json!("observeLog"));
    let own = page.call(&json!({"sync": {"action": {"type": "a"}, "meta": {"reasons": ["r"]}}}));
    let events = logged(&own);
    let [(event, kind, meta)] = &events[..] else { panic!("expected one event, got {events:?}") };
    assert_eq!((&**event, &**kind), ("added", "a"));
    assert_eq!(meta["id"], own.value.expect("an id").to_value());
    assert_eq!((&meta["sync"], &meta["added"]), (&json!(true), &json!(2)));
    assert_eq!(meta["reasons"], json!(["r", "syncing"]));

    page.call(&json!("resume"));
    page.call(&json!("opened"));
    assert_eq!(page.ask(&json!("server")), Value::Null);
    let connected = r#"["connected",5,"server:a",[1700000000000,1700000000000]]"#;
    page.call(&json!({"frame": {"frame": connected}}));
    assert_eq!(page.ask(&json!("server")), "server:a");
    // The answer is not kept. The reason of the application keeps the action.
    let processed = json!({"type": "logux/processed", "id": meta["id"]});
    let frame = json!(["sync", 1, processed, {"id": [1, "server:a", 0], "time": 1}]).to_string();
    let turn = page.call(&json!({"frame": {"frame": frame}}));
    assert_eq!(names(&turn), ["added logux/processed", "cleaned logux/processed"]);
    assert_eq!(logged(&turn)[0].2.get("added"), None);
}

#[test]
fn a_page_adds_actions_that_stay_on_the_device() {
    let mut page = Page::load("10:phone:1", Vec::new());
    page.call(&json!("observeLog"));
    let add = |meta: Value| json!({"add": {"action": {"type": "local"}, "meta": meta}});
    let passing = page.call(&add(json!({})));
    assert_eq!(names(&passing), ["added local", "cleaned local"]);
    assert_eq!(passing.value.expect("a meta").to_value().get("added"), None);

    let kept = page.call(&add(json!({"keepLast": "tab", "indexes": ["i"]})));
    assert_eq!(names(&kept), ["added local"]);
    let meta = kept.value.expect("a meta").to_value();
    assert_eq!((&meta["reasons"], &meta["indexes"]), (&json!(["tab"]), &json!(["i"])));
    assert_eq!((meta.get("sync"), &meta["added"]), (None, &json!(1)));
    let later = page.call(&add(json!({"keepLast": "tab"})));
    assert_eq!(names(&later), ["cleaned local", "added local"]);

    // The reason of actions that are sent is not for others.
    let meta = page.ask(&add(json!({"reasons": ["syncing", "r"]})));
    assert_eq!(meta["reasons"], json!(["r"]));
    let id = page.ask(&json!("generateId"));
    assert_eq!(page.ask(&add(json!({"id": id, "time": 5, "reasons": ["r"]})))["time"], 5);
    assert_eq!(page.ask(&add(json!({"id": id}))), Value::Null, "the log has the id");
    let call = add(json!({"id": "1"})).to_string();
    let turn = page.client.call(logux::Now::from_millis(1_700_000_000_000, 0), &call);
    assert!(turn.error.is_some_and(|error| error.contains("not the id of an action")));
}
