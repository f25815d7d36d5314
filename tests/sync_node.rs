//! Two sync nodes with virtual time: authentication, synchronization, keep-alive, invalid input.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use logux::{
    Action, Entry, Meta, NodeId, Now, WallTime,
    action::Subprotocol,
    sync::{
        Authentication, BatchToken, Config, Disconnect, Input, Node, Output, State, TimeoutKind,
    },
    wire::{ErrorMessage, MessageLimits},
};

/// One node, with its outputs that the test has not read yet.
struct End {
    node: Node,
    sent: Vec<String>,
    received: Vec<(BatchToken, Vec<Entry>)>,
    authentications: Vec<Authentication>,
    events: Vec<String>,
    disconnected: Option<Disconnect>,
}

const EPOCH: i64 = 1_564_508_138_460;

fn at(ms: u64) -> Now {
    Now::from_millis(EPOCH + i64::try_from(ms).unwrap(), ms)
}

fn node(text: &str) -> NodeId {
    NodeId::new(text).unwrap()
}

impl End {
    fn new(config: Config) -> Self {
        Self {
            node: Node::new(Arc::new(config), ()),
            sent: Vec::new(),
            received: Vec::new(),
            authentications: Vec::new(),
            events: Vec::new(),
            disconnected: None,
        }
    }

    fn server() -> Self {
        Self::new(Config::server(node("server:uuid")))
    }

    fn client() -> Self {
        Self::new(Config::client(node("10:client:tab")))
    }

    fn handle(&mut self, now: Now, input: Input<'_>) {
        self.node.handle(now, input);
        self.drain();
    }

    fn send(&mut self, now: Now, added: u64, entries: &[Entry]) {
        self.node.send(now.mono, added, entries);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(frame) => self.sent.push(frame),
                Output::Received { batch, entries, .. } => self.received.push((batch, entries)),
                Output::Authenticate(request) => self.authentications.push(request),
                Output::Disconnect(reason) => self.disconnected = Some(reason),
                other => self.events.push(format!("{other:?}")),
            }
        }
    }

    fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }

    fn accept(&mut self, now: Now) {
        let request = self.authentications.pop().expect("an authentication request");
        self.handle(now, Input::Allow(request.token));
    }
}

fn entry(id: &str, time: i64, json: &str) -> Entry {
    let meta = Meta::new(id.parse().unwrap()).with_time(WallTime::from_millis(time));
    Entry::new(Action::new(json).unwrap(), meta)
}

/// Delivers frames between the nodes until there are none.
fn exchange(now: Now, client: &mut End, server: &mut End) {
    for _ in 0..1_000 {
        let (to_server, to_client) = (client.sent(), server.sent());
        if to_server.is_empty() && to_client.is_empty() {
            return;
        }
        for frame in to_server {
            server.handle(now, Input::Frame(&frame));
        }
        for frame in to_client {
            client.handle(now, Input::Frame(&frame));
        }
        for end in [&mut *client, &mut *server] {
            while let Some(request) = end.authentications.pop() {
                end.handle(now, Input::Allow(request.token));
            }
        }
    }
    panic!("the nodes never stop sending");
}

fn connected() -> (End, End) {
    let (mut client, mut server) = (End::client(), End::server());
    client.handle(at(0), Input::Opened);
    server.handle(at(0), Input::Opened);
    exchange(at(0), &mut client, &mut server);
    client.send(at(0), 0, &[]);
    server.send(at(0), 0, &[]);
    (client, server)
}

