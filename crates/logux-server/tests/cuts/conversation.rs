//! What is said while the connection is cut, and what has to be true of it.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use logux::Action;
use logux_client::{Client, SyncError};
use logux_net::{Backoff, WebSocketConnector};
use logux_server::Handle;
use serde_json::json;
use tokio::{sync::watch, time::timeout};

use crate::{
    application::Processed,
    client::Device,
    proxy::{Cut, Direction, Proxy},
};

/// No conversation takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who has something to tell the room.
#[derive(Clone, Debug)]
pub(crate) enum News {
    /// The server.
    FromServer(Handle),
    /// The server too, when a client asks for it: where it is another process.
    #[cfg(feature = "sqlite")]
    OnDemand,
}

/// One conversation, and its place among the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conversation {
    pub(crate) number: usize,
    pub(crate) cut: Option<Cut>,
}

/// All cuts of a conversation that has so many bytes in each direction.
pub(crate) fn cuts([up, down]: [usize; 2]) -> impl Iterator<Item = Cut> {
    let at = |direction, bytes| (0..=bytes).map(move |after| Cut { direction, after });
    at(Direction::ToServer, up).chain(at(Direction::ToClient, down))
}

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

fn passed(proxy: &Proxy) -> [usize; 2] {
    [0, 1].map(|direction| proxy.bytes[direction].load(Ordering::Relaxed))
}

impl Conversation {
    fn node(self) -> String {
        format!("{:05}:phone:tab", self.number)
    }

    fn room(self) -> String {
        format!("room/{:05}", self.number)
    }

    /// With a client that behaves like that of the reference; returns how many bytes it took.
    pub(crate) async fn with_device(
        self,
        server: watch::Receiver<Option<SocketAddr>>,
        news: News,
        processed: &Processed,
        on_cut: impl FnOnce() + Send + 'static,
    ) -> [usize; 2] {
        let proxy = Proxy::start(server, self.cut, on_cut).await;
        let mut device = Device::new(&self.node(), proxy.address);
        let counted = timeout(PATIENCE, converse(&mut device, &self.room(), &news)).await;
        let counted = counted.unwrap_or_else(|_| panic!("hangs at {:?}: {device:?}", self.cut));
        let counted = counted.map(|sequence| (device.id(sequence), 1));
        assert_eq!(processed.of_node(&self.node()), counted.into(), "at {:?}", self.cut);
        passed(&proxy)
    }

    /// The same with the client of this project. Returns also how many actions were sent back to it.
    pub(crate) async fn with_client(
        self,
        server: watch::Receiver<Option<SocketAddr>>,
        processed: &Processed,
        on_cut: impl FnOnce() + Send + 'static,
    ) -> ([usize; 2], usize) {
        let proxy = Proxy::start(server, self.cut, on_cut).await;
        let connector =
            WebSocketConnector::new(&format!("ws://{}", proxy.address)).expect("an address");
        let at_once =
            Backoff { min_delay: Duration::ZERO, max_delay: Duration::ZERO, ..Backoff::default() };
        let client =
            Client::builder(&self.node()).expect("a node").backoff(at_once).start(connector);
        let (mut actions, room) = (client.actions(), self.room());
        let talking = async {
            let inc = || client.sync(action(r#"{"type":"inc"}"#));
            let forbidden = client.sync(action(r#"{"type":"forbidden"}"#));
            let (subscribed, first, second, forbidden) =
                tokio::join!(client.subscribe(&room), inc(), inc(), forbidden);
            subscribed.and(first).and(second).expect("processed");
            assert!(matches!(forbidden, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
            let leave = format!(r#"{{"type":"logux/unsubscribe","channel":"{room}"}}"#);
            client.sync(action(&leave)).await.expect("processed");
        };
        timeout(PATIENCE, talking).await.unwrap_or_else(|_| panic!("hangs at {:?}", self.cut));
        let times: Vec<usize> = processed.of_node(&self.node()).into_values().collect();
        assert_eq!(times, [1, 1], "at {:?}", self.cut);
        let counted = std::iter::from_fn(|| actions.try_next())
            .filter(|entry| entry.action.kind() == "counted");
        (passed(&proxy), counted.count())
    }
}

/// Subscribes, counts twice, does what it may not, is told something by the server, and unsubscribes.
async fn converse(device: &mut Device, room: &str, news: &News) -> [i64; 2] {
    let subscription = device.sync(json!({"type": "logux/subscribe", "channel": room})).await;
    let counted =
        [device.sync(json!({"type": "inc"})).await, device.sync(json!({"type": "inc"})).await];
    let forbidden = device.sync(json!({"type": "forbidden"})).await;
    device.settle().await;
    let place = |what: &str| device.log.iter().position(|other| other == what);
    let loaded = place("room/set").expect("it was loaded");
    assert!(
        Some(loaded) < place(&format!("answer {subscription}")),
        "loaded before it was answered"
    );
    assert_eq!(device.answers[&forbidden], "denied");

    // It is subscribed: what is sent to the room while it is there arrives, at the latest at the next connection.
    let before = device.count("news");
    while device.count("news") == before {
        match news {
            // After a cut the server may subscribe it again only now: then there will be other news.
            News::FromServer(server) if device.is_connected() => {
                server.send(action(r#"{"type":"news"}"#), room).await;
                device.step_within(Duration::from_millis(50)).await;
            }
            News::FromServer(_) => device.step().await,
            #[cfg(feature = "sqlite")]
            News::OnDemand => drop(device.sync(json!({"type": "shout", "room": room})).await),
        }
        device.settle().await;
    }
    device.sync(json!({"type": "logux/unsubscribe", "channel": room})).await;
    device.settle().await;
    assert!(counted.iter().all(|counted| device.answers[counted] == "processed"));
    assert!(device.count("counted") >= 2, "what an action sent back comes too");
    counted
}
