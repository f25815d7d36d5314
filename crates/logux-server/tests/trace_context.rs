//! A back end receives the trace context of an action, in the format of the W3C.

#[path = "support/raw.rs"]
mod raw;

use logux_server::{Backend, Server, traces::TARGET};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider};
use raw::{open, read, sync};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};
use tracing_subscriber::{Layer as _, filter::filter_fn, layer::SubscriberExt as _};

/// Runs a back end that approves and processes one action. Returns its request.
async fn serve_one(listener: TcpListener) -> String {
    let (mut stream, _) = listener.accept().await.expect("a request");
    let mut request = String::new();
    while !request.ends_with('}') {
        let mut bytes = [0; 4_096];
        let read = stream.read(&mut bytes).await.expect("bytes");
        request += std::str::from_utf8(&bytes[..read]).expect("text");
    }
    let id = request
        .split(r#""meta":{"id":""#)
        .nth(1)
        .and_then(|rest| rest.split('"').next())
        .expect("an id");
    let body =
        format!(r#"[{{"answer":"approved","id":"{id}"}},{{"answer":"processed","id":"{id}"}}]"#);
    let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await.expect("sent");
    request
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_carries_the_trace_of_the_action() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("logux"));
    let layer = layer.with_filter(filter_fn(|metadata| metadata.target() == TARGET));
    tracing::subscriber::set_global_default(tracing_subscriber::registry().with(layer))
        .expect("the only subscriber");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/", listener.local_addr().expect("an address"));
    let application = tokio::spawn(serve_one(listener));
    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .backend(Backend::new(&url, "a secret").expect("a back end"))
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a server");
    let mut socket = open(&server, "10:a:tab", "right").await;
    sync(&mut socket, 1, r#"{"type":"say"}"#).await;
    read(&mut socket, "logux/processed").await;
    let request = application.await.expect("a request").to_ascii_lowercase();
    drop(socket);
    server.shutdown().await.expect("a clean shutdown");

    // The last span of a handler may end after the answer to its action.
    let mut spans = exporter.get_finished_spans().expect("spans");
    while !spans.iter().any(|span| span.name == "action") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        spans = exporter.get_finished_spans().expect("spans");
    }
    let named = |name: &str| {
        spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}")).clone()
    };
    let (action, application, backend) = (named("action"), named("application"), named("backend"));
    assert_eq!(application.parent_span_id, action.span_context.span_id());
    assert_eq!(backend.parent_span_id, application.span_context.span_id());
    let context = &backend.span_context;
    let expected = format!("traceparent: 00-{}-{}-01\r\n", context.trace_id(), context.span_id());
    assert!(request.contains(&expected), "{expected} in {request}");
    assert!(
        action.attributes.iter().any(|attribute| attribute.key.as_str() == "actionId"),
        "{action:?}"
    );
    let event_names: Vec<_> = action.events.iter().map(|event| event.name.to_string()).collect();
    assert_eq!(event_names, ["kept", "asked", "resent", "answered", "delivered"]);
}