#[test]
fn a_server_answers_as_the_reference_does() {
    let mut config = Config::server(node("server:uuid"));
    config.subprotocol.number = 2;
    config.headers = Some(logux::Json::new(r#"{"env":"development"}"#).unwrap());
    let mut server = End::new(config);
    server.handle(at(0), Input::Opened);
    server.handle(at(1), Input::Frame(r#"["headers",{"lang":"fr"}]"#));
    server.handle(
        at(2),
        Input::Frame(r#"["connect",5,"10:client:tab",7,{"token":"t","subprotocol":1}]"#),
    );
    let request = &server.authentications[0];
    assert_eq!((request.node.as_str(), request.secret.as_deref()), ("10:client:tab", Some("t")));
    assert_eq!(request.subprotocol, Subprotocol::Number(1));
    assert_eq!(request.headers.as_ref().unwrap().as_str(), r#"{"lang":"fr"}"#);
    assert!(!format!("{request:?}").contains("\"t\""), "`Debug` must not show the secret");
    server.accept(at(5));
    assert_eq!(
        server.sent(),
        [
            r#"["headers",{"env":"development"}]"#.to_owned(),
            format!(
                r#"["connected",5,"server:uuid",[{},{}],{{"subprotocol":2}}]"#,
                EPOCH + 2,
                EPOCH + 5
            ),
        ]
    );
    assert!(server.events.iter().any(|event| event.contains("since: Some(7)")));
    assert_eq!(server.node.state(), State::Sending);
    server.send(at(6), 0, &[]);
    assert_eq!(server.node.state(), State::Synchronized);
}

#[test]
fn old_clients_receive_the_old_form_of_the_subprotocol() {
    let mut config = Config::server(node("server:uuid"));
    config.subprotocol.number = 2;
    let mut server = End::new(config);
    server.handle(at(0), Input::Opened);
    server
        .handle(at(0), Input::Frame(r#"["connect",4,"10:client:tab",0,{"subprotocol":"1.2.0"}]"#));
    assert_eq!(server.authentications[0].subprotocol, Subprotocol::SemVer("1.2.0".into()));
    server.accept(at(0));
    assert!(server.sent()[0].ends_with(r#"],{"subprotocol":"2.0.0"}]"#));
}

#[test]
fn actions_are_sent_with_compact_ids_and_corrected_times() {
    let (mut client, mut server) = (End::client(), End::server());
    // The client's clock is an hour ahead; the latency is 10 ms in each direction.
    let hour = 3_600_000;
    let local = |ms: u64| Now::from_millis(EPOCH + hour + i64::try_from(ms).unwrap(), ms);
    client.handle(local(0), Input::Opened);
    server.handle(at(0), Input::Opened);
    let frame = client.sent().remove(0);
    server.handle(at(10), Input::Frame(&frame));
    server.accept(at(12));
    server.send(at(12), 0, &[]);
    let frame = server.sent().remove(0);
    client.handle(local(22), Input::Frame(&frame));
    client.accept(local(22));
    assert!(client.events.contains(&format!("TimeFix({hour})")));

    let id = format!("{} 10:client:tab 0", EPOCH + hour + 30);
    client.send(local(30), 1, &[entry(&id, EPOCH + hour + 30, r#"{"type":"a"}"#)]);
    let frame = client.sent().remove(0);
    assert_eq!(frame, format!(r#"["sync",1,{{"type":"a"}},{{"id":{},"time":{}}}]"#, hour + 18, 18));
    server.handle(at(40), Input::Frame(&frame));
    let (batch, entries) = server.received.pop().unwrap();
    assert_eq!(entries[0].meta.id.to_string(), id);
    assert_eq!(entries[0].meta.time.as_millis(), EPOCH + 30);
    assert!(server.sent().is_empty(), "actions are confirmed only after they are durable");
    server.handle(at(41), Input::Persisted(batch));
    assert_eq!(server.sent(), [r#"["synced",1]"#]);

    server.send(at(50), 9, &[entry("1 20:other:x 3", EPOCH + 50, r#"{"type":"b"}"#)]);
    let frame = server.sent().remove(0);
    client.handle(local(60), Input::Frame(&frame));
    let (_, entries) = client.received.pop().unwrap();
    assert_eq!(entries[0].meta.id.to_string(), "1 20:other:x 3");
    assert_eq!(entries[0].meta.time.as_millis(), EPOCH + 50 + hour);
}

#[test]
fn confirmations_are_in_the_order_of_the_batches() {
    let (_, mut server) = connected();
    for added in 1..=3 {
        server.handle(
            at(1),
            Input::Frame(&format!(r#"["sync",{added},{{"type":"a"}},{{"id":{added},"time":0}}]"#)),
        );
    }
    let mut batches: Vec<BatchToken> = server.received.drain(..).map(|(batch, _)| batch).collect();
    server.sent();
    server.handle(at(2), Input::Persisted(batches.remove(1)));
    assert!(server.sent().is_empty());
    server.handle(at(2), Input::Persisted(batches.remove(0)));
    assert_eq!(server.sent(), [r#"["synced",1]"#, r#"["synced",2]"#]);
}

#[test]
fn an_authentication_of_an_earlier_connection_is_ignored() {
    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    server.handle(at(0), Input::Frame(r#"["connect",5,"10:good:tab",0]"#));
    let old = server.authentications.pop().unwrap();
    server.handle(at(1), Input::Closed);
    server.handle(at(2), Input::Opened);
    server.handle(at(2), Input::Frame(r#"["connect",5,"20:evil:tab",0]"#));
    server.handle(at(3), Input::Allow(old.token));
    assert!(server.sent().is_empty());
    assert_eq!(server.node.state(), State::Connecting);
}

#[test]
fn silence_causes_a_ping_and_then_a_timeout() {
    let (mut client, _) = connected();
    client.sent();
    let deadline = client.node.next_deadline().unwrap();
    assert_eq!((deadline.at.as_millis(), deadline.kind), (10_000, TimeoutKind::Ping));
    client.handle(at(9_999), Input::Wake);
    assert!(client.sent().is_empty());
    client.handle(at(10_000), Input::Wake);
    assert_eq!(client.sent(), [r#"["ping",0]"#]);
    client.handle(at(10_010), Input::Frame(r#"["pong",0]"#));
    assert_eq!(client.node.next_deadline().unwrap().at.as_millis(), 20_010);
    client.handle(at(20_010), Input::Wake);
    client.handle(at(90_009), Input::Wake);
    assert_eq!(client.disconnected, None);
    client.handle(at(90_010), Input::Wake);
    assert_eq!(client.disconnected, Some(Disconnect::Timeout(TimeoutKind::Pong)));
    assert_eq!(client.node.state(), State::Disconnected);
}

#[test]
fn a_connection_without_connect_is_closed_silently() {
    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    server.handle(at(14_999), Input::Wake);
    assert_eq!(server.disconnected, None);
    server.handle(at(15_000), Input::Wake);
    assert_eq!(server.disconnected, Some(Disconnect::Timeout(TimeoutKind::Connect)));
    assert!(server.sent().is_empty());
}

#[test]
fn unconfirmed_actions_end_the_connection() {
    let (mut client, _) = connected();
    client.send(at(5), 1, &[entry("1 10:client:tab 0", 1, r#"{"type":"a"}"#)]);
    assert_eq!(client.node.state(), State::Sending);
    client.handle(at(10_005), Input::Wake);
    client.handle(at(10_006), Input::Frame(r#"["pong",0]"#));
    assert_eq!(client.node.next_deadline().map(|deadline| deadline.kind), Some(TimeoutKind::Ping));
    for ms in (20_006..70_005).step_by(10_000) {
        client.handle(at(ms), Input::Wake);
        client.handle(at(ms), Input::Frame(r#"["pong",0]"#));
    }
    client.handle(at(70_005), Input::Wake);
    assert_eq!(client.disconnected, Some(Disconnect::Timeout(TimeoutKind::Synced)));
}

#[test]
fn errors_are_those_of_the_reference() {
    let cases = [
        ("{", r#"["error","wrong-format","{"]"#),
        ("", r#"["error","wrong-format",""]"#),
        (r#"{ "a" : 1 }"#, r#"["error","wrong-format","{\"a\":1}"]"#),
        ("[1]", r#"["error","wrong-format","[1]"]"#),
        (r#"["nope", 1]"#, r#"["error","unknown-message","nope"]"#),
        (r#"["connect",2,"10:a:b",0]"#, r#"["error","wrong-protocol",{"supported":3,"used":2}]"#),
        (
            r#"["sync",1,{"type":"a"},null]"#,
            r#"["error","wrong-format","[\"sync\",1,{\"type\":\"a\"},null]"]"#,
        ),
        (r#"["headers",null]"#, r#"["error","wrong-format","[\"headers\",null]"]"#),
        (
            r#"["connect",5,"10:a:b",0,null]"#,
            r#"["error","wrong-format","[\"connect\",5,\"10:a:b\",0,null]"]"#,
        ),
    ];
    for (frame, reply) in cases {
        let mut server = End::server();
        server.handle(at(0), Input::Opened);
        server.handle(at(0), Input::Frame(frame));
        assert_eq!(server.sent(), [reply], "{frame}");
        assert!(server.disconnected.is_some(), "{frame}");
        server.handle(at(1), Input::Frame(r#"["connect",5,"10:a:b",0]"#));
        assert!(server.authentications.is_empty(), "frames after an error are ignored");
    }
}

#[test]
fn a_refused_client_receives_the_error() {
    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    server.handle(at(0), Input::Frame(r#"["sync",1,{"type":"a"},{"id":1,"time":1}]"#));
    server.handle(at(0), Input::Frame(r#"["connect",5,"10:a:b",0]"#));
    let request = server.authentications.pop().unwrap();
    server.handle(at(0), Input::Refuse(request.token, ErrorMessage::wrong_credentials()));
    assert_eq!(server.sent(), [r#"["error","wrong-credentials"]"#]);
    assert!(server.received.is_empty(), "earlier messages are dropped");
}

#[test]
fn early_messages_wait_within_limits() {
    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    server.handle(at(0), Input::Frame(r#"["sync",1,{"type":"a"},{"id":1,"time":1}]"#));
    server.handle(at(0), Input::Frame(r#"["connect",5,"10:a:b",0]"#));
    server.handle(at(0), Input::Frame(r#"["sync",2,{"type":"b"},{"id":2,"time":2}]"#));
    server.accept(at(0));
    assert_eq!(server.received.len(), 2);

    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    for _ in 0..=100 {
        server.handle(at(0), Input::Frame(r#"["ping",1]"#));
    }
    assert_eq!(server.disconnected, Some(Disconnect::TooMuchWaiting));
    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    let big = format!(r#"["sync",1,{{"type":"{}"}},{{"id":1,"time":1}}]"#, "a".repeat(10_000));
    server.handle(at(0), Input::Frame(&big));
    assert_eq!(server.disconnected, None);
    server.handle(at(0), Input::Frame(&big));
    assert_eq!(server.disconnected, Some(Disconnect::TooMuchWaiting));
}

#[test]
fn unexpected_messages_end_the_connection() {
    let (mut client, mut server) = connected();
    server.handle(at(1), Input::Frame(r#"["connect",5,"20:other:tab",0]"#));
    assert_eq!(server.disconnected, Some(Disconnect::OutOfOrder("connect")));
    client.handle(at(1), Input::Frame(r#"["connected",5,"server:x",[1,2]]"#));
    assert_eq!(client.disconnected, Some(Disconnect::OutOfOrder("connected")));
    let mut server = End::server();
    server.handle(at(0), Input::Opened);
    server.handle(at(0), Input::Frame(r#"["connected",5,"20:other:tab",[1,2]]"#));
    assert!(server.disconnected.is_some() && server.authentications.is_empty());
}

#[test]
fn exceeded_limits_are_named_in_the_reply() {
    let mut config = Config::server(node("server:uuid"));
    config.limits = MessageLimits { message_bytes: 100, action_bytes: 50, depth: 4, id_bytes: 10 };
    let config = Arc::new(config);
    let action = r#",{"type":"a"},{"id":1,"time":1}"#;
    let cases = [
        (format!(r#"["ping",{}1]"#, " ".repeat(100)), "larger than 100 bytes"),
        (r#"["sync",1,{"type":"a","b":[[[[]]]]}]"#.to_owned(), "nested deeper than 4"),
        (format!(r#"["sync",1{}]"#, action.repeat(3)), "larger than 100 bytes"),
        (r#"["connect",5,"10:client:tab",0]"#.to_owned(), "more than 10 bytes"),
    ];
    for (frame, expected) in cases {
        let mut server = End { node: Node::new(config.clone(), ()), ..End::server() };
        server.handle(at(0), Input::Opened);
        server.handle(at(0), Input::Frame(&frame));
        let reply = server.sent().pop().unwrap();
        assert!(
            reply.starts_with(r#"["error","wrong-format","#) && reply.contains(expected),
            "{frame}: {reply}"
        );
    }
}

#[test]
fn too_many_unconfirmed_batches_stop_reading() {
    let (_, mut server) = connected();
    let mut count = 0;
    while server.node.wants_frames() {
        server.handle(
            at(1),
            Input::Frame(&format!(r#"["sync",{count},{{"type":"a"}},{{"id":{count},"time":0}}]"#)),
        );
        count += 1;
        assert!(count < 1_000, "the node must stop reading");
    }
    let batches: Vec<BatchToken> = server.received.drain(..).map(|(batch, _)| batch).collect();
    for batch in batches {
        server.handle(at(1), Input::Persisted(batch));
    }
    assert!(server.node.wants_frames());
}

#[test]
fn a_long_backlog_is_sent_in_several_messages() {
    let (mut client, _) = connected();
    client.sent();
    let entries: Vec<Entry> = (1..=250)
        .map(|n| {
            let mut entry = entry(&format!("{n} 10:client:tab 0"), n, r#"{"type":"a"}"#);
            entry.meta.added = Some(n.unsigned_abs());
            entry
        })
        .collect();
    client.send(at(1), 260, &entries);
    let heads: Vec<String> =
        client.sent().iter().map(|frame| frame.chars().take(11).collect()).collect();
    assert_eq!(heads, [r#"["sync",100"#, r#"["sync",200"#, r#"["sync",260"#]);
}
