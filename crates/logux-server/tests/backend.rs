//! An HTTP server as the application, played by the test request by request.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router, body::Body, extract::State, http::StatusCode, response::Response, routing::post,
    serve::ListenerExt as _,
};
use logux::Action;
use logux_client::{Client, SyncError};
use logux_net::WebSocketConnector;
use logux_server::{Backend, RunningServer, Server};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(20);
const SECRET: &str = "of both";

/// A request that the test has to answer.
struct Asked {
    body: Value,
    answer: oneshot::Sender<Response>,
}

impl Asked {
    fn ids(&self) -> Vec<String> {
        let commands = self.body["commands"].as_array().expect("a list").iter();
        commands.map(|command| command["meta"]["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Answers piece by piece; the body ends when the sender is dropped.
    fn stream(self) -> mpsc::Sender<String> {
        let (sender, receiver) = mpsc::channel::<String>(8);
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async {
            Some((Ok::<_, std::convert::Infallible>(receiver.recv().await?), receiver))
        });
        let _ = self.answer.send(Response::new(Body::from_stream(pieces)));
        sender
    }

    fn say(self, answers: &Value) {
        let _ = self.answer.send(Response::new(answers.to_string().into()));
    }

    fn approve(self) {
        let each = |id: &String| {
            [json!({"answer": "approved", "id": id}), json!({"answer": "processed", "id": id})]
        };
        let answers = self.ids().iter().flat_map(each).collect();
        self.say(&answers);
    }

    fn status(self, status: StatusCode) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let _ = self.answer.send(response);
    }
}

/// An application whose part the test plays.
struct Application {
    url: String,
    asked: mpsc::Receiver<Asked>,
    connections: Arc<AtomicUsize>,
}

impl Application {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/logux", listener.local_addr().expect("an address"));
        let (sender, asked) = mpsc::channel(16);
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let listener = listener.tap_io(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let router = Router::new().route("/logux", post(ask)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, asked, connections }
    }

