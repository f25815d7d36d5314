//! Undo and redo by clients.

use std::sync::Arc;

use logux::{
    Action, ActionId,
    client::UndoOutcome,
    replay::untyped_reducer,
    server::{Recipients, Retention, UndoRequest},
};
use logux_client::{PendingAction, SyncError};
use logux_server::{
    BuildError, Builder, Projection, Server,
    testing::{TestClient, TestServer},
};
use logux_sqlite::Database;
use regex::Regex;
use serde_json::json;
use tokio::sync::Notify;

#[derive(serde::Deserialize)]
struct Say {
    n: i64,
}

/// Builds a server with messages that their authors may undo, notes that moderators may undo too,
/// and a projection with the sum of all.
fn board() -> (Builder, Projection<i64>) {
    let sum = untyped_reducer(0, |sum: &mut i64, action: &Action| {
        *sum += action.field("n").and_then(|n| n.parse::<i64>().ok()).unwrap_or(0);
    });
    let (server, sum) = Server::builder().projection(sum);
    let server = server
        .auth(|_| async { Ok(true) })
        .channel("board", |channel| channel.access(|_| async { Ok(true) }).replay())
        .action_type(Regex::new("^say(/.+)?$").expect("an expression"), |action| {
            action
                .access(|_| async { Ok(true) })
                .resend(|_| async { Ok("board") })
                .keep(Retention::forever("board"))
                .undoable()
        })
        .action_type("note", |action| {
            action
                .typed::<Say>()
                .access(|_, _| async { Ok(true) })
                .resend(|_, _| async { Ok("board") })
                .keep_by(|_, _| Some(Retention::forever("board")))
                .undoable_by(|context, target, note| async move {
                    let is_small = note.n < 100;
                    let is_moderator = context.user_id() == Some("mod") && is_small;
                    Ok(is_moderator || target.is_by(context.node_id()))
                })
        })
        .action_type("fixed", |action| {
            action
                .access(|_| async { Ok(true) })
                .resend(|_| async { Ok("board") })
                .keep(Retention::forever("board"))
        });
    (server, sum)
}

fn undo(id: &ActionId) -> serde_json::Value {
    json!({"type": "logux/undo", "id": id.to_string()})
}

/// Sends an action, and returns its id when it is processed.
async fn send(client: &TestClient, action: serde_json::Value) -> ActionId {
    let mut actions = client.client().actions();
    client.process(action).await.expect("processed");
    loop {
        let entry = actions.next().await.expect("the answer");
        if entry.action.kind() == "logux/processed" {
            let id = entry.action.str_field("id").expect("an id");
            return id.parse().expect("a valid id");
        }
    }
}

fn types(actions: &[Action]) -> Vec<&str> {
    actions.iter().map(Action::kind).collect()
}

#[tokio::test(start_paused = true)]
async fn an_author_undoes_and_redoes_from_any_client() {
    let (server, sum) = board();
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada:laptop:1").await.expect("connected");
    let phone = server.connect("ada:phone:1").await.expect("connected");
    let bob = server.connect("bob").await.expect("connected");
    bob.subscribe("board").await.expect("subscribed");

    let three = send(&ada, json!({"type": "say/loud", "n": 3})).await;
    bob.expect_denied(undo(&three)).await;
    assert_eq!(sum.get(), 3);
    let mut undone = None;
    let received = bob.received(async { undone = Some(send(&phone, undo(&three)).await) }).await;
    assert_eq!((sum.get(), types(&received)), (0, vec!["logux/undo"]));
    let undone = undone.expect("an id");
    bob.expect_denied(undo(&undone)).await;
    send(&ada, undo(&undone)).await;
    assert_eq!(sum.get(), 3, "the undo is undone");
    let newcomer = server.connect("carl").await.expect("connected");
    let loaded = newcomer.subscribe("board").await.expect("subscribed");
    assert_eq!(types(&loaded), ["say/loud", "logux/undo", "logux/undo"]);
}

