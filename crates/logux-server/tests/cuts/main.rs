//! A connection is cut at every byte of a conversation, in both directions: each action is processed once all the same, and each is answered.

mod application;
mod client;
mod proxy;

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use application::Processed;
use client::Device;
use futures_util::{StreamExt as _, stream};
use logux::{Action, MemoryStore};
use logux_client::{Client, SyncError};
use logux_net::{Backoff, WebSocketConnector};
use logux_server::{Handle, Running};
use proxy::{Cut, Direction, Proxy};
use serde_json::json;
use tokio::{sync::watch, time::timeout};

/// No conversation takes this long unless it hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many conversations take place at a time.
const AT_ONCE: usize = 16;

fn action(json: &str) -> Action {
    Action::new(json).expect("an action")
}

/// Subscribes, counts twice, does what it may not, is told something by the server, and unsubscribes.
async fn converse(device: &mut Device, room: &str, server: watch::Receiver<Option<Handle>>) -> [i64; 2] {
    let subscription = device.sync(json!({"type": "logux/subscribe", "channel": room})).await;
    let counted = [device.sync(json!({"type": "inc"})).await, device.sync(json!({"type": "inc"})).await];
    let forbidden = device.sync(json!({"type": "forbidden"})).await;
    device.settle().await;
    let place = |what: &str| device.log.iter().position(|other| other == what);
    let loaded = place("room/set").expect("it was loaded");
    assert!(Some(loaded) < place(&format!("answer {subscription}")), "loaded before it was answered");
    assert_eq!(device.answers[&forbidden], "denied");

    // It is subscribed: what is sent to the room while it is there arrives, at the latest at the next connection.
    let before = device.count("news");
    while device.count("news") == before {
        if let (true, Some(server)) = (device.is_connected(), server.borrow().clone()) {
            server.send(action(r#"{"type":"news"}"#), room).await;
            // After a cut the server may subscribe it again only now: then there will be other news.
            device.step_within(Duration::from_millis(50)).await;
        } else {
            device.step().await;
        }
        device.settle().await;
    }
    device.sync(json!({"type": "logux/unsubscribe", "channel": room})).await;
    device.settle().await;
    assert!(counted.iter().all(|counted| device.answers[counted] == "processed"));
    assert!(device.count("counted") >= 2, "what an action sent back comes too");
    counted
}

/// All cuts of a conversation that has so many bytes in each direction.
fn cuts([up, down]: [usize; 2]) -> impl Iterator<Item = Cut> {
    let at = |direction, bytes| (0..=bytes).map(move |after| Cut { direction, after });
    at(Direction::ToServer, up).chain(at(Direction::ToClient, down))
}

fn passed(proxy: &Proxy) -> [usize; 2] {
    [0, 1].map(|direction| proxy.bytes[direction].load(Ordering::Relaxed))
}

/// One server for many conversations.
struct World {
    server: Running,
    processed: Processed,
    address: watch::Receiver<Option<SocketAddr>>,
    handle: watch::Receiver<Option<Handle>>,
    _senders: (watch::Sender<Option<SocketAddr>>, watch::Sender<Option<Handle>>),
}

impl World {
    async fn start() -> Self {
        let processed = Processed::default();
        let server = application::start(processed.clone(), MemoryStore::new()).await;
        let (addresses, address) = watch::channel(Some(server.address()));
        let (handles, handle) = watch::channel(Some(server.handle().clone()));
        Self { server, processed, address, handle, _senders: (addresses, handles) }
    }

    /// One conversation of a client that behaves like that of the reference; returns how many bytes it took.
    async fn with_device(&self, number: usize, cut: Option<Cut>) -> [usize; 2] {
        let proxy = Proxy::start(self.address.clone(), cut).await;
        let mut device = Device::new(&format!("{number:05}:phone:tab"), proxy.address);
        let room = format!("room/{number:05}");
        let counted = timeout(PATIENCE, converse(&mut device, &room, self.handle.clone())).await;
        let counted = counted.unwrap_or_else(|_| panic!("hangs at {cut:?}: {device:?}"));
        for sequence in counted {
            assert_eq!(self.processed.times(&device.id(sequence)), 1, "at {cut:?}");
        }
        passed(&proxy)
    }

    /// The same with the client of this project.
    async fn with_client(&self, number: usize, cut: Option<Cut>) -> [usize; 2] {
        let proxy = Proxy::start(self.address.clone(), cut).await;
        let connector = WebSocketConnector::new(&format!("ws://{}", proxy.address)).expect("an address");
        let at_once = Backoff { min_delay: Duration::ZERO, max_delay: Duration::ZERO, ..Backoff::default() };
        let node = format!("{number:05}:phone:tab");
        let client = Client::builder(&node).expect("a node").backoff(at_once).start(connector);
        let mut actions = client.actions();
        let room = format!("room/{number:05}");
        let talking = async {
            let inc = || client.sync(action(r#"{"type":"inc"}"#));
            let forbidden = client.sync(action(r#"{"type":"forbidden"}"#));
            let (subscribed, first, second, forbidden) = tokio::join!(client.subscribe(&room), inc(), inc(), forbidden);
            subscribed.and(first).and(second).expect("processed");
            assert!(matches!(forbidden, Err(SyncError::Undone(undo)) if undo.reason == "denied"));
            let leave = format!(r#"{{"type":"logux/unsubscribe","channel":"{room}"}}"#);
            client.sync(action(&leave)).await.expect("processed");
        };
        timeout(PATIENCE, talking).await.unwrap_or_else(|_| panic!("hangs at {cut:?}"));
        assert_eq!(self.processed.of_node(&node), [1, 1], "at {cut:?}");
        let counted = std::iter::from_fn(|| actions.try_next()).filter(|entry| entry.action.kind() == "counted");
        assert_eq!(counted.count(), 2, "at {cut:?}");
        passed(&proxy)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_never_repeats_what_is_safe() {
    let world = World::start().await;
    let bytes = world.with_device(0, None).await;
    assert!(bytes.iter().all(|bytes| *bytes > 500), "{bytes:?}");
    let all = cuts(bytes).enumerate().map(|(number, cut)| world.with_device(number + 1, Some(cut)));
    stream::iter(all).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    world.server.shutdown().await.expect("a log that works");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_this_project() {
    let world = World::start().await;
    let bytes = world.with_client(0, None).await;
    let all = cuts(bytes).enumerate().map(|(number, cut)| world.with_client(number + 1, Some(cut)));
    stream::iter(all).buffer_unordered(AT_ONCE).for_each(|_| async {}).await;
    world.server.shutdown().await.expect("a log that works");
}
