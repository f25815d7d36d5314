//! An HTTP server as the application, whose responses are controlled by the test.

mod wire;

use std::{
    net::SocketAddr,
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

const TIMEOUT: Duration = Duration::from_secs(20);
const SECRET: &str = "shared secret";

/// A request that the test must respond to.
struct BackendRequest {
    body: Value,
    answer: oneshot::Sender<Response>,
}

impl BackendRequest {
    fn ids(&self) -> Vec<String> {
        let commands = self.body["commands"].as_array().expect("a list").iter();
        commands.map(|command| command["meta"]["id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Responds in pieces; the body ends when the sender is dropped.
    fn stream(self) -> mpsc::Sender<String> {
        let (sender, receiver) = mpsc::channel::<String>(8);
        let pieces = futures_util::stream::unfold(receiver, |mut receiver| async {
            Some((Ok::<_, std::convert::Infallible>(receiver.recv().await?), receiver))
        });
        let _ = self.answer.send(Response::new(Body::from_stream(pieces)));
        sender
    }

    fn respond(self, answers: &Value) {
        let _ = self.answer.send(Response::new(answers.to_string().into()));
    }

    fn approve(self) {
        let each = |id: &String| {
            [json!({"answer": "approved", "id": id}), json!({"answer": "processed", "id": id})]
        };
        let answers = self.ids().iter().flat_map(each).collect();
        self.respond(&answers);
    }

    fn status(self, status: StatusCode) {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        let _ = self.answer.send(response);
    }
}

/// An application that passes its requests to the test.
struct Application {
    url: String,
    requests: mpsc::Receiver<BackendRequest>,
    connections: Arc<AtomicUsize>,
}

impl Application {
    async fn start() -> Self {
        Self::listen(([127, 0, 0, 1], 0).into()).await
    }

    async fn listen(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}/logux", listener.local_addr().expect("an address"));
        let (sender, requests) = mpsc::channel(16);
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let listener = listener.tap_io(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
        });
        let router = Router::new().route("/logux", post(handle_request)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, requests, connections }
    }

    async fn next(&mut self) -> BackendRequest {
        timeout(TIMEOUT, self.requests.recv()).await.expect("a request in time").expect("a request")
    }
}

async fn handle_request(
    State(requests): State<mpsc::Sender<BackendRequest>>,
    body: String,
) -> Response {
    let (answer, response) = oneshot::channel();
    let body = serde_json::from_str(&body).expect("JSON");
    requests.send(BackendRequest { body, answer }).await.expect("the receiver of the test");
    response.await.expect("an answer")
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

/// Sends an action in a task, which returns `processed` or the reason of the undo.
fn spawn_action(client: &Client, json: &'static str) -> tokio::task::JoinHandle<String> {
    let client = client.clone();
    tokio::spawn(async move {
        match timeout(TIMEOUT, client.sync(action(json))).await.expect("an answer in time") {
            Ok(()) => "processed".to_owned(),
            Err(SyncError::Undone(undo)) => undo.reason,
            Err(other) => other.to_string(),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_used_as_they_arrive() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let (author, reader) = (client(&server, "1"), client(&server, "2"));
    let mut received = reader.actions();
    let subscription = spawn_action(&reader, r#"{"type":"logux/subscribe","channel":"room"}"#);
    application.next().await.approve();
    assert_eq!(subscription.await.expect("no panic"), "processed");

    let outcome = spawn_action(&author, r#"{"type":"say","text":"📜"}"#);
    let request = application.next().await;
    assert_eq!((&request.body["version"], &request.body["secret"]), (&json!(4), &json!(SECRET)));
    let id = request.ids().remove(0);
    let pieces = request.stream();
    let begin = format!(
        r#"[{{"answer":"resend","id":"{id}","channel":"room"}},{{"answer":"approved","id":"{id}"}}"#
    );
    // Split in the middle of an answer.
    for piece in [&begin[..40], &begin[40..]] {
        pieces.send(piece.to_owned()).await.expect("a reader");
    }
    while received.next().await.expect("an action").action.kind() != "say" {}
    assert!(!outcome.is_finished(), "the action is still in progress");
    pieces.send(format!(r#",{{"answer":"processed","id":"{id}"}}]"#)).await.expect("a reader");
    assert_eq!(outcome.await.expect("no panic"), "processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_reused_for_later_requests() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let client = client(&server, "1");
    for _ in 0..10 {
        let outcome = spawn_action(&client, r#"{"type":"a"}"#);
        application.next().await.approve();
        assert_eq!(outcome.await.expect("no panic"), "processed");
    }
    assert_eq!(application.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_carries_concurrent_requests() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |backend| backend.http2 = true).await;
    let clients = ["1", "2", "3"].map(|user| client(&server, user));
    let outcomes = clients.each_ref().map(|client| spawn_action(client, r#"{"type":"a"}"#));
    let request = [application.next().await, application.next().await, application.next().await];
    assert_eq!(application.connections.load(Ordering::SeqCst), 1);
    request.into_iter().for_each(BackendRequest::approve);
    for outcome in outcomes {
        assert_eq!(outcome.await.expect("no panic"), "processed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_commands_share_a_request() {
    let mut application = Application::start().await;
    let server =
        serve(&application.url, |backend| (backend.max_requests, backend.max_commands) = (1, 3))
            .await;
    let clients = ["1", "2", "3", "4", "5"].map(|user| client(&server, user));
    let first = spawn_action(&clients[0], r#"{"type":"a"}"#);
    let request = application.next().await;
    let mut outcomes: Vec<_> =
        clients[1..].iter().map(|client| spawn_action(client, r#"{"type":"a"}"#)).collect();
    outcomes.push(first);
    // All clients have connected and sent their actions when the server has confirmed them.
    for client in &clients[1..] {
        assert!(client.reached(logux::sync::State::Synchronized).await);
    }
    request.approve();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 4 {
        let request = application.next().await;
        sizes.push(request.ids().len());
        request.approve();
    }
    for outcome in outcomes {
        assert_eq!(outcome.await.expect("no panic"), "processed");
    }
    assert!(sizes.len() < 4 && sizes.iter().all(|size| *size <= 3), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_idempotent_commands_are_retried() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |_| {}).await;
    let client = client(&server, "1");
    let outcome = spawn_action(&client, r#"{"type":"logux/subscribe","channel":"room"}"#);
    application.next().await.status(StatusCode::BAD_GATEWAY);
    application.next().await.status(StatusCode::BAD_GATEWAY);
    application.next().await.approve();
    assert_eq!(outcome.await.expect("no panic"), "processed");

    let outcome = spawn_action(&client, r#"{"type":"a"}"#);
    application.next().await.status(StatusCode::BAD_GATEWAY);
    assert_eq!(outcome.await.expect("no panic"), "error");
    let outcome = spawn_action(&client, r#"{"type":"b"}"#);
    let next = application.next().await;
    assert_eq!(
        next.body["commands"][0]["action"]["type"], "b",
        "the other command was not retried"
    );
    next.approve();
    assert_eq!(outcome.await.expect("no panic"), "processed");
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_wait_for_a_back_end_that_is_down() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |backend| {
        (backend.max_failures, backend.reset_timeout) = (2, Duration::from_millis(200));
    })
    .await;
    let client = client(&server, "1");
    let actions = [r#"{"type":"a"}"#, r#"{"type":"b"}"#, r#"{"type":"c"}"#, r#"{"type":"d"}"#];
    let outcomes = actions.map(|action| spawn_action(&client, action));
    // Unavailable for longer than all retries of a login, and than the breaker.
    for _ in 0..5 {
        application.next().await.status(StatusCode::SERVICE_UNAVAILABLE);
    }
    for _ in actions {
        application.next().await.approve();
    }
    for outcome in outcomes {
        assert_eq!(outcome.await.expect("no panic"), "processed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_wait_for_a_back_end_that_starts_later() {
    let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let backend = Backend::new(&format!("http://{address}/logux"), SECRET).expect("a back end");
    let backend = backend.config(|backend| {
        (backend.max_failures, backend.reset_timeout) = (2, Duration::from_millis(200));
    });
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .backend(backend)
        .config(|config| config.collect_metrics = true)
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let client = client(&server, "1");
    let outcomes = [r#"{"type":"a"}"#, r#"{"type":"logux/subscribe","channel":"room"}"#]
        .map(|action| spawn_action(&client, action));
    let is_down = async {
        while !server
            .handle()
            .metrics()
            .await
            .expect("metrics")
            .contains("\nlogux_backend_down 1\n")
        {
            tokio::task::yield_now().await;
        }
    };
    timeout(TIMEOUT, is_down).await.expect("the back end counts as down");
    let mut application = Application::listen(address).await;
    for _ in &outcomes {
        application.next().await.approve();
    }
    for outcome in outcomes {
        assert_eq!(outcome.await.expect("no panic"), "processed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeout_is_a_failure() {
    let mut application = Application::start().await;
    let server = serve(&application.url, |backend| backend.timeout = Duration::from_secs(1)).await;
    let client = client(&server, "1");
    let outcome = spawn_action(&client, r#"{"type":"a"}"#);
    let request = application.next().await;
    assert_eq!(outcome.await.expect("no panic"), "error");
    let outcome = spawn_action(&client, r#"{"type":"b"}"#);
    drop(request);
    let pieces = application.next().await.stream();
    pieces.send("[".into()).await.expect("a reader");
    assert_eq!(outcome.await.expect("no panic"), "error", "a timeout within a response too");
}

#[tokio::test(flavor = "multi_thread")]
async fn unexpected_answers_undo_the_action() {
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
        let outcome = spawn_action(&client, r#"{"type":"a"}"#);
        let request = application.next().await;
        let id = request.ids().remove(0);
        let answers =
            names.iter().map(|name| json!({"answer": name, "id": id, "channel": "x"})).collect();
        request.respond(&answers);
        assert_eq!(outcome.await.expect("no panic"), reason, "{names:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_host_cannot_connect_with_the_cookies_of_its_visitor() {
    let mut application = Application::start().await;
    let backend = Backend::new(&application.url, SECRET).expect("a back end");
    let server = Server::builder().backend(backend).listen(([127, 0, 0, 1], 0).into());
    let server = server.await.expect("a server");
    let status = async |headers: &str| wire::upgrade_status(server.address(), headers).await;
    let cookie = "cookie: session=1\r\n";
    assert_eq!(status(&format!("origin: https://evil.example\r\n{cookie}")).await, 403);
    assert_eq!(status("origin: https://evil.example\r\n").await, 101, "without a cookie");
    assert_eq!(status(&format!("origin: https://x\r\n{cookie}")).await, 101, "the own host");
    assert_eq!(status(cookie).await, 101, "not a page");

    let connector =
        WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
    let connector = connector.header("origin", "https://app.example").expect("a header");
    let _client = Client::builder("10").expect("a user").start(connector);
    let request = application.next().await;
    assert_eq!(request.body["commands"][0]["origin"], json!("https://app.example"));
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn control_requests_on_a_unix_socket_are_checked() {
    use logux_server::Listener;
    let folder = tempfile::tempdir().expect("a folder");
    let status = async |name: &str, mask: &str, proxies: &str, secret: &str| {
        let path = folder.path().join(name);
        let backend = Backend::new("http://127.0.0.1:1/", SECRET).expect("a back end");
        let server = Server::builder()
            .auth(|_| async { Ok(true) })
            .backend(backend.control_mask(mask).expect("a mask"))
            .config(|config| config.proxies = proxies.parse().expect("networks"))
            .listen_on(vec![Listener::unix(&path, None).expect("a socket")])
            .await
            .expect("a server");
        let body = json!({"version": 4, "secret": secret, "commands": []});
        let body = format!("\r\n\r\n{body}");
        let mut last = 0;
        for _ in 0..4 {
            let mut socket = tokio::net::UnixStream::connect(&path).await.expect("a connection");
            last = wire::http_on(&mut socket, "POST", "/", &body).await.0;
        }
        server.shutdown().await.expect("stopped");
        last
    };
    assert_eq!(status("a", "127.0.0.1", "", SECRET).await, 200);
    assert_eq!(status("b", "127.0.0.1", "", "guess").await, 429, "wrong secrets are counted");
    assert_eq!(status("c", "10.0.0.0/8", "", SECRET).await, 403, "the mask applies");
    assert_eq!(status("d", "127.0.0.1", "unix", SECRET).await, 403, "the address is not known");
}