#[tokio::test(start_paused = true)]
async fn a_handler_decides_who_may_undo() {
    let (server, sum) = board();
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let moderator = server.connect("mod").await.expect("connected");
    let small = send(&ada, json!({"type": "note", "n": 1})).await;
    let large = send(&ada, json!({"type": "note", "n": 100})).await;
    moderator.expect_denied(undo(&large)).await;
    let mut by_moderator = None;
    let received =
        ada.received(async { by_moderator = Some(send(&moderator, undo(&small)).await) }).await;
    assert_eq!(types(&received), ["logux/undo"], "its author is no subscriber, but has the action");
    assert_eq!(sum.get(), 100);
    let by_moderator = by_moderator.expect("an id");
    ada.expect_denied(undo(&by_moderator)).await;
    send(&moderator, undo(&by_moderator)).await;
    assert_eq!(sum.get(), 101);
    send(&ada, undo(&large)).await;
    assert_eq!(sum.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn undos_are_denied_by_default() {
    let (server, sum) = board();
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let fixed = send(&ada, json!({"type": "fixed", "n": 1})).await;
    ada.expect_denied(undo(&fixed)).await;
    ada.expect_undo("notFound", json!({"type": "logux/undo", "id": "1 ada:x:y 0"})).await;
    ada.expect_undo("wrongFormat", json!({"type": "logux/undo", "id": 1})).await;
    assert_eq!(sum.get(), 1);
}

/// What its client did later does not depend on it.
#[tokio::test(start_paused = true)]
async fn a_refused_undo_fails_alone() {
    let (server, sum) = board();
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    ada.disconnect().await;
    let client = ada.client();
    let action = |json: serde_json::Value| Action::try_from(json).expect("an action");
    let refused = client.sync(action(json!({"type": "logux/undo", "id": "1 ada:x:y 0"})));
    let said = client.sync(action(json!({"type": "say", "n": 1})));
    let both = async { tokio::join!(refused, said) };
    let (reconnected, (refused, said)) = tokio::join!(ada.reconnect(), both);
    reconnected.expect("connected");
    assert!(refused.is_err() && said.is_ok(), "{refused:?} {said:?}");
    assert_eq!(sum.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn undos_are_the_same_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Database::open(folder.path().join("log.db")).expect("a database").store();
    let (server, sum) = board();
    let server = TestServer::start(server.store(open())).expect("a server");
    let ada = server.connect("ada:laptop:1").await.expect("connected");
    let first = send(&ada, json!({"type": "say", "n": 1})).await;
    let second = send(&ada, json!({"type": "say", "n": 2})).await;
    let undone = send(&ada, undo(&first)).await;
    send(&ada, undo(&second)).await;
    assert_eq!(sum.get(), 0);
    drop((ada, server));
    tokio::task::yield_now().await;

    let (server, sum) = board();
    let server = TestServer::start(server.store(open())).expect("a server");
    assert_eq!(sum.get(), 0);
    let ada = server.connect("ada:laptop:2").await.expect("connected");
    send(&ada, undo(&undone)).await;
    assert_eq!(sum.get(), 1);
    let request = UndoRequest::new(first, "spam").to(Recipients::channel("board"));
    server.handle().undo(request).await;
    server.handle().log_page(logux::server::LogQuery::channel("board")).await.expect("a page");
    assert_eq!(sum.get(), 0, "the undo of the application is final");
    ada.expect_undo("notFound", undo(&undone)).await;
}

/// Adds an action, and returns before it is answered.
async fn add(client: &TestClient, action: serde_json::Value) -> PendingAction {
    let action = Action::try_from(action).expect("an action");
    client.client().sync(action).kept().await.expect("a running client")
}

/// Undoes an action that the server may have received.
async fn undo_sent(client: &TestClient, id: &ActionId) -> PendingAction {
    match client.client().undo(id, "mistake").await.expect("a running client") {
        UndoOutcome::Added(undo) => undo,
        UndoOutcome::Dropped(entry) => panic!("{} was dropped", entry.meta.id),
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_not_sent_is_dropped() {
    let (server, sum) = board();
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let bob = server.connect("bob").await.expect("connected");
    bob.subscribe("board").await.expect("subscribed");
    let one = send(&ada, json!({"type": "say", "n": 1})).await;
    ada.disconnect().await;

    let two = add(&ada, json!({"type": "say", "n": 2})).await;
    let dropped = ada.client().undo(two.id(), "mistake").await.expect("a running client");
    assert!(matches!(dropped, UndoOutcome::Dropped(_)), "{dropped:?}");
    assert_eq!(two.await, Err(SyncError::Dropped));
    let undo_of_one = undo_sent(&ada, &one).await;
    let redo = ada.client().undo(undo_of_one.id(), "redo").await.expect("a running client");
    assert!(matches!(redo, UndoOutcome::Dropped(_)), "{redo:?}");
    assert_eq!(undo_of_one.await, Err(SyncError::Dropped));
    let four = add(&ada, json!({"type": "say", "n": 4})).await;

    let received = bob.received(async { ada.reconnect().await.expect("connected") }).await;
    assert_eq!(types(&received), ["say"], "nothing of what was dropped");
    assert_eq!(sum.get(), 5);
    let undone = undo_sent(&ada, four.id()).await;
    let redone = undo_sent(&ada, undone.id()).await;
    let answers = tokio::join!(four, undone, redone);
    assert_eq!(answers, (Ok(()), Ok(()), Ok(())));
    assert_eq!(sum.get(), 5);
}

/// The author of an action that another client undoes while it is processed receives both: the
/// undo, and the server's answer.
#[tokio::test(start_paused = true)]
async fn an_undo_by_another_client_is_not_the_answer() {
    let (server, sum) = board();
    let (started, ends) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let handler = (started.clone(), ends.clone());
    let server = server.action_type("slow", |action| {
        action
            .access(|_| async { Ok(true) })
            .resend(|_| async { Ok("board") })
            .process(move |_| {
                let (started, ends) = handler.clone();
                async move {
                    started.notify_one();
                    ends.notified().await;
                    Ok(())
                }
            })
            .keep(Retention::forever("board"))
            .undoable_by(|_, _| async { Ok(true) })
    });
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let moderator = server.connect("mod").await.expect("connected");
    let slow = add(&ada, json!({"type": "slow", "n": 1})).await;
    started.notified().await;
    let received = ada.received(undo_sent(&moderator, slow.id())).await;
    assert_eq!(types(&received), ["logux/undo"]);
    let mut answer = Box::pin(slow);
    tokio::select! {
        biased;
        answer = &mut answer => panic!("the undo was taken for the answer: {answer:?}"),
        () = tokio::task::yield_now() => {}
    }
    ends.notify_one();
    assert_eq!(answer.await, Ok(()));
    assert_eq!(sum.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_refused_undo_is_reported_with_its_reason() {
    let (server, sum) = board();
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let fixed = send(&ada, json!({"type": "fixed", "n": 1})).await;
    let undo = undo_sent(&ada, &fixed).await;
    let Err(SyncError::Undone(refused)) = undo.await else { panic!("it is refused") };
    assert_eq!(refused.reason, "denied");
    assert_eq!(refused.action.as_ref().map(Action::kind), Some("logux/undo"));
    assert_eq!(sum.get(), 1);
}

/// As in the reference, an application may handle all undos of clients itself.
#[tokio::test(start_paused = true)]
async fn handlers_of_undos_decide_about_types_without_a_rule() {
    let (server, sum) = board();
    let server = server.action_type("logux/undo", |action| {
        action.access(|_| async { Ok(true) }).process(|context| async move {
            let id = context.action().str_field("id").unwrap_or_default().parse()?;
            context.server().undo(UndoRequest::new(id, "own handler")).await;
            Ok(())
        })
    });
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    let said = send(&ada, json!({"type": "say", "n": 1})).await;
    let fixed = send(&ada, json!({"type": "fixed", "n": 10})).await;
    assert!(ada.received(ada.process(undo(&said))).await.is_empty(), "by the rule of its type");
    assert_eq!(sum.get(), 10);
    let received = ada.received(ada.process(undo(&fixed))).await;
    assert_eq!(received[0].str_field("reason").as_deref(), Some("own handler"));
    assert_eq!(sum.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn only_kept_actions_can_be_undoable() {
    let build = Server::builder()
        .auth(|_| async { Ok(true) })
        .action_type("say", |action| action.access(|_| async { Ok(true) }).undoable());
    let error = build.listen(([127, 0, 0, 1], 0).into()).await.expect_err("an error");
    assert!(matches!(error, BuildError::UndoableNotKept(name) if name == "say"));
}
