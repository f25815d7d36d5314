//! Messages with many or large actions: parts, keep-alive meanwhile, actions above a limit, and the
//! size of what a node sends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::sync::Arc;

use logux::{
    Action, Entry, Meta, NodeId, Now,
    sync::{BatchToken, Config, Disconnect, Input, Node, Output, RefusedAction, TimeoutKind},
};

/// A server's node whose client is connected, with its outputs that the test has not read yet.
struct Server {
    node: Node,
    sent: Vec<String>,
    batches: Vec<(BatchToken, Vec<Entry>, Vec<RefusedAction>)>,
    disconnected: Option<Disconnect>,
}

fn at(ms: u64) -> Now {
    Now::from_millis(1_000_000 + i64::try_from(ms).unwrap(), ms)
}

impl Server {
    fn new(change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config::server(NodeId::new("server:x").unwrap());
        change(&mut config);
        let node = Node::new(Arc::new(config), ());
        let mut server = Self { node, sent: Vec::new(), batches: Vec::new(), disconnected: None };
        server.handle(0, Input::Opened);
        server.handle(0, Input::Frame(r#"["connect",5,"10:client:tab",0]"#));
        server.sent.clear();
        server
    }

    fn handle(&mut self, ms: u64, input: Input<'_>) {
        self.node.handle(at(ms), input);
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Send(frame) => self.sent.push(frame),
                Output::Received { batch, entries, refused, .. } => {
                    self.batches.push((batch, entries, refused));
                }
                Output::Authenticate(request) => {
                    self.node.handle(at(ms), Input::Allow(request.token));
                    self.node.send(at(ms).mono, 0, []);
                }
                Output::Disconnect(reason) => self.disconnected = Some(reason),
                _ => {}
            }
        }
    }

    fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }
}

