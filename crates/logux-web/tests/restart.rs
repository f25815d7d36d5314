//! A client that ends and starts again with what the database has.

mod page;

use logux::Now;
use logux_web::{Start, WebClient, WebEvent};
use serde_json::json;

use page::{Page, edit, open};

#[test]
fn a_page_that_is_loaded_again_has_its_edits_and_sends_them() {
    let mut page = Page::load("10:phone:1", Vec::new());
    page.call(&open());
    page.call(&edit(&json!([{"op": "insertText", "path": "/body", "text": "Hello"}])));
    page.call(&edit(&json!([{"op": "set", "path": "/tags", "value": ["a", {"b": 1.50}]}])));
    let mut page = Page::load("10:phone:2", page.database);
    page.call(&open());
    assert_eq!(page.get(""), json!({"body": "Hello", "tags": ["a", {"b": 1.5}]}));
    page.call(&json!({"undo": {"channel": "notes/7"}}));
    assert_eq!(page.get(""), json!({"body": "Hello"}), "undo knows the steps of before");

    page.call(&json!("resume"));
    page.call(&json!("opened"));
    let connected = r#"["connected",5,"server:a",[1700000000000,1700000000000]]"#;
    let turn = page.call(&json!({"frame": {"frame": connected}}));
    let is_edit = |event: &WebEvent| match event {
        WebEvent::Send { frame } => frame.contains("notes/edit"),
        _ => false,
    };
    assert!(turn.events.iter().any(is_edit), "{:?}", turn.events);
    assert!(turn.deadline.is_some());
}

#[test]
fn wrong_calls_have_no_effect_and_say_why() {
    let mut page = Page::load("10:phone:1", Vec::new());
    page.call(&open());
    let now = Now::from_millis(1_700_000_000_000, 0);
    for (call, expected) in [
        ("{", "the call cannot be read"),
        (r#"{"unknown":{}}"#, r#"the call cannot be read: there is no "unknown""#),
        (r#""unknown""#, r#"there is no "unknown""#),
        (r#"{"device":{"device":"unknown"}}"#, r#"there is no "unknown""#),
        (r#"{"get":{"channel":"notes/7"}}"#, r#"the field "path" is missing"#),
        (r#"{"get":{"channel":"notes/7","path":7}}"#, r#"the field "path""#),
        (r#"{"get":{},"info":{}}"#, "the call cannot be read"),
        (r#"{"get":{"channel":"notes/8","path":""}}"#, "notes/8 is not open"),
        (r#"{"get":{"channel":"notes/7","path":"title"}}"#, "path"),
        (r#"{"edit":{"channel":"notes/7","ops":[{"op":"remove","path":"/a","at":0}]}}"#, "/a"),
        (r#"{"anchor":{"channel":"notes/7","path":"/a","index":0}}"#, "expected a text at /a"),
    ] {
        let error = page.client.call(now, call).error.expect(call);
        assert!(error.contains(expected), "{call}: {error}");
    }
    assert_eq!(page.get(""), json!({}));
}

#[test]
fn a_database_that_cannot_be_read_says_which_entry() {
    let saved = json!({"change": "put", "id": "1 10:a:b 0", "action": "{", "time": 1, "added": 1,
        "reasons": ["syncing"]});
    let start = json!({"node": "10:phone:1", "saved": [saved]}).to_string();
    let start = Start::read(&start).expect("a start");
    let error = WebClient::start(start).expect_err("an action that is not JSON");
    assert!(error.to_string().contains("1 10:a:b 0"), "{error}");
}
