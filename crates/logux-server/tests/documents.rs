//! Two users edit one document through a real server, over real sockets.

use std::{sync::Arc, time::Duration};

use logux::{
    Action,
    crdt::{Crdt, List, ListError, ListOp, Shared},
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
        .channel("lists/1", |on| on.access(|_| async { Ok(true) }))
        .action_type("lists/edit", |on| {
            on.access(|context| async move {
                let allowed = !context.action().as_json().contains("\"!");
                if !allowed {
                    context.state().notified().await;
                }
                Ok(allowed)
            })
            .resend(|_| async { Ok("lists/1") })
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
    operation: impl FnOnce(&List, &logux::ActionId) -> Result<ListOp, ListError> + Send + 'static,
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
