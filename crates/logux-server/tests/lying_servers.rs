//! Clients whose server is wrong: they say what is wrong, keep what they have, and go on with a
//! server that is right.

use std::{net::TcpListener as StdTcpListener, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use logux::{
    ActionId,
    crdt::{Crdt, List, Shared},
    json::MAX_DEPTH,
};
use logux_client::{Backoff, Client, ServerMessage, ServerMessages};
use logux_net::WebSocketConnector;
use logux_server::{MemoryDocuments, Server};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};

const TIMEOUT: Duration = Duration::from_secs(20);

/// What a server sends after it was connected to, and what the client says about it.
type Lie = (Vec<Message>, Option<&'static str>);

const CONNECTED: &str = r#"["connected",5,"server:x",[1,1]]"#;

fn lies() -> Vec<Lie> {
    let messages = |texts: &[&str]| texts.iter().map(|text| Message::text(*text)).collect();
    let after = |texts: &[&str], fault| (messages(&[&[CONNECTED], texts].concat()), fault);
    let action =
        |action: &str| format!(r#"["sync",1,{action},{{"id":[1,"server:x",0],"time":1}}]"#);
    let of_list = |kind: &str, rest: &str| {
        let text = action(&format!(r#"{{"type":"lists/{kind}","id":"1",{rest}}}"#));
        after(&[&text], None)
    };
    let mut lies = vec![
        (messages(&["garbage"]), Some("invalid message")),
        (messages(&[r#"["connected",1,"server:x",[1,1]]"#]), Some("too old")),
        (messages(&[r#"["ping",1]"#; 200]), Some("too many messages")),
        (vec![Message::binary(vec![0xff; 100])], Some("wrong-format")),
        after(&[CONNECTED], Some("unexpected `connected`")),
        after(&["[", ""], Some("invalid message")),
        after(&[r#"["synced",77]"#], Some("was not sent")),
        after(&[r#"["ping",9223372036854775807]"#], Some("is trillions above")),
        after(&["[\"headers\",{}]"; 1_000], None),
        after(&[r#"["debug","error","no"]"#; 1_000], None),
        // What a document does not expect.
        of_list("edit", r#""ops":7"#),
        of_list("edit", r#""ops":[{"op":"insert"},{"op":"fly"},null]"#),
        of_list("edit", r#""ops":[{"op":"remove","item":"1 nobody:1:1 0"}]"#),
        of_list("snapshot", r#""state":{},"coverage":[]"#),
        of_list("snapshot", r#""state":[[[]]],"until":1,"settled":"x""#),
        of_list("unknown", r#""ops":[]"#),
    ];
    let unknown = r#"{"type":"logux/undo","id":"8640000000000000 ada:phone:1 0","reason":"x"}"#;
    lies.push(after(&[&action(unknown)], Some("an id of this device")));
    let (open, close) = ("[".repeat(MAX_DEPTH), "]".repeat(MAX_DEPTH));
    let nested = format!(r#"{{"type":"note","a":{open}1{close}}}"#);
    lies.push(after(&[&action(&nested)], Some("nested deeper")));
    lies
}

type Socket = WebSocketStream<TcpStream>;

async fn next_text(socket: &mut Socket) -> Option<String> {
    match socket.next().await? {
        Ok(Message::Text(text)) => Some(text.to_string()),
        _ => None,
    }
}

/// Accepts a client, sends it the messages, and waits until it has handled them or disconnects.
async fn lie(listener: &TcpListener, messages: Vec<Message>) {
    let (stream, _) = listener.accept().await.expect("a client");
    let mut socket: Socket = accept_async(stream).await.expect("a WebSocket");
    while next_text(&mut socket).await.is_some_and(|text| !text.starts_with("[\"connect\"")) {}
    for message in messages.into_iter().chain([Message::text(r#"["ping",1]"#)]) {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    while next_text(&mut socket).await.is_some_and(|text| !text.starts_with("[\"pong\"")) {}
}

async fn fault(messages: &mut ServerMessages) -> String {
    loop {
        if let ServerMessage::Fault(text) = messages.next().await.expect("a message") {
            return text;
        }
    }
}

async fn client_survives((messages, expected): Lie) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("app.db");
    let free = StdTcpListener::bind(("127.0.0.1", 0)).expect("a free port");
    let address = free.local_addr().expect("an address");
    drop(free);
    let open = async || {
        let connector = WebSocketConnector::new(&format!("ws://{address}")).expect("a URL");
        let backoff = Backoff { min_delay: Duration::from_millis(20), ..Backoff::default() };
        let builder = Client::builder("ada:phone:1").expect("a node id").file(&file);
        let client = builder.expect("a file").backoff(backoff).start(connector);
        let list = client.document::<List>("lists", "1").await.expect("open");
        (client, list)
    };
    let push = |name: &'static str| {
        move |list: &List, id: &ActionId| {
            let op = list.push_op(json!(name), id).ok()?;
            Shared::<List>::new("lists", "1").action(&[op]).ok()
        }
    };
    let (client, list) = open().await;
    list.edit(push("milk")).kept().await.expect("kept");
    let mut reports = client.server_messages();

    let what = format!("{:.100}", format!("{:?}", messages.last()));
    let listener = TcpListener::bind(address).await.expect("the port");
    timeout(TIMEOUT, lie(&listener, messages)).await.expect("an end");
    drop(listener);
    match expected {
        Some(expected) => {
            let said = timeout(TIMEOUT, fault(&mut reports)).await;
            let said = said.unwrap_or_else(|_| panic!("{what}: no fault is told"));
            assert!(said.contains(expected), "{what}: {said}");
        }
        None => {
            while let Some(message) = reports.try_next() {
                assert!(!matches!(message, ServerMessage::Fault(_)), "{what}: {message:?}");
            }
        }
    }
    assert_eq!(list.state().to_json(), json!(["milk"]), "{what}");

    let server = Server::builder()
        .auth(|_| async { Ok(true) })
        .documents::<List>("lists", MemoryDocuments::new(), |kind| {
            kind.access(|_| async { Ok(true) }).created_by_edits()
        })
        .listen(address)
        .await
        .expect("a server");
    let edited = timeout(TIMEOUT, list.edit(push("bread"))).await.expect("in time");
    assert!(edited.is_ok(), "{what}: {edited:?}");
    client.close().await;
    drop(list);
    let (client, list) = open().await;
    assert_eq!(list.state().to_json(), json!(["milk", "bread"]), "{what}");
    client.close().await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_survive_servers_that_lie() {
    join_all(lies().into_iter().map(client_survives)).await;
}
