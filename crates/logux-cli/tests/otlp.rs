//! `logux serve --otlp`: each action is a trace, and a failing collector does not affect clients.
#![cfg(unix)]

mod process;

use std::{
    collections::BTreeMap,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    thread::sleep,
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind},
};
use process::{RunningProgram, TIMEOUT, folder, logux, stderr};
use prost::Message as _;

/// Reads an HTTP request. Returns its head in lower case, and its body.
fn request(socket: &mut TcpStream) -> Option<(String, Vec<u8>)> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = bytes.windows(4).position(|found| found == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
            let length =
                head.split("content-length: ").nth(1)?.lines().next()?.parse::<usize>().ok()?;
            let body = &bytes[end + 4..];
            if body.len() >= length {
                return Some((head, body[..length].to_vec()));
            }
        }
        match socket.read(&mut buffer) {
            Ok(read @ 1..) => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

/// Responds to all requests with the result of `respond`.
fn serve_http(
    listener: TcpListener,
    respond: impl Fn(&str, &[u8]) -> String + Send + Clone + 'static,
) {
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let respond = respond.clone();
            std::thread::spawn(move || {
                while let Some((head, body)) = request(&mut socket) {
                    let body = respond(&head, &body);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    socket.write_all((head + &body).as_bytes()).expect("a writable socket");
                }
            });
        }
    });
}

/// A collector, and the requests that it has received.
struct Collector {
    url: String,
    requests: mpsc::Receiver<(String, ExportTraceServiceRequest)>,
}

impl Collector {
    fn start(listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("a local address"));
        let (sender, requests) = mpsc::channel();
        serve_http(listener, move |head, body| {
            let decoded = ExportTraceServiceRequest::decode(body).expect("OTLP");
            let _ = sender.send((head.to_owned(), decoded));
            String::new()
        });
        Self { url, requests }
    }

    /// Waits for the next request. Returns its head, the attributes of its resource, and its spans.
    fn next(&self) -> (String, BTreeMap<String, String>, Vec<Span>) {
        let (head, request) = self.requests.recv_timeout(TIMEOUT).expect("spans");
        let [resource_spans] = request.resource_spans.try_into().expect("one service");
        let service = attributes(&resource_spans.resource.expect("a service").attributes);
        (
            head,
            service,
            resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans).collect(),
        )
    }
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a free port")
}

fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    let text =
        |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
            Some(Value::StringValue(text)) => text.clone(),
            other => format!("{other:?}"),
        };
    attributes.iter().map(|KeyValue { key, value, .. }| (key.clone(), text(value))).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
}

/// Returns a command that sends spans after 50 ms.
fn quick_export() -> (tempfile::TempDir, Command) {
    let folder = folder();
    let mut command = logux(folder.path());
    command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    (folder, command)
}

fn create(url: &str, id: &str) {
    let action =
        format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"title":"Bearer hidden"}}}}"#);
    let sent =
        logux(folder().path()).args(["send", url, &action]).output().expect("the program runs");
    assert_eq!(&*sent.stdout, b"processed\n", "{}", stderr(&sent));
}