    async fn next(&mut self) -> Asked {
        timeout(PATIENCE, self.asked.recv()).await.expect("a request in time").expect("a request")
    }
}

async fn ask(State(asked): State<mpsc::Sender<Asked>>, body: String) -> Response {
    let (answer, answered) = oneshot::channel();
    let body = serde_json::from_str(&body).expect("JSON");
    asked.send(Asked { body, answer }).await.expect("a test that listens");
    answered.await.expect("an answer")
}

async fn serve(url: &str, change: impl FnOnce(&mut Backend)) -> RunningServer {
    let backend = Backend::new(url, SECRET).expect("a back end").config(change);
    let server = Server::builder().auth(|_| async { Ok(true) }).backend(backend);
    server.listen(([127, 0, 0, 1], 0).into()).await.expect("a server")
}

fn client(server: &RunningServer, user: &str) -> Client {
    let connector =
        WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
    Client::builder(user).expect("a user").start(connector)
}

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

/// Does an action at the side; the result is how it ended.
fn does(client: &Client, json: &'static str) -> tokio::task::JoinHandle<String> {
    let client = client.clone();
    tokio::spawn(async move {
        match timeout(PATIENCE, client.sync(action(json))).await.expect("an answer in time") {
            Ok(()) => "processed".to_owned(),
            Err(SyncError::Undone(undo)) => undo.reason,
            Err(other) => other.to_string(),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_count_as_they_come() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let (author, reader) = (client(&server, "1"), client(&server, "2"));
    let mut seen = reader.actions();
    let subscribing = does(&reader, r#"{"type":"logux/subscribe","channel":"room"}"#);
    application.next().await.approve();
    assert_eq!(subscribing.await.expect("no panic"), "processed");

    let done = does(&author, r#"{"type":"say","text":"📜"}"#);
    let asked = application.next().await;
    assert_eq!((&asked.body["version"], &asked.body["secret"]), (&json!(4), &json!(SECRET)));
    let id = asked.ids().remove(0);
    let pieces = asked.stream();
    let begin = format!(
        r#"[{{"answer":"resend","id":"{id}","channel":"room"}},{{"answer":"approved","id":"{id}"}}"#
    );
    // Cut in the middle of an answer.
    for piece in [&begin[..40], &begin[40..]] {
        pieces.send(piece.to_owned()).await.expect("a reader");
    }
    while seen.next().await.expect("an action").action.kind() != "say" {}
    assert!(!done.is_finished(), "the application still works on it");
    pieces.send(format!(r#",{{"answer":"processed","id":"{id}"}}]"#)).await.expect("a reader");
    assert_eq!(done.await.expect("no panic"), "processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_carries_one_request_after_the_other() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let client = client(&server, "1");
    for _ in 0..10 {
        let done = does(&client, r#"{"type":"a"}"#);
        application.next().await.approve();
        assert_eq!(done.await.expect("no panic"), "processed");
    }
    assert_eq!(application.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_carries_all_requests_at_once() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |backend| backend.http2 = true).await;
    let clients = ["1", "2", "3"].map(|user| client(&server, user));
    let doing = clients.each_ref().map(|client| does(client, r#"{"type":"a"}"#));
    let asked = [application.next().await, application.next().await, application.next().await];
    assert_eq!(application.connections.load(Ordering::SeqCst), 1);
    asked.into_iter().for_each(Asked::approve);
    for done in doing {
        assert_eq!(done.await.expect("no panic"), "processed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_that_wait_share_a_request() {
    let mut application = Application::start().await;
    let server =
        serve(&application.url, |backend| (backend.max_requests, backend.max_commands) = (1, 3))
            .await;
    let clients = ["1", "2", "3", "4", "5"].map(|user| client(&server, user));
    let first = does(&clients[0], r#"{"type":"a"}"#);
    let asked = application.next().await;
    let mut doing: Vec<_> =
        clients[1..].iter().map(|client| does(client, r#"{"type":"a"}"#)).collect();
    doing.push(first);
    // All have joined and sent theirs when the server has confirmed them.
    for client in &clients[1..] {
        assert!(client.reached(logux::sync::State::Synchronized).await);
    }
    asked.approve();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 4 {
        let asked = application.next().await;
        sizes.push(asked.ids().len());
        asked.approve();
    }
    for done in doing {
        assert_eq!(done.await.expect("no panic"), "processed");
    }
    assert!(sizes.len() < 4 && sizes.iter().all(|size| *size <= 3), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_be_repeated_is_repeated() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let client = client(&server, "1");
    let done = does(&client, r#"{"type":"logux/subscribe","channel":"room"}"#);
    application.next().await.status(StatusCode::BAD_GATEWAY);
    application.next().await.status(StatusCode::BAD_GATEWAY);
    application.next().await.approve();
    assert_eq!(done.await.expect("no panic"), "processed");

    let done = does(&client, r#"{"type":"a"}"#);
    application.next().await.status(StatusCode::BAD_GATEWAY);
    assert_eq!(done.await.expect("no panic"), "error");
    let done = does(&client, r#"{"type":"b"}"#);
    let next = application.next().await;
    assert_eq!(next.body["commands"][0]["action"]["type"], "b", "the other was not asked again");
    next.approve();
    assert_eq!(done.await.expect("no panic"), "processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_back_end_that_is_down_is_left_alone_for_a_while() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/logux", free.local_addr().expect("an address"));
    drop(free);
    let server = serve(&url, |backend| {
        (backend.retries, backend.max_failures, backend.reset_timeout) =
            (0, 2, Duration::from_hours(1));
    })
    .await;
    let client = client(&server, "1");
    let mut reasons = Vec::new();
    for _ in 0..4 {
        reasons.push(does(&client, r#"{"type":"a"}"#).await.expect("no panic"));
    }
    assert_eq!(reasons, ["error", "error", "backendUnavailable", "backendUnavailable"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_failure() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |backend| backend.timeout = Duration::from_secs(1)).await;
    let client = client(&server, "1");
    let done = does(&client, r#"{"type":"a"}"#);
    let asked = application.next().await;
    assert_eq!(done.await.expect("no panic"), "error");
    let done = does(&client, r#"{"type":"b"}"#);
    drop(asked);
    let pieces = application.next().await.stream();
    pieces.send("[".into()).await.expect("a reader");
    assert_eq!(done.await.expect("no panic"), "error", "silence in the middle, too");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_out_of_order_undo_the_action() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let client = client(&server, "1");
    let names: [(&[&str], &str); 9] = [
        (&["approved", "resend", "processed"], "error"),
        (&["processed"], "error"),
        (&["approved"], "error"),
        (&[], "error"),
        (&["authenticated"], "error"),
        (&["maybe"], "error"),
        (&["forbidden"], "denied"),
        (&["unknownAction"], "unknownType"),
        (&["approved", "error"], "error"),
    ];
    for (names, reason) in names {
        let done = does(&client, r#"{"type":"a"}"#);
        let asked = application.next().await;
        let id = asked.ids().remove(0);
        let answers =
            names.iter().map(|name| json!({"answer": name, "id": id, "channel": "x"})).collect();
        asked.say(&answers);
        assert_eq!(done.await.expect("no panic"), reason, "{names:?}");
    }
}
