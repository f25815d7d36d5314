//! Documents for clients that know only their JSON: `filter: {"format":"json"}`, `notes/state`,
//! `notes/changed` and `notes/change`.

#[path = "support/documents.rs"]
mod documents;
#[path = "support/json_follower.rs"]
mod json_follower;

use std::{sync::Arc, time::Duration};

use documents::{create, kinds, set, shown, subscribe};
use json_follower::{Follower, change, subscribe_json};
use logux::{
    Action,
    action::DocumentOperation,
    crdt::{Document, List},
    server::SettlementRule,
};
use logux_client::testing::{TestClient, TestError};
use logux_schema::Schema;
use logux_server::{MemoryDocuments, Server, testing::TestServer};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

/// Serves notes. `guest` only reads, `critic` comments, and only `ada` manages the members. Who is
/// no member any more, reads no more.
fn start() -> TestServer {
    let schema = Schema::new(&json!({"properties": {"title": {"type": "string"}}}));
    let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|request| async move {
            let user = request.user_id().unwrap_or_default().to_owned();
            let state = request.state().await?.get(&"/removed".parse()?);
            let is_removed = state.is_some_and(|removed| removed.get(&user).is_some());
            Ok(match request.operation() {
                _ if is_removed => false,
                DocumentOperation::Read => true,
                DocumentOperation::Comment => user != "guest",
                DocumentOperation::Manage => user == "ada",
                _ => user != "guest" && user != "critic",
            })
        })
        .comments_at(["/comments".parse().expect("a path")])
        .managed_at(["/removed".parse().expect("a path")])
        .schema(schema.expect("a schema"))
        .settlement(SettlementRule { open_actions: 50, ..SettlementRule::default() })
        .undoable()
    });
    TestServer::start(server).expect("a server")
}

async fn start_with(id: &str, ops: Value) -> (TestServer, TestClient) {
    let server = start();
    let ada = server.connect("ada").await.expect("connected");
    let create = json!({"type": "notes/create", "id": id, "ops": ops});
    ada.process(create).await.expect("created");
    (server, ada)
}

fn text_op(first: u32, text: &str) -> Value {
    json!({"op": "insertText", "path": "/text", "first": first, "text": text})
}

/// Lets a time pass.
async fn wait(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(start_paused = true)]
async fn a_subscriber_receives_the_state_and_then_what_changes() {
    let (server, ada) = start_with("7", json!([text_op(0, "Hello")])).await;
    let native = server.connect("eve").await.expect("connected");
    let native_received = native.received(async {
        native.process(subscribe("7")).await.expect("subscribed");
        let mut ben = Follower::open(&server, "ben", "7").await;
        assert_eq!(
            ben.received,
            [
                json!({"type": "notes/state", "id": "7", "value": {"text": "Hello"}}),
                json!({"type": "notes/access", "id": "7",
                "operations": ["read", "edit", "comment", "delete"]}),
            ]
        );
        ada.process(set("7", "/title", "Tea")).await.expect("edited");
        ada.process(json!({"type": "notes/edit", "id": "7", "ops": [
            {"op": "insert", "path": "/tasks", "first": 5, "values": [{"done": false}]},
            {"op": "increment", "path": "/likes", "by": 2},
        ]}))
        .await
        .expect("edited");
        wait(200).await;
        assert_eq!(
            ben.read(),
            [
                json!({"type": "notes/changed", "id": "7",
                "changes": [{"path": "/title", "value": "Tea"}]}),
                json!({"type": "notes/changed", "id": "7", "changes": [
                    {"path": "/likes", "value": 2}, {"path": "/tasks", "value": [{"done": false}]},
                ]}),
            ]
        );
        assert!(ben.entries.iter().all(|entry| entry.meta.id.node().is_server()));
        assert_eq!(ben.json, shown(&server, "7").await);
        ada.process(json!({"type": "notes/edit", "id": "7", "ops": [
            {"op": "delete", "path": "/title"},
        ]}))
        .await
        .expect("edited");
        wait(200).await;
        let removed = json!({"type": "notes/changed", "id": "7", "changes": [{"path": "/title"}]});
        assert_eq!(ben.read(), [removed]);
    });
    let received = native_received.await;
    let edits = ["notes/create", "notes/access", "notes/edit", "notes/edit", "notes/edit"];
    assert_eq!(kinds(&received), edits);
}