fn sync(added: u64, actions: impl IntoIterator<Item = String>) -> String {
    let actions = actions.into_iter().enumerate();
    let actions: String = actions
        .map(|(n, action)| format!(r#",{action},{{"id":[{added},{n}],"time":{added}}}"#))
        .collect();
    format!(r#"["sync",{added}{actions}]"#)
}

fn small() -> String {
    r#"{"type":"a"}"#.to_owned()
}

#[test]
fn a_large_message_is_received_in_parts_and_confirmed_once() {
    let mut server = Server::new(|_| {});
    let message = sync(7, std::iter::repeat_with(small).take(10_001));
    server.handle(0, Input::Frame(&message));
    server.handle(0, Input::Frame(&sync(8, [small()])));
    let (mut received, mut parts) = (0, 0);
    while !server.batches.is_empty() {
        assert!(server.batches.len() <= 3, "two parts at a time, and then the next message");
        let (batch, entries, _) = server.batches.remove(0);
        assert_eq!(batch.continues(), parts > 0 && received < 10_001);
        assert!(entries.len() <= 256 && server.sent.is_empty(), "confirmed before it is safe");
        (received, parts) = (received + entries.len(), parts + 1);
        if received <= 10_001 {
            assert!(!server.node.wants_frames(), "more is read only after the confirmation");
        }
        server.handle(0, Input::Persisted(batch));
        if received == 10_001 {
            assert_eq!(server.sent(), [r#"["synced",7]"#]);
        }
    }
    assert_eq!((received, parts), (10_002, 41));
    assert_eq!(server.sent(), [r#"["synced",8]"#]);
    assert!(server.node.wants_frames());
}

#[test]
fn large_actions_are_received_in_parts_too() {
    let mut server = Server::new(|_| {});
    let large = format!(r#"{{"type":"a","b":"{}"}}"#, "x".repeat(200_000));
    server.handle(0, Input::Frame(&sync(1, vec![large; 5])));
    let sizes: Vec<usize> = server.batches.iter().map(|(_, entries, _)| entries.len()).collect();
    assert_eq!(sizes, [2, 2], "the last action waits");
}

#[test]
fn the_peer_is_reassured_while_its_actions_are_not_durable() {
    let mut server = Server::new(|config| config.max_receiving = 1);
    server.handle(100, Input::Frame(&sync(1, [small()])));
    assert!(!server.node.wants_frames());
    // Its pings are not read now, so it must not be expected to answer.
    let mut pongs = 0;
    while pongs < 60 {
        let deadline = server.node.next_deadline().unwrap();
        assert_eq!(deadline.kind, TimeoutKind::Receiving);
        server.handle(deadline.at.as_millis(), Input::Wake);
        assert_eq!(server.sent(), [r#"["pong",0]"#]);
        pongs += 1;
    }
    let (batch, ..) = server.batches.remove(0);
    server.handle(300_100, Input::Persisted(batch));
    assert_eq!((server.sent(), &server.disconnected), (vec![r#"["synced",1]"#.into()], &None));
    let next = server.node.next_deadline().unwrap();
    assert_eq!((next.kind, next.at.as_millis()), (TimeoutKind::Ping, 320_100));
}

#[test]
fn a_peer_that_sends_a_large_frame_is_not_silent() {
    let mut server = Server::new(|_| {});
    server.handle(20_000, Input::Wake);
    assert_eq!(server.sent(), [r#"["ping",0]"#]);
    for ms in (20_500..200_000).step_by(500) {
        server.handle(ms, Input::PartialFrame);
        server.handle(ms, Input::Wake);
    }
    assert_eq!(server.disconnected, None, "the pong is behind the frame");
    assert_eq!(server.sent().len(), 36, "the peer's time-outs are ended every 5 s");
    server.handle(269_501, Input::Wake);
    assert_eq!(server.disconnected, Some(Disconnect::Timeout(TimeoutKind::Pong)));
}

#[test]
fn a_client_waits_longer_after_a_pong_without_a_ping() {
    let mut client = Node::new(Config::client(NodeId::new("10:client:tab").unwrap()).into(), ());
    client.handle(at(0), Input::Opened);
    client.handle(at(0), Input::Frame(r#"["connected",5,"server:x",[0,0]]"#));
    let mut disconnected = None;
    let mut run = |client: &mut Node, ms: u64, input: Option<Input<'_>>| {
        if let Some(input) = input {
            client.handle(at(ms), input);
        }
        while let Some(output) = client.poll_output() {
            match output {
                Output::Authenticate(request) => client.handle(at(ms), Input::Allow(request.token)),
                Output::Connected { .. } => {
                    let meta = Meta::new("1 10:client:tab 0".parse().unwrap());
                    let entry = Entry::new(Action::new(r#"{"type":"a"}"#).unwrap(), meta);
                    client.send(at(ms).mono, 1, [&entry]);
                }
                Output::Disconnect(reason) => disconnected = Some(reason),
                _ => {}
            }
        }
        disconnected.clone()
    };
    run(&mut client, 0, None);
    for ms in (5_000..300_000).step_by(5_000) {
        run(&mut client, ms, Some(Input::Frame(r#"["pong",0]"#)));
        assert_eq!(run(&mut client, ms, Some(Input::Wake)), None, "{ms}");
    }
    run(&mut client, 365_000, Some(Input::Wake));
    let synced = run(&mut client, 366_000, Some(Input::Wake));
    assert!(matches!(synced, Some(Disconnect::Timeout(_))), "{synced:?}");
}

#[test]
fn an_action_above_a_limit_is_delivered_as_refused() {
    let mut server = Server::new(|config| config.limits.action_bytes = 100);
    let large = format!(r#"{{"type":"big","b":"{}"}}"#, "x".repeat(100));
    let deep = format!(r#"{{"type":"deep","b":{}{}}}"#, "[".repeat(600), "]".repeat(600));
    server.handle(0, Input::Frame(&sync(3, [small(), large, deep, small()])));
    let (batch, entries, refused) = server.batches.pop().unwrap();
    assert_eq!(entries.len(), 2);
    let refused: Vec<_> = refused
        .iter()
        .map(|action| (action.kind.as_str(), action.id.as_ref().unwrap().to_string()))
        .collect();
    // The depth does not count if the size is exceeded already.
    let id = |n| format!("1000003 10:client:tab {n}");
    assert_eq!(refused, [("big", id(1)), ("deep", id(2))]);
    server.handle(0, Input::Persisted(batch));
    assert_eq!(server.sent(), [r#"["synced",3]"#], "the refused ones are confirmed too");
}

#[test]
fn an_id_that_is_too_long_to_repeat_is_confirmed() {
    let mut server = Server::new(|_| {});
    let long = format!(
        r#"["sync",1,{{"type":"a"}},{{"id":[1,"10:client:{}",0],"time":1}}]"#,
        "x".repeat(5_000)
    );
    server.handle(0, Input::Frame(&long));
    let (batch, entries, refused) = server.batches.pop().unwrap();
    assert!(entries.is_empty() && refused[0].id.is_none());
    server.handle(0, Input::Persisted(batch));
    assert_eq!(server.sent(), [r#"["synced",1]"#]);
}

#[test]
fn messages_before_the_login_are_small() {
    let config = Config::server(NodeId::new("server:x").unwrap());
    let mut node = Node::new(Arc::new(config), ());
    node.handle(at(0), Input::Opened);
    let long = format!(r#"["connect",5,"10:a:b",0,{{"token":"{}"}}]"#, "x".repeat(17_000));
    node.handle(at(0), Input::Frame(&long));
    let outputs: Vec<Output> = std::iter::from_fn(|| node.poll_output()).collect();
    assert!(
        matches!(&outputs[0], Output::Send(frame) if frame.contains("larger than 16384 bytes")),
        "{outputs:?}"
    );
}

#[test]
fn sent_messages_are_bounded_in_bytes() {
    let mut server = Server::new(|_| {});
    let entries: Vec<Entry> = (1..=30_u64)
        .map(|n| {
            let size = if n == 7 { 3_000_000 } else { 100_000 };
            let action = format!(r#"{{"type":"a","b":"{}"}}"#, "x".repeat(size));
            let mut meta = Meta::new(format!("{n} server:x 0").parse().unwrap());
            meta.added = Some(n);
            Entry::new(Action::new(action).unwrap(), meta)
        })
        .collect();
    server.node.send(at(0).mono, 40, &entries);
    server.handle(0, Input::Wake);
    let frames = server.sent();
    let heads: Vec<&str> = frames.iter().map(|frame| &frame[..10]).collect();
    assert_eq!(
        heads,
        [r#"["sync",6,"#, r#"["sync",7,"#, r#"["sync",16"#, r#"["sync",25"#, r#"["sync",40"#]
    );
    let largest = frames.iter().map(String::len).filter(|len| *len < 3_000_000).max();
    assert!(largest.unwrap() <= 1_000_000, "{largest:?}");
    // Kept actions of a channel have lower numbers than what the peer has received already.
    server.node.send(at(0).mono, 50, &entries[..20]);
    server.handle(0, Input::Wake);
    assert!(server.sent()[0].starts_with(r#"["sync",40,"#));
}
