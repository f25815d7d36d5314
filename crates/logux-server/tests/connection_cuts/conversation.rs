//! The conversation during which the connection is cut, and its assertions.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use logux::Action;
use logux_client::{Backoff, Client, SyncError};
use logux_net::WebSocketConnector;
use logux_server::Handle;
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use crate::{
    application::Processed,
    client::Device,
    proxy::{Cut, Direction, Proxy},
};

/// The time limit of a conversation.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The source of news for the room.
#[derive(Clone, Debug)]
pub(crate) enum NewsSource {
    /// The server.
    FromServer(Handle),
    /// The server, at the request of a client, for a server in another process.
    #[cfg(feature = "sqlite")]
    OnRequest,
}

/// One conversation and its number.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversation {
    pub(crate) number: usize,
    pub(crate) cut: Option<Cut>,
}

/// Returns all cuts of a conversation with these numbers of bytes in each direction.
pub(crate) fn cuts([up, down]: [usize; 2]) -> impl Iterator<Item = Cut> {
    let at = |direction, bytes| (0..=bytes).map(move |after| Cut { direction, after });
    at(Direction::ToServer, up).chain(at(Direction::ToClient, down))
}

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

fn forwarded_bytes(proxy: &Proxy) -> [usize; 2] {
    [0, 1].map(|direction| proxy.bytes[direction].load(Ordering::Relaxed))
}

impl Conversation {
    fn node(self) -> String {
        format!("{:05}:phone:tab", self.number)
    }

    fn room(self) -> String {
        format!("room/{:05}", self.number)
    }

    /// Runs the conversation with a client that behaves like the one of the reference. Returns the
    /// forwarded bytes.
    pub(crate) async fn with_device(
        self,
        server: watch::Receiver<Option<SocketAddr>>,
        news: NewsSource,
        processed: &Processed,
        on_cut: impl FnOnce() + Send + 'static,
    ) -> [usize; 2] {
        let proxy = Proxy::start(server, self.cut, on_cut).await;
        let mut device = Device::new(&self.node(), proxy.address);
        let increments = timeout(TIMEOUT, converse(&mut device, &self.room(), &news)).await;
        let increments =
            increments.unwrap_or_else(|_| panic!("hangs at {:?}: {device:?}", self.cut));
        let increments = increments.map(|sequence| (device.id(sequence), 1));
        assert_eq!(processed.of_node(&self.node()), increments.into(), "at {:?}", self.cut);
        forwarded_bytes(&proxy)
    }

    /// Runs the conversation with the client of `logux-client`. Returns the forwarded bytes and the
    /// number of actions that were sent back to it.
    pub(crate) async fn with_client(
        self,
        server: watch::Receiver<Option<SocketAddr>>,
        processed: &Processed,
        on_cut: impl FnOnce() + Send + 'static,
    ) -> ([usize; 2], usize) {
        let proxy = Proxy::start(server, self.cut, on_cut).await;
        let connector =
            WebSocketConnector::new(&format!("ws://{}", proxy.address)).expect("an address");
        let immediately =
            Backoff { min_delay: Duration::ZERO, max_delay: Duration::ZERO, ..Backoff::default() };
        let client =
            Client::builder(&self.node()).expect("a node").backoff(immediately).start(connector);
        let (mut actions, room) = (client.actions(), self.room());
        let conversation = async {
            let inc = || client.sync(action(r#"{"type":"inc"}"#));
            let subscription = client.subscribe(&room);
            let increments = (inc(), inc());
            // Last: a refused action undoes those after it.
            let forbidden = client.sync(action(r#"{"type":"forbidden"}"#));
            let (subscribed, first, second, forbidden) =
                tokio::join!(subscription, increments.0, increments.1, forbidden);
            subscribed.and(first).and(second).expect("processed");
            assert!(matches!(forbidden, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
            let leave = format!(r#"{{"type":"logux/unsubscribe","channel":"{room}"}}"#);
            client.sync(action(&leave)).await.expect("processed");
        };
        timeout(TIMEOUT, conversation).await.unwrap_or_else(|_| panic!("hangs at {:?}", self.cut));
        let counts: Vec<usize> = processed.of_node(&self.node()).into_values().collect();
        assert_eq!(counts, [1, 1], "at {:?}", self.cut);
        let sent_back = std::iter::from_fn(|| actions.try_next())
            .filter(|entry| entry.action.kind() == "counted");
        (forwarded_bytes(&proxy), sent_back.count())
    }
}

/// Subscribes, sends `inc` twice and a forbidden action, receives news from the server, and
/// unsubscribes. Returns the sequences of the two `inc`.
async fn converse(device: &mut Device, room: &str, news: &NewsSource) -> [i64; 2] {
    let subscription = device.sync(json!({"type": "logux/subscribe", "channel": room})).await;
    let increments =
        [device.sync(json!({"type": "inc"})).await, device.sync(json!({"type": "inc"})).await];
    let forbidden = device.sync(json!({"type": "forbidden"})).await;
    device.settle().await;
    let position = |item: &str| device.log.iter().position(|other| other == item);
    let loaded = position("room/set").expect("the loaded action");
    assert!(
        Some(loaded) < position(&format!("answer {subscription}")),
        "the state is loaded before the answer"
    );
    assert_eq!(device.answers[&forbidden], "denied");

    // The device is subscribed: it receives what is sent to the room while it is connected, at the
    // latest after the next reconnection.
    let before = device.count("news");
    while device.count("news") == before {
        match news {
            // After a cut, the server may not have renewed the subscription yet; then it sends news
            // again.
            NewsSource::FromServer(server) if device.is_connected() => {
                server.send(action(r#"{"type":"news"}"#), room).await;
                device.step_within(Duration::from_millis(50)).await;
            }
            NewsSource::FromServer(_) => device.step().await,
            #[cfg(feature = "sqlite")]
            NewsSource::OnRequest => {
                device.sync(json!({"type": "shout", "room": room})).await;
            }
        }
        device.settle().await;
    }
    device.sync(json!({"type": "logux/unsubscribe", "channel": room})).await;
    device.settle().await;
    assert!(increments.iter().all(|sequence| device.answers[sequence] == "processed"));
    assert!(device.count("counted") >= 2, "actions that were sent back are received too");
    increments
}