#[test]
fn trace_of_an_action_is_exported() {
    let collector = Collector::start(free_port());
    // With this delay, spans are sent only when the program stops.
    let (folder, mut command) = (folder(), logux(folder().path()));
    command.current_dir(folder.path()).env("OTEL_BSP_SCHEDULE_DELAY", "60000");
    command
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
        .env("OTEL_RESOURCE_ATTRIBUTES", "place=here");
    let (server, url) =
        RunningProgram::serve_with(command, &["--dev", "--id", "one", "--otlp", &collector.url]);
    create(&url, "1");
    assert_eq!(server.stop(), Some(0));
    let (head, service, spans) = collector.next();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(
        head.contains("content-type: application/x-protobuf") && head.contains("x-team: blue"),
        "{head}"
    );
    let expected = [
        ("place", "here"),
        ("service.instance.id", "one"),
        ("service.name", "logux"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(service, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());

    let [action, application] = ["action", "application"].map(|name| named(&spans, name));
    assert!(action.parent_span_id.is_empty());
    assert_eq!(application.parent_span_id, action.span_id);
    for handler in ["access", "process"] {
        let handler = named(&spans, handler);
        assert_eq!(handler.parent_span_id, application.span_id);
        assert!(handler.start_time_unix_nano >= action.start_time_unix_nano);
        assert!(handler.end_time_unix_nano <= action.end_time_unix_nano);
    }
    assert_eq!(spans.len(), 4, "no spans but those of the action: {spans:#?}");
    assert!(spans.iter().all(|span| span.trace_id == action.trace_id));
    let moments: Vec<_> = action.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(moments, ["kept", "asked", "resent", "answered", "delivered"]);
    let about = attributes(&action.attributes);
    assert_eq!(
        about.keys().map(String::as_str).collect::<Vec<_>>(),
        ["actionId", "nodeId", "outcome", "type"]
    );
    assert_eq!((&*about["outcome"], &*about["type"]), ("processed", "tasks/create"));
    assert!(
        !format!("{spans:?}").contains("hidden"),
        "traces do not contain the content of actions"
    );
}

#[test]
fn trace_context_is_sent_to_the_back_end() {
    let collector = Collector::start(free_port());
    let listener = free_port();
    let back_end = format!("http://{}/", listener.local_addr().expect("a local address"));
    let (sender, heads) = mpsc::channel();
    serve_http(listener, move |head, body| {
        let request: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let id = &request["commands"][0]["meta"]["id"];
        sender.send(head.to_owned()).expect("a receiver");
        let response =
            |answer: &str| serde_json::json!({"answer": answer, "id": id, "channels": ["room"]});
        serde_json::json!([response("resend"), response("approved"), response("processed")])
            .to_string()
    });
    let (_folder, mut command) = quick_export();
    // The standard variables of OpenTelemetry.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("OTEL_SERVICE_NAME", "chat");
    let (server, url) = RunningProgram::serve_with(
        command,
        &["--dev", "--backend", &back_end, "--control-secret", "secret-of-control"],
    );
    let sent = logux(folder().path())
        .args(["send", &url, r#"{"type":"say"}"#])
        .output()
        .expect("the program runs");
    assert_eq!(&*sent.stdout, b"processed\n", "{}", stderr(&sent));
    let head = heads.recv_timeout(TIMEOUT).expect("a request");
    server.stop();

    let mut spans = Vec::new();
    while !spans.iter().any(|span: &Span| span.name == "action") {
        let (_, service, more) = collector.next();
        assert_eq!(service["service.name"], "chat");
        spans.extend(more);
    }
    let [action, application, backend] =
        ["action", "application", "backend"].map(|name| named(&spans, name));
    assert_eq!(
        (&application.parent_span_id, &backend.parent_span_id),
        (&action.span_id, &application.span_id)
    );
    assert_eq!(
        [action, application, backend].map(Span::kind),
        [SpanKind::Server, SpanKind::Internal, SpanKind::Client]
    );
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let traceparent =
        format!("traceparent: 00-{}-{}-01", hex(&action.trace_id), hex(&backend.span_id));
    assert!(head.contains(&traceparent), "{traceparent} in {head}");
    assert!(action.events.iter().any(|event| event.name == "resent"));
    assert!(!format!("{spans:?}").contains("secret-of-control"));
}

#[test]
fn actions_that_are_not_sampled_are_not_exported() {
    let collector = Collector::start(free_port());
    let (_folder, command) = quick_export();
    let (server, url) = RunningProgram::serve_with(
        command,
        &["--dev", "--otlp", &collector.url, "--otlp-ratio", "0"],
    );
    create(&url, "1");
    assert_eq!(server.stop(), Some(0));
    assert!(collector.requests.try_recv().is_err());
}

#[test]
fn failure_and_recovery_of_the_collector_are_logged_once() {
    let listener = free_port();
    let address = listener.local_addr().expect("a local address");
    drop(listener);
    let (_folder, command) = quick_export();
    let (server, url) =
        RunningProgram::serve_with(command, &["--dev", "--otlp", &format!("http://{address}/")]);
    create(&url, "1");
    let line = server.line("Collector");
    assert!(line.contains("WARN") && line.contains("refused"), "{line}");
    create(&url, "2");
    // Enough time for a second warning, which must not be logged.
    sleep(Duration::from_secs(2));
    let collector = Collector::start(TcpListener::bind(address).expect("the port is free"));
    create(&url, "3");
    let line = server.line("Collector");
    assert!(line.contains("accepts traces again"), "the failure was logged once: {line}");
    assert!(!collector.next().2.is_empty());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn collector_that_does_not_respond_delays_no_action() {
    let silent = free_port();
    let (_folder, command) = quick_export();
    let url_of_collector = format!("http://{}", silent.local_addr().expect("a local address"));
    let (server, url) =
        RunningProgram::serve_with(command, &["--dev", "--otlp", &url_of_collector]);
    let start = Instant::now();
    for id in ["1", "2", "3"] {
        create(&url, id);
    }
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
    let start = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}

#[test]
fn invalid_collector_url_is_an_error_at_startup() {
    let folder = folder();
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--collection", "tasks"]).env("LOGUX_OTLP", "localhost:4318");
    let output = command.output().expect("the program runs");
    assert_eq!(output.status.code(), Some(1));
    let expected = "logux: --otlp: expected the URL of a collector, such as http://127.0.0.1:4318, not `localhost:4318`";
    assert_eq!(stderr(&output), expected);
}
