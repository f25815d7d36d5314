//! Two users edit one document through a real server, over real sockets.

use std::{sync::Arc, time::Duration};

use logux::{
    Action, ActionId,
    crdt::{Crdt, List, ListError, ListOp, Shared},
    replay::{Coverage, Settlement},
    server::{Recipients, Retention},
};
use logux_client::{Client, DocumentHandle, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{RunningServer, Server};
use serde_json::json;
use tokio::{sync::Notify, time::timeout};

const TIMEOUT: Duration = Duration::from_secs(20);

type Tasks = DocumentHandle<Shared<List>>;

/// Starts a server that refuses actions with a value that begins with `!`, after a notification.
async fn server(refuse: Arc<Notify>) -> RunningServer {
    Server::builder_with(refuse)
        .auth(|_| async { Ok(true) })
        .channel("lists/1", |on| on.access(|_| async { Ok(true) }).replay())
        .action_type("lists/edit", |on| {
            on.access(|context| async move {
                let allowed = !context.action().as_json().contains("\"!");
                if !allowed {
                    context.state().notified().await;
                }
                Ok(allowed)
            })
            .resend(|_| async { Ok("lists/1") })
            .keep(Retention::forever("lists/1"))
            .undoable()
        })
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server")
}

async fn tasks(server: &RunningServer, user: &str) -> Tasks {
    let connector =
        WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
    let tasks =
        Client::builder(user).expect("a user").start_document(connector, Shared::new("lists", "1"));
    tasks.client().subscribe("lists/1").await.expect("subscribed");
    tasks
}

async fn edit(
    tasks: &Tasks,
    operation: impl FnOnce(&List, &ActionId) -> Result<ListOp, ListError> + Send + 'static,
) -> Result<(), SyncError> {
    let edit = tasks.edit(move |list, id| -> Option<Action> {
        Shared::<List>::new("lists", "1")
            .action(&[operation(list, id).expect("a valid index")])
            .ok()
    });
    timeout(TIMEOUT, edit).await.expect("an answer")
}

async fn wait_for_state(tasks: &mut Tasks, expected: serde_json::Value) {
    let reached = timeout(TIMEOUT, tasks.until(|list| list.to_json() == expected)).await;
    assert!(reached.is_ok(), "expected {expected}, found {:?}", tasks.state());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_users_edit_one_list() {
    let server = server(Arc::default()).await;
    let (mut ada, mut grace) = (tasks(&server, "ada").await, tasks(&server, "grace").await);
    edit(&ada, |list, id| list.push_op(json!("milk"), id)).await.expect("processed");
    wait_for_state(&mut grace, json!(["milk"])).await;

    // Concurrent edits.
    let (one, other) = tokio::join!(
        edit(&ada, |list, id| list.push_op(json!("bread"), id)),
        edit(&grace, |list, _| list.set_op(0, json!("oat milk")))
    );
    assert!(one.is_ok() && other.is_ok());
    wait_for_state(&mut ada, json!(["oat milk", "bread"])).await;
    wait_for_state(&mut grace, json!(["oat milk", "bread"])).await;

    edit(&grace, |list, id| list.move_op(1, 0, id)).await.expect("processed");
    wait_for_state(&mut ada, json!(["bread", "oat milk"])).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_edit_is_undone() {
    let refuse = Arc::new(Notify::new());
    let server = server(refuse.clone()).await;
    let mut ada = tasks(&server, "ada").await;
    edit(&ada, |list, id| list.push_op(json!("milk"), id)).await.expect("processed");
    let mut observer = ada.clone();
    let (refused, ()) = tokio::join!(edit(&ada, |list, _| list.set_op(0, json!("!"))), async {
        // The edit is visible immediately, until the server undoes it.
        wait_for_state(&mut observer, json!(["!"])).await;
        refuse.notify_one();
    });
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    wait_for_state(&mut ada, json!(["milk"])).await;
}

/// Returns the undo of an action.
fn undo(id: &ActionId) -> Action {
    let text = format!(r#"{{"type":"logux/undo","id":"{id}","reason":"undo"}}"#);
    Action::new(text).expect("an action")
}

/// Returns the id of the next action of another client, or of the server, with a type and with an
/// id in `id`.
async fn next_id(actions: &mut logux_client::Actions, kind: &str, id: &str) -> ActionId {
    loop {
        let entry = timeout(TIMEOUT, actions.next()).await.expect("in time").expect("an action");
        if entry.action.kind() == kind && entry.action.str_field("id").as_deref() == Some(id) {
            return entry.meta.id;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_are_undone_and_redone_until_a_snapshot_settles_them() {
    let server = server(Arc::default()).await;
    let (mut ada, mut grace) = (tasks(&server, "ada").await, tasks(&server, "grace").await);
    let mut received = grace.client().actions();
    edit(&ada, |list, id| list.push_op(json!("milk"), id)).await.expect("processed");
    let milk = next_id(&mut received, "lists/edit", "1").await;
    edit(&ada, |list, id| list.push_op(json!("bread"), id)).await.expect("processed");
    let bread = next_id(&mut received, "lists/edit", "1").await;

    let denied = grace.client().sync(undo(&bread)).await;
    assert!(matches!(denied, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
    wait_for_state(&mut grace, json!(["milk", "bread"])).await;
    ada.client().sync(undo(&bread)).await.expect("processed");
    let undone = next_id(&mut received, "logux/undo", &bread.to_string()).await;
    wait_for_state(&mut grace, json!(["milk"])).await;
    wait_for_state(&mut ada, json!(["milk"])).await;
    let mut late = tasks(&server, "linus").await;
    wait_for_state(&mut late, json!(["milk"])).await;
    ada.client().sync(undo(&undone)).await.expect("processed");
    for replica in [&mut ada, &mut grace, &mut late] {
        wait_for_state(replica, json!(["milk", "bread"])).await;
    }

    // The server settles both edits: the undo is later than they are.
    let mut coverage = Coverage::default();
    coverage.include(&undone);
    let shared = Shared::<List>::new("lists", "1");
    let settlement = Settlement { coverage, state: ada.state() };
    let snapshot = shared.snapshot_action(&settlement).expect("an action");
    server.handle().send(snapshot, Recipients::channel("lists/1")).await;
    next_id(&mut received, "lists/snapshot", "1").await;
    let _ = ada.client().sync(undo(&milk)).await;
    for replica in [&mut ada, &mut grace] {
        wait_for_state(replica, json!(["milk", "bread"])).await;
    }
}
