//! Typing: what follows each other within moments is one action, and undo returns to the selection.

use std::{ops::Range, time::Duration};

use logux::{
    Json,
    crdt::{Document, Path, Selection, Shared, Text, Unit},
    sync::State,
};
use logux_client::{
    BurstLimits, DocumentHandle, PendingAction, SyncError,
    testing::{FakeServer, TestClient, settle},
};
use serde_json::Value;
use tokio::time::sleep;

type Note = DocumentHandle<Shared<Text>>;

const KEY: Duration = Duration::from_millis(150);

async fn open(server: &FakeServer, user: &str) -> (TestClient, Note) {
    let client = server.connect(user).await.expect("connected");
    let note = client.client().document::<Text>("texts", "1").await.expect("open");
    note.loaded().await.expect("subscribed");
    (client, note)
}

fn replace(note: &Note, range: Range<usize>, text: &str) -> PendingAction {
    note.replace_text(range, text, Unit::Utf16).expect("within the text")
}

/// Types a letter at the end.
fn key(note: &Note, letter: &str) -> PendingAction {
    let end = note.state().len(Unit::Utf16);
    replace(note, end..end, letter)
}

/// Returns the text that each received action inserts.
fn inserted(server: &FakeServer) -> Vec<String> {
    let actions = server.received().into_iter();
    let actions = actions.map(|entry| serde_json::from_str(entry.action.as_json()).expect("JSON"));
    actions
        .filter(|action: &Value| action["type"] == "texts/edit")
        .map(|action| {
            let ops = action["ops"].as_array().expect("operations");
            ops.iter().filter_map(|op| op["text"].as_str()).collect()
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_hundred_keys_arrive_as_a_few_actions() {
    let server = FakeServer::start();
    server.documents("texts");
    let (_ada, note) = open(&server, "ada").await;
    let (_grace, mut other) = open(&server, "grace").await;
    let mut results = Vec::new();
    for _ in 0..100 {
        results.push(key(&note, "a"));
        sleep(KEY).await;
    }
    // All results of a burst come together.
    for result in results {
        result.await.expect("processed");
    }
    let received = inserted(&server);
    assert_eq!(received.concat().len(), 100);
    // 14 keys in 2 s.
    assert_eq!(received.len(), 8, "{received:?}");
    other.until(|text| text.len(Unit::Utf16) == 100).await.expect("a state");
}

#[tokio::test(start_paused = true)]
async fn the_limits_of_bursts_are_set_by_the_application() {
    let server = FakeServer::start();
    server.documents("texts");
    let builder = server.client("ada").expect("a user").bursts(BurstLimits::NONE);
    let client = TestClient::connect(builder, server.connector()).await.expect("connected");
    let note = client.client().document::<Text>("texts", "1").await.expect("open");
    for letter in ["T", "e", "a"] {
        key(&note, letter).await.expect("processed");
    }
    assert_eq!(inserted(&server), ["T", "e", "a"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_typed_last_is_sent_when_the_client_closes() {
    let server = FakeServer::start();
    server.documents("texts");
    let (client, note) = open(&server, "ada").await;
    drop((key(&note, "a"), key(&note, "b")));
    let last = client.client().clone();
    drop((client, note));
    last.close().await;
    assert_eq!(inserted(&server), ["ab"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_typed_last_is_sent_before_a_pause_of_the_connection() {
    let server = FakeServer::start();
    server.documents("texts");
    let (client, note) = open(&server, "ada").await;
    drop(key(&note, "a"));
    client.client().pause().expect("running");
    settle().await;
    assert_eq!(inserted(&server), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_burst_tells_all_of_its_edits() {
    let server = FakeServer::start();
    server.documents("texts");
    let (client, note) = open(&server, "ada").await;
    server.undo_next("denied");
    let edits = [key(&note, "a"), key(&note, "b")];
    assert_eq!(
        (note.state().to_string(), client.client().state()),
        ("ab".into(), State::Synchronized)
    );
    assert_eq!(edits[0].id(), edits[1].id());
    for edit in edits {
        let refused = edit.await;
        assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    }
    assert_eq!(note.state().to_string(), "");
}

/// A key into a document has its text at a path.
#[tokio::test(start_paused = true)]
async fn a_text_in_a_document_is_typed_alike() {
    let server = FakeServer::start();
    server.documents("notes");
    let client = server.connect("ada").await.expect("connected");
    let note = client.client().document::<Document>("notes", "1").await.expect("open");
    let body = Path::of(&["body"]).expect("a path");
    for (index, letter) in ["T", "e", "a"].into_iter().enumerate() {
        let typed = note.replace_text(&body, index..index, letter, Unit::Utf16);
        drop(typed.expect("within the text"));
    }
    note.close_step().await.expect("running");
    settle().await;
    let received = server.received();
    let edits = received.iter().filter(|entry| entry.action.kind() == "notes/edit");
    assert_eq!(edits.count(), 1);
    assert_eq!(note.state().text("/body").map(ToString::to_string).as_deref(), Some("Tea"));
}

/// Two authors type at once; one undoes a deletion, and has again what was selected.
#[tokio::test(start_paused = true)]
async fn undo_returns_to_the_selection_while_others_type() {
    let server = FakeServer::start();
    server.documents("texts");
    let (_ada, mut note) = open(&server, "ada").await;
    let (_grace, mut other) = open(&server, "grace").await;
    replace(&note, 0..0, "a totally ordered log").await.expect("processed");
    other.until(|text| text.len(Unit::Utf16) == 21).await.expect("a state");
    note.close_step().await.expect("running");

    let text = note.state();
    let selection = Selection {
        anchor: text.anchor_before(2, Unit::Utf16).expect("an index"),
        head: text.anchor_after(10, Unit::Utf16).expect("an index"),
    };
    let json = Json::from_value(&selection).expect("JSON");
    note.select(Some(json.clone())).expect("running");
    // Backspace, key by key.
    for end in (3..=10).rev() {
        drop(replace(&note, end - 1..end, ""));
        note.select(None).expect("running");
        sleep(KEY).await;
    }
    replace(&other, 2..2, "well-").await.expect("processed");
    replace(&other, 0..0, "This is ").await.expect("processed");
    let both = |text: &Text| text.to_string() == "This is a well-ordered log";
    note.until(both).await.expect("a state");

    let undone = note.undo().await.expect("running").expect("a step");
    assert_eq!(undone.selection, Some(json));
    let text = note.state();
    let [start, end] = [&selection.anchor, &selection.head]
        .map(|anchor| text.anchor_index(anchor, Unit::Utf16).expect("a known character"));
    assert_eq!(text.slice(start..end, Unit::Utf16), "totally ");
    assert!(text.to_string().starts_with("This is a "), "{text}");
    assert!(text.to_string().contains("well-") && text.to_string().ends_with("ordered log"));
    note.redo().await.expect("running").expect("a step");
    assert!(both(&note.state()));
    assert!(note.can_undo() && !note.can_redo());
}
