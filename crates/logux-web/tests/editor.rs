//! What an editor of a text asks for.

mod page;

use serde_json::{Value, json};

use crate::page::{Page, edit, open};

fn value(page: &mut Page, call: &Value) -> Value {
    page.call(call).value.map_or(Value::Null, |value| value.to_value())
}

#[test]
fn undo_returns_what_was_selected_before_the_step() {
    let mut page = Page::load("10:phone:1", Vec::new());
    page.call(&open());
    let select = |at: u64| json!({"select": {"channel": "notes/7", "selection": {"at": at}}});
    page.call(&select(1));
    page.call(&edit(&json!([{"op": "insertText", "path": "/body", "text": "Hello"}])));
    let mut page = Page::load("10:phone:2", page.database);
    page.call(&open());
    page.call(&select(5));
    let undone = page.call(&json!({"undo": {"channel": "notes/7"}})).value;
    assert_eq!(undone.map(|json| json.to_value()), Some(json!({"at": 1})));
    assert_eq!(page.get(""), json!({}));
    let redone = page.call(&json!({"redo": {"channel": "notes/7"}})).value;
    assert_eq!(redone.map(|json| json.to_value()), Some(json!({"at": 5})));
}

#[test]
fn changes_of_a_watched_text_are_those_of_others() {
    let mut page = Page::load("10:phone:1", Vec::new());
    page.call(&open());
    let place = json!({"channel": "notes/7", "path": "/body"});
    let watch = value(&mut page, &json!({"watchText": place}));
    let insert = |at: usize, text: &str| {
        let op = json!({"op": "insertText", "path": "/body", "at": at, "text": text});
        json!([op])
    };
    let ops = insert(0, "own");
    page.call(&json!({"edit": {"channel": "notes/7", "ops": ops, "watch": watch}}));
    let changes = json!({"textChanges": {"watch": watch}});
    assert_eq!(value(&mut page, &changes), json!([]));
    page.call(&edit(&insert(3, "!")));
    page.call(&edit(&insert(0, ">")));
    let expected = json!([
        {"from": 0, "to": 0, "insert": ">"},
        {"from": 3, "to": 3, "insert": "!"},
    ]);
    assert_eq!(value(&mut page, &changes), expected);
    assert_eq!(value(&mut page, &changes), json!([]));
}

#[test]
fn an_anchor_in_a_text_that_is_not_there_yet_has_no_index() {
    let mut page = Page::load("10:phone:1", Vec::new());
    page.call(&open());
    page.call(&edit(&json!([{"op": "insertText", "path": "/body", "text": "abc"}])));
    let place = |path: &str| json!({"channel": "notes/7", "path": path, "index": 2});
    let anchor = value(&mut page, &json!({"anchor": place("/body")}));
    let index =
        |path: &str| json!({"anchorIndex": {"channel": "notes/7", "path": path, "anchor": anchor}});
    assert_eq!(value(&mut page, &index("/body")), json!(2));
    assert_eq!(value(&mut page, &index("/title")), Value::Null);
}
