//! Lists of records, with hand-written frames of the server.

mod page;

use logux_web::WebEvent;
use page::Page;
use serde_json::{Value, json};

const CONNECTED: &str = r#"["connected",5,"server:a",[1700000000000,1700000000000]]"#;

fn open_list(page: &mut Page, filter: &Value) -> Value {
    page.ask(&json!({"openRecords": {"plural": "tasks", "filter": filter}}))
}

fn changes(page: &mut Page, list: &Value) -> Value {
    page.ask(&json!({"listChanges": {"list": list}}))
}

fn edit(page: &mut Page, verb: &str, id: &str, fields: &Value) -> String {
    let action = json!({"type": format!("tasks/{verb}"), "id": id, "fields": fields});
    let id = page.ask(&json!({"editRecord": {"plural": "tasks", "action": action}}));
    id.as_str().expect("an id").to_owned()
}

/// The server sends actions. Returns what the page sends.
fn receive(page: &mut Page, added: u64, actions: &[Value]) -> Vec<String> {
    let mut frame = vec![json!("sync"), json!(added)];
    for (index, action) in actions.iter().enumerate() {
        frame.extend([action.clone(), json!({"id": [added, "server:a", index], "time": added})]);
    }
    let frame = Value::from(frame).to_string();
    sent(page.call(&json!({"frame": {"frame": frame}})).events)
}

fn sent(events: Vec<WebEvent>) -> Vec<String> {
    let frames = events.into_iter().filter_map(|event| match event {
        WebEvent::Send { frame } => Some(frame),
        _ => None,
    });
    frames.collect()
}

/// Connects. Returns what the page sends.
fn connect(page: &mut Page) -> Vec<String> {
    page.call(&json!("resume"));
    page.call(&json!("opened"));
    sent(page.call(&json!({"frame": {"frame": CONNECTED}})).events)
}

/// Returns the id of the latest entry of the database whose action contains `text`.
fn id_in(page: &Page, text: &str) -> Value {
    let has_text = |change: &&Value| change["action"].as_str().is_some_and(|it| it.contains(text));
    page.database.iter().rev().find(has_text).expect(text)["id"].clone()
}

#[test]
fn a_list_tells_only_what_has_changed() {
    let mut page = Page::load("10:phone:1", Vec::new());
    let list = open_list(&mut page, &json!({"done": false}));
    assert_eq!(
        changes(&mut page, &list),
        json!({"status": "loading", "changed": [], "removed": []})
    );
    for id in 0..100 {
        edit(&mut page, "create", &id.to_string(), &json!({"done": false, "n": 1.50}));
    }
    let all = changes(&mut page, &list);
    assert_eq!(all["changed"].as_array().map(Vec::len), Some(100));

    edit(&mut page, "change", "7", &json!({"n": 2}));
    edit(&mut page, "change", "8", &json!({"done": true}));
    let turn = page.call(&json!({"listChanges": {"list": list}}));
    let text = r#"{"status":"loading","changed":[{"id":"7","done":false,"n":2}],"removed":["8"]}"#;
    assert_eq!(turn.value.expect("changes").as_str(), text);
    assert_eq!(changes(&mut page, &list)["changed"], json!([]));

    let turn = page.call(&json!({"undo": {"channel": "tasks"}}));
    assert_eq!(turn.changed, ["tasks"]);
    assert_eq!(changes(&mut page, &list)["changed"][0]["id"], "8");
    page.call(&json!({"redo": {"channel": "tasks"}}));
    assert_eq!(changes(&mut page, &list)["removed"], json!(["8"]));
}

#[test]
fn a_page_that_is_loaded_again_has_its_records_and_sends_them() {
    let mut page = Page::load("10:phone:1", Vec::new());
    open_list(&mut page, &json!({}));
    edit(&mut page, "create", "7", &json!({"title": "Tea"}));
    let mut page = Page::load("10:phone:2", page.database);
    let list = open_list(&mut page, &json!({}));
    assert_eq!(changes(&mut page, &list)["changed"], json!([{"id": "7", "title": "Tea"}]));
    let frames = connect(&mut page);
    assert!(frames.iter().any(|frame| frame.contains("tasks/create")), "{frames:?}");
    let subscribe = id_in(&page, r#""channel":"tasks""#);

    // The server has answered the subscription: the list is ready, and subscribes to its records.
    let processed = json!({"type": "logux/processed", "id": subscribe});
    let frames = receive(&mut page, 1, &[processed]);
    assert!(frames.iter().any(|frame| frame.contains(r#""channel":"tasks/7""#)), "{frames:?}");
    assert_eq!(changes(&mut page, &list)["status"], "ready");
    // It refuses the record: the list does not have it.
    let refused =
        json!({"type": "logux/undo", "id": id_in(&page, "tasks/create"), "reason": "denied"});
    receive(&mut page, 2, &[refused]);
    assert_eq!(changes(&mut page, &list)["removed"], json!(["7"]));
}

#[test]
fn one_record_is_a_list_with_a_status_of_its_own() {
    let mut page = Page::load("10:phone:1", Vec::new());
    let list = page.ask(&json!({"openRecord": {"plural": "tasks", "id": "7"}}));
    connect(&mut page);
    let subscribe = id_in(&page, r#""channel":"tasks/7""#);
    let undo = json!({"type": "logux/undo", "id": subscribe, "reason": "notFound"});
    let frame = json!(["sync", 1, undo, {"id": [1, "server:a", 0], "time": 1}]).to_string();
    let turn = page.call(&json!({"frame": {"frame": frame}}));
    assert_eq!(turn.changed, ["tasks"]);
    assert_eq!(changes(&mut page, &list)["status"], "missing");
    edit(&mut page, "create", "8", &json!({"title": "Milk"}));
    assert_eq!(
        changes(&mut page, &list),
        json!({"status": "missing", "changed": [], "removed": []})
    );
    edit(&mut page, "create", "7", &json!({"title": "Tea"}));
    let created = json!([{"id": "7", "title": "Tea"}]);
    let expected = json!({"status": "loading", "changed": created, "removed": []});
    assert_eq!(changes(&mut page, &list), expected);
    page.call(&json!({"closeList": {"list": list}}));
    let error = page.client.call(
        logux::Now::from_millis(1_700_000_000_000, 0),
        &format!(r#"{{"listChanges":{{"list":{list}}}}}"#),
    );
    assert!(error.error.is_some_and(|error| error.contains("no list of records")));
}
