//! Undo and redo of actions, with and without a connection.

use std::sync::Arc;

use logux::{
    Action,
    client::UndoOutcome,
    crdt::{Crdt, List, Shared},
};
use logux_client::{Client, DocumentHandle, PendingAction, SyncError};
use logux_net::{
    FrameLimits, PairTransport,
    drive::{Event, FrameConnection},
    pair,
};
use tokio::sync::{Semaphore, mpsc};

type Tasks = DocumentHandle<Shared<List>>;

/// The server of a client, with hand-written frames.
struct Server {
    may_connect: Arc<Semaphore>,
    ends: mpsc::UnboundedReceiver<PairTransport>,
}

impl Server {
    /// Starts a client that cannot connect before the server accepts it.
    async fn start() -> (Self, Tasks) {
        let may_connect = Arc::new(Semaphore::new(0));
        let permits = may_connect.clone();
        let (server_end, ends) = mpsc::unbounded_channel();
        let connector = move || {
            let (permits, server_end) = (permits.clone(), server_end.clone());
            async move {
                permits.acquire().await.expect("open").forget();
                let (here, there) = pair(FrameLimits::default());
                let _ = server_end.send(there);
                Ok(here)
            }
        };
        let builder = Client::builder("10:phone:1").expect("a node id");
        let client = builder.start(connector);
        let tasks = client.open(Shared::new("lists", "1")).await.expect("open");
        (Self { may_connect, ends }, tasks)
    }

    async fn accept(&mut self) -> FrameConnection<PairTransport> {
        self.may_connect.add_permits(1);
        let mut connection = FrameConnection::new(self.ends.recv().await.expect("a connection"));
        assert!(frame(&mut connection).await.contains("connect"));
        connection.push(r#"["connected",5,"server:x",[0,0]]"#.into());
        connection
    }
}

/// Returns the next frame of the client.
async fn frame(connection: &mut FrameConnection<PairTransport>) -> String {
    loop {
        if let Event::Frame(frame) = connection.event(true).await {
            return frame.as_str().to_owned();
        }
    }
}

/// Sends the server's undo of an action, without its content.
fn refuse(connection: &mut FrameConnection<PairTransport>, action: &PendingAction, reason: &str) {
    let (id, added) = (action.id(), id_number(action));
    let undo = format!(r#"{{"type":"logux/undo","id":"{id}","reason":"{reason}"}}"#);
    connection.push(format!(r#"["sync",{added},{undo},{{"id":{added},"time":1}}]"#).into());
}

/// Returns a number that is different for each action of a test.
fn id_number(action: &PendingAction) -> i64 {
    action.id().time().as_millis() % 1_000_000 * 10 + i64::from(action.id().sequence())
}

async fn push(tasks: &Tasks, text: &'static str) -> PendingAction {
    let text = logux::Json::from_value(text).expect("a string");
    let added = tasks.operate_with(|list, id| list.push_op(text, id).map(|op| vec![op]));
    added.expect("an item").kept().await.expect("a running client")
}

fn shown(tasks: &Tasks) -> String {
    tasks.state().to_json().to_string()
}

#[tokio::test(start_paused = true)]
async fn an_unsent_action_is_dropped_and_its_caller_is_told() {
    let (mut server, tasks) = Server::start().await;
    let client = tasks.client();
    let milk = push(&tasks, "milk").await;
    let mistake = push(&tasks, "mikl").await;
    assert_eq!(shown(&tasks), r#"["milk","mikl"]"#);
    let outcome = client.undo(mistake.id(), "mistake").await.expect("a running client");
    let UndoOutcome::Dropped(entry) = outcome else { panic!("{outcome:?}") };
    assert_eq!(entry.meta.id, *mistake.id());
    assert_eq!(shown(&tasks), r#"["milk"]"#);
    assert_eq!(mistake.await, Err(SyncError::Dropped));

    let mut connection = server.accept().await;
    let sent = frame(&mut connection).await;
    assert!(sent.contains(r#""milk""#) && !sent.contains("mikl"), "{sent}");

    // The server may have received the other action: its undo is sent, and refused.
    let outcome = client.undo(milk.id(), "mistake").await.expect("a running client");
    let UndoOutcome::Added(undo) = outcome else { panic!("{outcome:?}") };
    assert_eq!(shown(&tasks), "[]");
    let sent = frame(&mut connection).await;
    assert!(sent.contains("logux/undo") && sent.contains(&milk.id().to_string()), "{sent}");
    refuse(&mut connection, &undo, "settled");
    let (refused, _) = tokio::join!(undo, frame(&mut connection));
    assert!(matches!(refused, Err(SyncError::Undone(undo)) if undo.reason == "settled"));
    assert_eq!(shown(&tasks), r#"["milk"]"#);
}

/// The error has the action, also if the server's answer does not.
#[tokio::test(start_paused = true)]
async fn an_action_that_is_too_old_is_handed_back() {
    let (mut server, tasks) = Server::start().await;
    let draft = push(&tasks, "a draft").await;
    let mut connection = server.accept().await;
    let sent = frame(&mut connection).await;
    refuse(&mut connection, &draft, "tooOld");
    let (refused, _) = tokio::join!(draft, frame(&mut connection));
    let Err(SyncError::Undone(undo)) = refused else { panic!("{refused:?}") };
    assert_eq!(undo.reason, "tooOld");
    let action = undo.action.expect("the refused action");
    assert!(action.as_json().contains("a draft") && sent.contains(action.as_json()));
    assert_eq!(shown(&tasks), "[]");
    let added = tasks.client().sync(action).kept().await.expect("a running client");
    assert_eq!(shown(&tasks), r#"["a draft"]"#);
    drop::<PendingAction>(added);
}

/// An action that is too large for any server is refused at once, with its content.
#[tokio::test(start_paused = true)]
async fn an_action_that_is_too_large_is_handed_back() {
    let (_server, tasks) = Server::start().await;
    let text = "x".repeat(61 * 1024 * 1024);
    let action = Action::new(format!(r#"{{"type":"a","text":"{text}"}}"#)).expect("an action");
    let Err(SyncError::Undone(undo)) = tasks.client().sync(action.clone()).await else {
        panic!("it is too large")
    };
    assert_eq!((&*undo.reason, undo.action), ("tooLarge", Some(action)));
}
