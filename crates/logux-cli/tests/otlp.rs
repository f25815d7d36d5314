//! `logux serve --otlp`: each action is a trace at an OpenTelemetry collector, and a collector in trouble is nobody else's.
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
use process::{PATIENCE, Running, folder, logux, said};
use prost::Message as _;

/// Reads one HTTP request: its head in lower case, and its body.
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

/// Answers all requests to a port, and hands them on.
fn answer(listener: TcpListener, reply: impl Fn(&str, &[u8]) -> String + Send + Clone + 'static) {
    std::thread::spawn(move || {
        for mut socket in listener.incoming().map_while(Result::ok) {
            let reply = reply.clone();
            std::thread::spawn(move || {
                while let Some((head, body)) = request(&mut socket) {
                    let body = reply(&head, &body);
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    socket.write_all((head + &body).as_bytes()).expect("room");
                }
            });
        }
    });
}

/// A collector, and what it got.
struct Collector {
    url: String,
    requests: mpsc::Receiver<(String, ExportTraceServiceRequest)>,
}

impl Collector {
    fn start(listener: TcpListener) -> Self {
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let (tell, requests) = mpsc::channel();
        answer(listener, move |head, body| {
            let decoded = ExportTraceServiceRequest::decode(body).expect("OTLP");
            let _ = tell.send((head.to_owned(), decoded));
            String::new()
        });
        Self { url, requests }
    }

    /// The next spans, with their names, and what they are about.
    fn next(&self) -> (String, BTreeMap<String, String>, Vec<Span>) {
        let (head, request) = self.requests.recv_timeout(PATIENCE).expect("spans");
        let [of_one] = request.resource_spans.try_into().expect("one service");
        let service = attributes(&of_one.resource.expect("a service").attributes);
        (head, service, of_one.scope_spans.into_iter().flat_map(|scope| scope.spans).collect())
    }
}

fn free_port() -> TcpListener {
    TcpListener::bind("127.0.0.1:0").expect("a port")
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

/// A program that sends spans soon.
fn quick() -> (tempfile::TempDir, Command) {
    let folder = folder();
    let mut command = logux(folder.path());
    command.env("OTEL_BSP_SCHEDULE_DELAY", "50");
    (folder, command)
}

fn create(url: &str, id: &str) {
    let action =
        format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"title":"Bearer hidden"}}}}"#);
    let sent = logux(folder().path()).args(["send", url, &action]).output().expect("the program");
    assert_eq!(&*sent.stdout, b"processed\n", "{}", said(&sent));
}

#[test]
fn an_action_is_a_trace_of_a_service_from_its_arrival_to_the_delivery_of_its_answer() {
    let collector = Collector::start(free_port());
    // Spans leave at the end of the program at the latest, here only then.
    let (folder, mut command) = (folder(), logux(folder().path()));
    command.current_dir(folder.path()).env("OTEL_BSP_SCHEDULE_DELAY", "60000");
    command
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-team=blue")
        .env("OTEL_RESOURCE_ATTRIBUTES", "place=here");
    let (server, url) =
        Running::serve_in(command, &["--dev", "--id", "one", "--otlp", &collector.url]);
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
    assert_eq!(spans.len(), 4, "only what is about the action: {spans:#?}");
    assert!(spans.iter().all(|span| span.trace_id == action.trace_id));
    let moments: Vec<_> = action.events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(moments, ["kept", "asked", "resent", "answered", "delivered"]);
    let about = attributes(&action.attributes);
    assert_eq!(
        about.keys().map(String::as_str).collect::<Vec<_>>(),
        ["actionId", "nodeId", "outcome", "type"]
    );
    assert_eq!((&*about["outcome"], &*about["type"]), ("processed", "tasks/create"));
    assert!(!format!("{spans:?}").contains("hidden"), "what is in actions stays out of traces");
}

#[test]
fn the_back_end_gets_the_trace_that_the_collector_gets() {
    let collector = Collector::start(free_port());
    let listener = free_port();
    let back_end = format!("http://{}/", listener.local_addr().expect("its address"));
    let (tell, heads) = mpsc::channel();
    answer(listener, move |head, body| {
        let request: serde_json::Value = serde_json::from_slice(body).expect("JSON");
        let id = &request["commands"][0]["meta"]["id"];
        tell.send(head.to_owned()).expect("somebody waits");
        let reply =
            |answer: &str| serde_json::json!({"answer": answer, "id": id, "channels": ["room"]});
        serde_json::json!([reply("resend"), reply("approved"), reply("processed")]).to_string()
    });
    let (_folder, mut command) = quick();
    // As OpenTelemetry's own variables say.
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url).env("OTEL_SERVICE_NAME", "chat");
    let (server, url) = Running::serve_in(
        command,
        &["--dev", "--backend", &back_end, "--control-secret", "secret-of-control"],
    );
    let sent = logux(folder().path())
        .args(["send", &url, r#"{"type":"say"}"#])
        .output()
        .expect("the program");
    assert_eq!(&*sent.stdout, b"processed\n", "{}", said(&sent));
    let head = heads.recv_timeout(PATIENCE).expect("a question");
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
    let told = format!("traceparent: 00-{}-{}-01", hex(&action.trace_id), hex(&backend.span_id));
    assert!(head.contains(&told), "{told} in {head}");
    assert!(action.events.iter().any(|event| event.name == "resent"));
    assert!(!format!("{spans:?}").contains("secret-of-control"));
}

#[test]
fn what_is_not_sampled_is_not_sent() {
    let collector = Collector::start(free_port());
    let (_folder, command) = quick();
    let (server, url) =
        Running::serve_in(command, &["--dev", "--otlp", &collector.url, "--otlp-ratio", "0"]);
    create(&url, "1");
    assert_eq!(server.stop(), Some(0));
    assert!(collector.requests.try_recv().is_err());
}

#[test]
fn a_collector_that_is_down_is_said_once_and_gets_what_is_new_when_it_is_back() {
    let listener = free_port();
    let address = listener.local_addr().expect("its address");
    drop(listener);
    let (_folder, command) = quick();
    let (server, url) =
        Running::serve_in(command, &["--dev", "--otlp", &format!("http://{address}/")]);
    create(&url, "1");
    let line = server.line("Collector");
    assert!(line.contains("WARN") && line.contains("refused"), "{line}");
    create(&url, "2");
    // Time enough for it to be said again, if it were.
    sleep(Duration::from_secs(2));
    let collector = Collector::start(TcpListener::bind(address).expect("the port is free"));
    create(&url, "3");
    let line = server.line("Collector");
    assert!(line.contains("takes traces again"), "it was said once that it is down: {line}");
    assert!(!collector.next().2.is_empty());
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn a_collector_that_never_answers_holds_nobody_up() {
    let silent = free_port();
    let (_folder, command) = quick();
    let url_of_collector = format!("http://{}", silent.local_addr().expect("its address"));
    let (server, url) = Running::serve_in(command, &["--dev", "--otlp", &url_of_collector]);
    let began = Instant::now();
    for id in ["1", "2", "3"] {
        create(&url, id);
    }
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(server.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
}

#[test]
fn what_is_no_collector_is_said_at_the_start() {
    let folder = folder();
    let mut command = logux(folder.path());
    command.args(["serve", "--dev", "--collection", "tasks"]).env("LOGUX_OTLP", "localhost:4318");
    let output = command.output().expect("the program");
    assert_eq!(output.status.code(), Some(1));
    let expected = "logux: --otlp: expected the URL of a collector, such as http://127.0.0.1:4318, not `localhost:4318`";
    assert_eq!(said(&output), expected);
}