#[tokio::test(start_paused = true)]
async fn other_formats_are_refused() {
    let (server, _ada) = start_with("7", json!([])).await;
    let ben = server.connect("ben").await.expect("connected");
    for filter in [json!({"format": "xml"}), json!({"format": null}), json!({"format": ["json"]})] {
        let subscribe = json!({"type": "logux/subscribe", "channel": "notes/7", "filter": filter});
        let Err(TestError::Undone(undo)) = ben.process(subscribe).await else {
            panic!("{filter} is no format")
        };
        assert_eq!(undo.reason, "wrongFormat");
        let error = undo.extra.iter().find(|(key, _)| key == "error").expect("an error");
        assert!(error.1.as_str().contains("expected \\\"json\\\" in \\\"format\\\""), "{error:?}");
    }
    let other = json!({"type": "logux/subscribe", "channel": "notes/7", "filter": {"a": 1}});
    let received = ben.process(other).await.expect("subscribed");
    assert_eq!(kinds(&received), ["notes/create", "notes/access"]);
    for own in ["state", "changed"] {
        ben.expect_denied(json!({"type": format!("notes/{own}"), "id": "7", "value": 1})).await;
    }
}

/// Of 20 people who type into a text of 100 KB, others receive few changes.
#[tokio::test(start_paused = true)]
async fn changes_of_others_are_coalesced() {
    let (server, ada) = start_with("7", json!([text_op(0, &"x".repeat(100_000))])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    let (mut changes, mut bytes) = (0, 0);
    for second in 0..2_u32 {
        for key in 0..100 {
            let first = 100_000 + second * 100 + key;
            ada.process(json!({"type": "notes/edit", "id": "7", "ops": [
                {"op": "insertText", "path": "/text", "first": first, "text": "y", "before": 0},
            ]}))
            .await
            .expect("typed");
            wait(9).await;
        }
        let received = ben.read();
        changes += received.len();
        bytes += received.iter().map(|action| action.to_string().len()).sum::<usize>();
        assert!(received.len() <= 11, "{} in a second", received.len());
    }
    assert!((12..=22).contains(&changes), "{changes} changes");
    assert!(bytes < 2_400_000, "{bytes} bytes");
    wait(500).await;
    ben.read();
    assert_eq!(ben.json, shown(&server, "7").await);
}

#[tokio::test(start_paused = true)]
async fn small_changes_are_coalesced_too() {
    let (server, ada) = start_with("7", json!([])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    for n in 0..100 {
        ada.process(set("7", &format!("/{}", n % 7), n)).await.expect("edited");
        wait(4).await;
    }
    let received = ben.read();
    assert!((4..=7).contains(&received.len()), "{} in half a second", received.len());
    assert_eq!(received[1]["changes"].as_array().map(Vec::len), Some(7), "all fields at once");
    wait(200).await;
    ben.read();
    assert_eq!(ben.json, shown(&server, "7").await);
}

#[tokio::test(start_paused = true)]
async fn large_changes_have_longer_pauses() {
    let (server, ada) = start_with("7", json!([])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    for n in 0..5 {
        let large = format!("{n}{}", "x".repeat(600_000));
        ada.process(set("7", "/large", large)).await.expect("edited");
        wait(100).await;
    }
    wait(2_000).await;
    let received = ben.read();
    assert_eq!(received.len(), 2, "one at once, and one after the pause");
    assert_eq!(ben.json, shown(&server, "7").await);
}

#[tokio::test(start_paused = true)]
async fn a_change_is_one_edit_of_its_author() {
    let (server, ada) = start_with("7", json!([text_op(0, "Buy milk")])).await;
    ada.process(subscribe("7")).await.expect("subscribed");
    let mut ben = Follower::open(&server, "ben", "7").await;
    let mut processed = None;
    let edits = ada.received(async {
        processed = Some(
            ben.change(
                "7",
                json!([
                    {"op": "set", "path": "/text", "value": "Buy oat milk"},
                    {"op": "insert", "path": "/tasks", "values": ["one", "two"]},
                    {"op": "increment", "path": "/likes", "by": 1},
                    {"op": "delete", "path": "/missing"},
                ]),
            )
            .await,
        );
    });
    let edits = edits.await;
    assert_eq!(kinds(&edits), ["notes/edit"]);
    // The author receives all that it has changed before the answer, also what is not there.
    let received = ben.read();
    assert_eq!(
        received,
        [
            json!({"type": "notes/changed", "id": "7", "changes": [
                {"path": "/likes", "value": 1},
                {"path": "/missing"},
                {"path": "/tasks", "value": ["one", "two"]},
                {"path": "/text", "value": "Buy oat milk"},
            ]}),
            json!({"type": "logux/processed", "id": processed}),
        ]
    );
    let edit = server.handle().documents("notes").expect("notes").history("7", None, 1).await;
    let edit = edit.expect("a page").entries.remove(0);
    assert_eq!((edit.user.as_deref(), &*edit.kind), (Some("ben"), "notes/edit"));
    assert_eq!(Some(edit.id.to_string()), processed);

    // What others type at the same place stays.
    ada.process(json!({"type": "notes/edit", "id": "7", "ops": [
        {"op": "insertText", "path": "/text", "first": 8, "text": "!", "after": 7},
    ]}))
    .await
    .expect("edited");
    wait(200).await;
    ben.read();
    assert_eq!(ben.json.as_ref().expect("a state")["text"], "Buy oat milk!");
    assert_eq!(ben.json, shown(&server, "7").await);
}

/// Others receive the change once, and a change that changes nothing is no edit.
#[tokio::test(start_paused = true)]
async fn a_change_without_effect_is_no_edit() {
    let (server, _ada) = start_with("7", json!([])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    let mut eve = Follower::open(&server, "eve", "7").await;
    for _ in 0..3 {
        ben.change("7", json!([{"op": "set", "path": "/title", "value": "Tea"}])).await;
        wait(200).await;
    }
    assert_eq!(eve.read().len(), 1 + 2, "once, and the value that ben may have otherwise");
    let own: Vec<_> = ben.read();
    let kinds: Vec<_> = own.iter().map(|action| action["type"].as_str().expect("a type")).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == "logux/processed").count(), 3);
    let page = server.handle().documents("notes").expect("notes").history("7", None, 9).await;
    assert_eq!(page.expect("a page").entries.len(), 2, "the creation and one edit");
}

/// A client that shows its changes at once, and applies what it receives to the same state, ends
/// with what the document shows.
#[tokio::test(start_paused = true)]
async fn an_optimistic_author_converges_with_concurrent_edits() {
    let (server, ada) = start_with("7", json!([{"op": "set", "path": "/n", "value": 1}])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    // The pause has begun.
    ada.process(set("7", "/other", 1)).await.expect("edited");
    wait(10).await;
    ben.read();
    ben.show("/n", json!(2));
    ben.change("7", json!([{"op": "set", "path": "/n", "value": 2}])).await;
    // Before the next change for all: it is as it was when they received the last one.
    wait(10).await;
    ada.process(set("7", "/n", 1)).await.expect("edited");
    wait(200).await;
    ben.read();
    assert_eq!(ben.json, Some(json!({"n": 1, "other": 1})));

    // Both insert at the start of a list; the author has shown its own item only.
    ben.change("7", json!([{"op": "insert", "path": "/list", "at": 0, "values": ["b"]}])).await;
    ben.show("/list", json!(["optimistic", "b"]));
    let own = server.connect("cleo").await.expect("connected");
    let mut cleo = Follower::subscribed(own, "7").await;
    cleo.change("7", json!([{"op": "insert", "path": "/list", "at": 0, "values": ["c"]}])).await;
    ben.change("7", json!([{"op": "insert", "path": "/list", "at": 0, "values": ["d"]}])).await;
    wait(200).await;
    for follower in [&mut ben, &mut cleo] {
        follower.read();
        assert_eq!(follower.json.as_ref().expect("a state")["list"], json!(["d", "c", "b"]));
    }
}

async fn refusal(client: &TestClient, changes: Value) -> (String, Option<String>) {
    match client.process(change("7", changes)).await {
        Err(TestError::Undone(undo)) => {
            let error = undo.extra.into_iter().find(|(key, _)| key == "error");
            (undo.reason, error.map(|(_, error)| error.parse().expect("a string")))
        }
        other => panic!("expected an undo, got {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn changes_are_refused_as_edits_are() {
    let (server, ada) = start_with("7", json!([text_op(0, "x")])).await;
    let [ben, guest, critic] = documents::clients(&server, ["ben", "guest", "critic"]).await;
    let mut eve = Follower::open(&server, "eve", "7").await;
    let set = |path: &str, value: Value| json!([{"op": "set", "path": path, "value": value}]);
    let denied = ("denied".to_owned(), None);
    assert_eq!(refusal(&guest, set("/title", json!("x"))).await, denied);
    assert_eq!(refusal(&critic, set("/title", json!("x"))).await, denied);
    assert_eq!(refusal(&ben, set("/removed/eve", json!(1))).await, denied);
    assert_eq!(refusal(&ben, set("", json!({"removed": {"eve": 1}}))).await, denied);
    let (reason, error) = refusal(&ben, set("/title", json!(7))).await;
    assert_eq!((&*reason, error.as_deref()), ("schema", Some("7 is not of type \"string\"")));
    for (changes, expected) in [
        (
            json!([{"op": "increment", "path": "/text", "by": 1}]),
            r#"changes/0: "path": expected a whole number at "/text""#,
        ),
        (
            json!([{"op": "set", "path": "/a", "value": 1}, {"op": "set", "path": "/a"}]),
            "changes/1: missing field `value`",
        ),
        (
            json!([{"op": "insertText", "path": "/text", "at": 9, "text": "y"}]),
            r#"changes/0: "at": expected a number of at most 1"#,
        ),
        (json!({}), "invalid type: map, expected a sequence"),
    ] {
        let (reason, error) = refusal(&ben, changes).await;
        assert_eq!(reason, "wrongFormat");
        assert!(error.as_deref().is_some_and(|error| error.contains(expected)), "{error:?}");
    }
    // Who may not read learns nothing from errors.
    ada.process(documents::set("7", "/removed/ben", 1)).await.expect("removed");
    assert_eq!(refusal(&ben, json!([{"op": "increment", "path": "/text", "by": 1}])).await, denied);
    // Who has the document open by its operations makes edits.
    critic.process(subscribe("7")).await.expect("subscribed");
    let (reason, error) = refusal(&critic, set("/comments/1", json!("x"))).await;
    assert_eq!(reason, "wrongFormat");
    assert_eq!(error.as_deref(), Some("expected an edit, or a subscription with the format json"));
    critic.unsubscribe("notes/7").await.expect("unsubscribed");
    critic.process(change("7", set("/comments/1", json!("x")))).await.expect("commented");
    wait(200).await;
    eve.read();
    assert_eq!(eve.json, Some(json!({"text": "x", "comments": {"1": "x"}, "removed": {"ben": 1}})));
    ada.process(json!({"type": "notes/delete", "id": "7"})).await.expect("deleted");
    assert_eq!(refusal(&ada, set("/title", json!("x"))).await, ("deleted".to_owned(), None));
    let missing = change("8", set("/title", json!("x")));
    ada.expect_undo("notFound", missing).await;
}

#[tokio::test(start_paused = true)]
async fn who_may_not_read_any_more_receives_nothing_more() {
    let (server, ada) = start_with("7", json!([])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    ada.process(set("7", "/removed/ben", 1)).await.expect("removed");
    ada.process(set("7", "/secret", 1)).await.expect("edited");
    wait(300).await;
    let received = ben.read();
    let is_revoked = |action: &&Value| action["reason"] == "revoked";
    assert_eq!(received.iter().filter(is_revoked).count(), 1, "{received:?}");
    ada.process(set("7", "/secret", 2)).await.expect("edited");
    wait(300).await;
    assert_eq!(ben.read(), [json!(null); 0]);
    assert_ne!(ben.json.expect("a state")["secret"], json!(2));
    ben.client.expect_denied(subscribe_json("7")).await;
}

#[tokio::test(start_paused = true)]
async fn undos_restored_states_and_edits_of_the_server_arrive() {
    let (server, ada) = start_with("7", json!([])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    let follows = async |ben: &mut Follower, expected: Value| {
        wait(300).await;
        ben.read();
        assert_eq!(ben.json, Some(expected.clone()));
        assert_eq!(shown(&server, "7").await, Some(expected));
    };
    let edit = Action::try_from(set("7", "/title", "Tea")).expect("an action");
    let edit = ada.client().sync(edit).kept().await.expect("added");
    let id = edit.id().clone();
    edit.await.expect("processed");
    follows(&mut ben, json!({"title": "Tea"})).await;
    let notes = server.handle().documents("notes").expect("notes");
    notes.name_version("7", "tea").await.expect("named");
    ada.client().undo(&id, "mistake").await.expect("undone");
    follows(&mut ben, json!({})).await;
    notes.restore("7", &logux::action::Moment::Version("tea".into())).await.expect("restored");
    follows(&mut ben, json!({"title": "Tea"})).await;
    let own = Action::try_from(set("7", "/n", 1)).expect("an action");
    server.handle().process(own).await.expect("edited");
    follows(&mut ben, json!({"title": "Tea", "n": 1})).await;
    let own = Action::try_from(change("7", json!([{"op": "increment", "path": "/n", "by": 1}])));
    server.handle().process(own.expect("an action")).await.expect("changed");
    follows(&mut ben, json!({"title": "Tea", "n": 2})).await;
    // The author undoes a change by its id.
    let id = ben.change("7", json!([{"op": "increment", "path": "/n", "by": 5}])).await;
    follows(&mut ben, json!({"title": "Tea", "n": 7})).await;
    let undo = json!({"type": "logux/undo", "id": id, "reason": "mistake"});
    ben.client.process(undo).await.expect("undone");
    follows(&mut ben, json!({"title": "Tea", "n": 2})).await;
    // Settled edits change nothing.
    for n in 0..120 {
        ada.process(set("7", "/n", n)).await.expect("edited");
    }
    follows(&mut ben, json!({"title": "Tea", "n": 119})).await;
    assert!(ben.entries.iter().all(|entry| entry.action.kind() != "notes/snapshot"));
}

#[tokio::test(start_paused = true)]
async fn a_deletion_arrives_and_when_it_is_taken_back_the_state() {
    let (server, ada) = start_with("7", json!([{"op": "set", "path": "/n", "value": 1}])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    ada.process(json!({"type": "notes/delete", "id": "7"})).await.expect("deleted");
    wait(300).await;
    assert_eq!(ben.read(), [json!({"type": "notes/delete", "id": "7"})]);
    ada.process(create("7")).await.expect("taken back");
    wait(300).await;
    assert_eq!(ben.read(), [json!({"type": "notes/state", "id": "7", "value": {"n": 1}})]);
    ada.process(set("7", "/n", 2)).await.expect("edited");
    wait(300).await;
    assert_eq!(ben.read().len(), 1);
    assert_eq!(ben.json, Some(json!({"n": 2})));
    let notes = server.handle().documents("notes").expect("notes");
    assert!(notes.purge("7").await.expect("purged"));
    wait(300).await;
    assert_eq!(ben.read(), [json!({"type": "notes/delete", "id": "7"})]);
    ben.client.expect_undo("notFound", subscribe_json("7")).await;
}

#[tokio::test(start_paused = true)]
async fn after_a_lost_connection_the_state_is_sent_again() {
    let (server, ada) = start_with("7", json!([{"op": "set", "path": "/n", "value": 1}])).await;
    let mut ben = Follower::open(&server, "ben", "7").await;
    ada.process(set("7", "/n", 2)).await.expect("edited");
    ben.client.disconnect().await;
    for n in 3..6 {
        ada.process(set("7", &format!("/m{n}"), n)).await.expect("edited");
        wait(50).await;
    }
    ben.client.reconnect().await.expect("connected");
    ada.process(set("7", "/n", 9)).await.expect("edited");
    wait(300).await;
    ben.read();
    assert_eq!(ben.json, shown(&server, "7").await);
    assert_eq!(ben.json, Some(json!({"n": 9, "m3": 3, "m4": 4, "m5": 5})));
    // What it has changed offline arrives too.
    ben.client.disconnect().await;
    let pending = ben.client.client().sync(
        Action::try_from(change("7", json!([{"op": "set", "path": "/off", "value": 1}])))
            .expect("an action"),
    );
    ada.process(set("7", "/n", 10)).await.expect("edited");
    ben.client.reconnect().await.expect("connected");
    pending.await.expect("processed");
    wait(300).await;
    ben.read();
    assert_eq!(ben.json, shown(&server, "7").await);
    assert_eq!(ben.json.expect("a state")["off"], 1);
}

/// The answer to a change waits in the queue of the document. If its author leaves meanwhile, those
/// that stay receive the change.
#[tokio::test(start_paused = true)]
async fn who_stays_receives_the_change_of_who_leaves() {
    let edits = Arc::new(Semaphore::new(100));
    let allowed = edits.clone();
    let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(move |request| {
            let (operation, allowed) = (request.operation(), allowed.clone());
            async move {
                if operation == DocumentOperation::Edit {
                    allowed.acquire().await?.forget();
                }
                Ok(true)
            }
        })
    });
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    ada.process(create("7")).await.expect("created");
    let ben = Follower::open(&server, "ben", "7").await;
    let mut carol = Follower::open(&server, "carol", "7").await;
    edits.forget_permits(100);
    // Both are in the queue, that of ada behind that of ben.
    let change = change("7", json!([{"op": "set", "path": "/ben", "value": 1}]));
    for (client, action) in [(&ben.client, change), (&ada, set("7", "/ada", 1))] {
        let action = Action::try_from(action).expect("an action");
        client.client().sync(action).kept().await.expect("added");
        wait(1).await;
    }
    // The answer to ben is behind the edit of ada.
    edits.add_permits(1);
    wait(1).await;
    ben.client.disconnect().await;
    wait(1).await;
    edits.add_permits(1);
    wait(300).await;
    carol.read();
    assert_eq!(carol.json, shown(&server, "7").await);
    assert_eq!(carol.json, Some(json!({"ben": 1, "ada": 1})));
}

#[tokio::test(start_paused = true)]
async fn other_types_have_a_state_and_whole_values() {
    let server = Server::builder().documents::<List>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|_| async { Ok(true) })
    });
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    ada.process(create("7")).await.expect("created");
    let mut ben = Follower::open(&server, "ben", "7").await;
    assert_eq!(ben.json, Some(json!([])));
    ada.process(json!({"type": "notes/edit", "id": "7", "ops": [
        {"op": "insert", "first": 0, "values": [1, 2]},
    ]}))
    .await
    .expect("edited");
    wait(200).await;
    let changed = json!([{"path": "", "value": [1, 2]}]);
    assert_eq!(ben.read(), [json!({"type": "notes/changed", "id": "7", "changes": changed})]);
    let (reason, error) = refusal(&ben.client, json!([{"op": "delete", "path": "/0"}])).await;
    assert_eq!(reason, "wrongFormat");
    assert!(error.expect("an error").contains("are changed by edits"));
}

#[tokio::test(start_paused = true)]
async fn a_change_creates_a_document_where_edits_do() {
    let server = Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|_| async { Ok(true) }).created_by_edits()
    });
    let server = TestServer::start(server).expect("a server");
    let mut ben = Follower::open(&server, "ben", "7").await;
    assert_eq!(ben.json, Some(json!({})));
    ben.change("7", json!([{"op": "set", "path": "/title", "value": "Tea"}])).await;
    wait(200).await;
    ben.read();
    assert_eq!(ben.json, Some(json!({"title": "Tea"})));
    let notes = server.handle().documents("notes").expect("notes");
    let entry = notes.find("7").await.expect("readable").expect("a document");
    assert_eq!(entry.creator.as_deref(), Some("ben"));
}
