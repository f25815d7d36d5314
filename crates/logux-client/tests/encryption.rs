//! Encrypted actions between clients, with hand-written frames of the server.

use core::pin::pin;
use std::collections::VecDeque;

use logux::{Action, Store, client::EncryptionError, sync::State};
use logux_client::{Builder, Client, Encryption, SyncError};
use logux_net::{
    FrameLimits, NetError, PairTransport,
    drive::{Event, FrameConnection},
    pair,
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

/// A client and its server.
struct Side {
    client: Client,
    server: FrameConnection<PairTransport>,
    received: u64,
    frames: VecDeque<Vec<Value>>,
}

impl Side {
    async fn start(node: &str, encryption: impl Into<Encryption>) -> Self {
        Self::connect(Client::builder(node).expect("a node id").encryption(encryption)).await
    }

    async fn connect<St: Store + Send + 'static>(builder: Builder<St>) -> Self {
        let (server_end, mut ends) = mpsc::unbounded_channel();
        let connector = move || {
            let (here, there) = pair(FrameLimits::default());
            let _ = server_end.send(there);
            async move { Ok(here) }
        };
        let client = builder.start(connector);
        let server = FrameConnection::new(ends.recv().await.expect("a connection"));
        let mut side = Self { client, server, received: 0, frames: VecDeque::new() };
        assert_eq!(side.frame().await[0], "connect");
        side.server.push(r#"["connected",5,"server:x",[0,0]]"#.into());
        let client = side.client.clone();
        assert!(side.wait(client.reached(State::Synchronized)).await);
        side
    }

    /// Waits for a future, while the server's end sends and receives.
    async fn wait<T>(&mut self, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        loop {
            tokio::select! {
                output = &mut future => return output,
                event = self.server.event(true) => self.event(&event),
            }
        }
    }

    fn event(&mut self, event: &Event) {
        match event {
            Event::Frame(frame) => {
                self.frames.push_back(serde_json::from_str(frame.as_str()).expect("JSON"));
            }
            Event::Ended(_) => panic!("the connection has ended"),
            _ => {}
        }
    }

    /// Returns the next frame of the client.
    async fn frame(&mut self) -> Vec<Value> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return frame;
            }
            let event = self.server.event(true).await;
            self.event(&event);
        }
    }

    /// Returns the next action that the client sends.
    async fn sent(&mut self) -> Value {
        loop {
            let mut frame = self.frame().await;
            if frame[0] == "sync" {
                return frame.swap_remove(2);
            }
        }
    }

    /// Sends an action of another device to the client, and returns its id.
    fn receive(&mut self, action: &Value) -> String {
        self.received += 1;
        let (n, node) = (self.received, "10:other:1");
        let meta = json!({"id": [n, node, 0], "time": n});
        self.server.push(json!(["sync", n, action, meta]).to_string().into());
        format!("{n} {node} 0")
    }
}

fn action(value: &Value) -> Action {
    Action::try_from(value).expect("an action")
}

#[tokio::test(start_paused = true)]
async fn devices_with_one_secret_read_each_other() {
    let mut phone = Side::start("10:phone:1", "of us all").await;
    let mut laptop = Side::start("10:laptop:1", Encryption::from_secret("of us all")).await;
    let mut stranger = Side::start("10:tablet:1", "another").await;
    let (mut at_laptop, mut at_stranger) = (laptop.client.actions(), stranger.client.actions());
    let mut failures = stranger.client.encryption_failures();
    for text in ["short", &"long and long and ".repeat(100)] {
        let said = json!({"type": "say", "text": text});
        phone.client.sync(action(&said)).kept().await.expect("running");
        let sent = phone.sent().await;
        assert_eq!(sent["type"], "0");
        assert_eq!(sent["z"], text.len() > 100);
        assert!(!sent.to_string().contains("say"));

        laptop.receive(&sent);
        let heard = laptop.wait(at_laptop.next()).await.expect("running");
        assert_eq!(heard.action.parse::<Value>().expect("JSON"), said);

        let id = stranger.receive(&sent);
        let failure = stranger.wait(failures.next()).await.expect("running");
        assert_eq!(failure.id.to_string(), id);
        assert!(matches!(failure.error, EncryptionError::Decrypt(_)));
        assert!(failure.error.to_string().contains("another secret"), "{}", failure.error);
        // The exchange goes on.
        stranger.receive(&json!({"type": "plain"}));
        let heard = stranger.wait(at_stranger.next()).await.expect("running");
        assert_eq!(heard.action.kind(), "plain");
    }
}

#[tokio::test(start_paused = true)]
async fn plain_types_and_subscriptions_are_sent_as_they_are() {
    let encryption = Encryption::from_key([7; 32]).plain(["public/say"]);
    let mut phone = Side::start("10:phone:1", encryption).await;
    let secret = phone.client.sync(action(&json!({"type": "say"}))).kept().await.expect("running");
    phone.client.sync(action(&json!({"type": "public/say"}))).kept().await.expect("running");
    assert_eq!(phone.sent().await["type"], "0");
    assert_eq!(phone.sent().await, json!({"type": "public/say"}));
    // When the log of the device has forgotten an action, the server may.
    phone.receive(&json!({"type": "nothing"}));
    let processed = json!({"type": "logux/processed", "id": secret.id().to_string()});
    let meta = json!({"id": [9, "server:x", 0], "time": 9});
    phone.server.push(json!(["sync", 9, processed, meta]).to_string().into());
    let id = secret.id().to_string();
    assert_eq!(phone.sent().await, json!({"type": "0/clean", "id": id}));
    phone.wait(secret).await.expect("processed");
}

#[tokio::test(start_paused = true)]
async fn documents_of_the_server_are_refused() {
    let mut phone = Side::start("10:phone:1", "of us all").await;
    let edit = action(&json!({"type": "notes/edit", "id": "7", "ops": []}));
    let client = phone.client.clone();
    let subscribed = tokio::spawn(async move { client.subscribe("notes/7").await });
    assert_eq!(phone.sent().await["type"], "logux/subscribe");
    let client = phone.client.clone();
    let refused = phone.wait(client.sync(edit)).await;
    let Err(SyncError::NotEncrypted(EncryptionError::ServerDocument(key))) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(&**key.channel(), "notes/7");
    subscribed.abort();
}

/// A user mistypes the secret, and corrects it at the next start.
#[cfg(feature = "sqlite")]
#[tokio::test]
async fn a_corrected_secret_reads_what_a_wrong_one_could_not() {
    let mut phone = Side::start("10:phone:1", "of us all").await;
    phone.client.sync(action(&json!({"type": "say"}))).kept().await.expect("running");
    let sent = phone.sent().await;

    let folder = tempfile::tempdir().expect("a folder");
    let open = |secret: &str| {
        let builder = Client::builder("10").expect("a user").encryption(secret);
        builder.file(folder.path().join("log.db")).expect("a new or closed file")
    };
    let mut laptop = Side::connect(open("of us al")).await;
    let mut failures = laptop.client.encryption_failures();
    let id = laptop.receive(&sent);
    assert!(laptop.wait(failures.next()).await.is_some());
    // It is confirmed, so the server does not send it again.
    while laptop.frame().await[0] != "synced" {}
    let Side { client, server, .. } = laptop;
    drop(server);
    client.close().await;

    // There is no connection yet.
    let laptop = open("of us all").start(core::future::pending::<Result<PairTransport, NetError>>);
    let heard = laptop.actions().next().await.expect("running");
    assert_eq!((heard.action.kind(), heard.meta.id.to_string()), ("say", id));
}
