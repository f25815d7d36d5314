//! A back end that responds with something else than the protocol is described in the log, so that
//! its operator finds the cause: an error page, a redirect, compression, a byte order mark.

#[path = "support/capture.rs"]
mod capture;

use axum::{
    Router,
    body::Body,
    http::{
        StatusCode, Uri,
        header::{CONTENT_ENCODING, CONTENT_TYPE, LOCATION},
    },
    response::Response,
};
use capture::capture;
use logux::Action;
use logux_client::Client;
use logux_net::WebSocketConnector;
use logux_server::{Backend, Server};
use tokio::net::TcpListener;

const SECRET: &str = "shared secret of this back end";
const TOKEN: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

/// Answers each path with another wrong response.
async fn respond(uri: Uri) -> Response {
    let response = Response::builder();
    let (response, body) = match uri.path() {
        "/page" => (
            response.header(CONTENT_TYPE, "text/html; charset=utf-8"),
            format!("<html><title>Fatal error</title>{SECRET} {TOKEN}{}", "x ".repeat(500)).into(),
        ),
        "/redirect" => (
            response
                .status(StatusCode::FOUND)
                .header(LOCATION, "https://admin:password@login.example.com/in?session=1234"),
            Body::empty(),
        ),
        "/gzip" => (
            response.header(CONTENT_TYPE, "application/json").header(CONTENT_ENCODING, "gzip"),
            Body::from(&b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x8b\x8e\x05\x00"[..]),
        ),
        _ => (response.header(CONTENT_TYPE, "application/json"), "\u{feff}[]".into()),
    };
    response.body(body).expect("a response")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_shows_what_was_received() {
    let captured = capture();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(respond);
    tokio::spawn(async move { axum::serve(listener, router).await });

    for (path, expected) in [
        ("/page", &["status 200", "content type text/html", "<title>Fatal error</title>"][..]),
        ("/redirect", &["status 302", "location https://login.example.com/in"]),
        ("/gzip", &["status 200", "content encoding gzip"]),
        ("/mark", &["status 200", "content type application/json", r"\u{feff}[]"]),
    ] {
        let backend = Backend::new(&format!("{url}{path}"), SECRET).expect("a back end");
        let server = Server::builder().auth(|_| async { Ok(true) }).backend(backend);
        let server = server.listen(([127, 0, 0, 1], 0).into()).await.expect("a server");
        let address = format!("ws://{}", server.address());
        let connector = WebSocketConnector::new(&address).expect("an address");
        let client = Client::builder("10").expect("a user").start(connector);
        let action = Action::new(r#"{"type":"inc"}"#).expect("an action");
        let sync = tokio::spawn(async move { client.sync(action).await.map_err(drop) });
        let line = captured.wait_for(path, |line| {
            line.get("error").is_some_and(|error| expected.iter().all(|part| error.contains(part)))
        });
        assert!(line["error"].len() < 500, "{line:?}");
        for secret in [SECRET, TOKEN, "password", "1234"] {
            assert!(!format!("{:?}", captured.all()).contains(secret), "{line:?}");
        }
        sync.abort();
        drop(server);
    }
}
