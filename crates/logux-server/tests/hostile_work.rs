//! Clients that request much work with few bytes; a well-behaved client must hardly notice it.
//!
//! The latency of the well-behaved client is measured beside each attack. The limits are generous,
//! because the machine may be busy: the attacks delayed it by many seconds.

mod wire;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use logux::{ActionId, WallTime, json::JsonObject};
use logux_server::{
    Builder, Config, Context, HandlerError, LoadOutcome, RecordList, RunningServer, Server,
    SyncMap, SyncMapData, SyncMapFilter,
};
use tokio::{task::JoinHandle, time::timeout};
use wire::{Socket, TIMEOUT, login, next, next_with, send};

/// The latency that the well-behaved client may have at most.
const MAX_LATENCY: Duration = Duration::from_secs(3);

/// Records in memory that are only read.
struct Rows {
    rows: BTreeMap<String, SyncMapData>,
    /// The number of records that were read for pages.
    read: Arc<AtomicUsize>,
}

impl Rows {
    fn new(count: usize) -> Self {
        let row = |n: usize| {
            let id = format!("{n:06}");
            let row = SyncMapData::new(id.as_str()).changed_at(
                "text",
                &"x".repeat(200),
                WallTime::from_millis(1),
            );
            (id, row.expect("JSON"))
        };
        Self { rows: (0..count).map(row).collect(), read: Arc::default() }
    }
}

impl SyncMap for Rows {
    async fn load(
        &self,
        _: &Context,
        id: &str,
        _: Option<WallTime>,
    ) -> Result<LoadOutcome, HandlerError> {
        Ok(self.rows.get(id).cloned().into())
    }
}

impl SyncMapFilter for Rows {
    async fn list(
        &self,
        _: &Context,
        _: &JsonObject,
        _: Option<WallTime>,
    ) -> Result<RecordList, HandlerError> {
        unreachable!("the server reads pages")
    }

    async fn list_page(
        &self,
        _: &Context,
        _: &JsonObject,
        _: Option<WallTime>,
        after: Option<&str>,
    ) -> Result<RecordList, HandlerError> {
        let start = after.unwrap_or_default().to_owned();
        let page: Vec<_> = self.rows.range(start..).take(100).map(|(_, row)| row.clone()).collect();
        self.read.fetch_add(page.len(), Ordering::Relaxed);
        let next = page.last().filter(|_| page.len() == 100);
        let next = next.map(|row| format!("{}+", row.id).into());
        Ok(RecordList { next, ..page.into() })
    }
}

fn builder(change: impl FnOnce(&mut Config)) -> Builder {
    Server::builder()
        .config(change)
        .auth(|login| async move { Ok(login.token.as_deref() == Some("good")) })
        .action_type("echo", |action| {
            action
                .access(|_| async { Ok(true) })
                .resend(|_| async { Ok("room") })
                .process(|_| async { Ok(()) })
        })
        .channel("room", |channel| {
            channel.access(|_| async { Ok(true) }).filter(|context| async move {
                let filter = context.action().field("filter").unwrap_or("{}").to_owned();
                Ok(move |action: &logux::Action, _: &logux::Meta| action.as_json() == filter)
            })
        })
}

async fn start(builder: Builder) -> RunningServer {
    builder.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port")
}

/// A well-behaved client that sends an action when the previous one is processed.
struct Innocent {
    stop: Arc<AtomicBool>,
    task: JoinHandle<(usize, Duration)>,
}

impl Innocent {
    async fn start(address: SocketAddr) -> Self {
        let mut socket = login(address, "good:client:tab").await;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            let (mut count, mut slowest) = (0_usize, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                count += 1;
                let start = Instant::now();
                send(
                    &mut socket,
                    &format!(r#"["sync",{count},{{"type":"echo"}},{{"id":{count},"time":1}}]"#),
                )
                .await;
                let frame = next_with(&mut socket, "logux/processed").await;
                let added = frame.split(',').nth(1).expect("a number");
                send(&mut socket, &format!(r#"["synced",{added}]"#)).await;
                slowest = slowest.max(start.elapsed());
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (count, slowest)
        });
        Self { stop, task }
    }

    /// Ends the client, and asserts that all its actions were processed in time.
    async fn assert_unharmed(self, attack: &str) {
        self.stop.store(true, Ordering::Relaxed);
        let (count, slowest) =
            timeout(TIMEOUT, self.task).await.expect("an end").expect("no panic");
        println!("{attack}: {count} actions of the innocent client, the slowest took {slowest:?}");
        assert!(slowest < MAX_LATENCY, "{attack}: an action took {slowest:?}");
    }
}

/// Sends actions in one message.
async fn send_many(socket: &mut Socket, number: usize, actions: impl Iterator<Item = String>) {
    let mut message = format!(r#"["sync",{number}"#);
    for (n, action) in actions.enumerate() {
        message += &format!(r#",{action},{{"id":[{number},{n}],"time":{number}}}"#);
    }
    send(socket, &(message + "]")).await;
}

/// Reads until `count` answers were received. Returns the number of undos with a reason.
async fn answers(socket: &mut Socket, count: usize, reason: &str) -> usize {
    let (mut answered, mut undone) = (0, 0);
    while answered < count {
        let frame = next(socket).await.expect("the connection stays open");
        answered += frame.matches(r#""type":"logux/processed""#).count();
        answered += frame.matches(r#""type":"logux/undo""#).count();
        undone += frame.matches(reason).count();
        if frame.starts_with(r#"["sync""#) {
            let added = frame.split(',').nth(1).expect("a number");
            send(socket, &format!(r#"["synced",{added}]"#)).await;
        }
    }
    undone
}

#[tokio::test(flavor = "multi_thread")]
async fn unsubscriptions_after_many_unconfirmed_subscriptions() {
    // It reads no answer, and is not disconnected for that here.
    let server = start(builder(|config| config.max_outbox_messages = 100_000)).await;
    let innocent = Innocent::start(server.address()).await;
    let mut evil = wire::connect(server.address()).await;
    send(&mut evil, r#"["connect",5,"evil:client:tab",0,{"token":"good"}]"#).await;
    let connected = next(&mut evil).await.expect("an answer");
    let base = connected.split([',', ']']).nth(4).and_then(|time| time.parse::<u64>().ok());
    let subscribe = |n: usize| {
        format!(r#"{{"type":"logux/subscribe","channel":"room","filter":{{"n":"{n}"}}}}"#)
    };
    for batch in 0..4 {
        send_many(&mut evil, batch, (0..500).map(|n| subscribe(batch * 500 + n))).await;
    }
    let unsubscribe = |n: usize| format!(r#"{{"type":"logux/unsubscribe","channel":"no/{n}"}}"#);
    for batch in 4..14 {
        send_many(&mut evil, batch, (0..1_000).map(unsubscribe)).await;
    }
    let last = format!("{} evil:client:tab 999", base.expect("a base time") + 13);
    let last: ActionId = last.parse().expect("an id");
    let received = async {
        while !matches!(server.handle().log_entry(&last).await, Ok(Some(_))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(2 * TIMEOUT, received).await.expect("the server handles all of them");
    innocent.assert_unharmed("10,000 unsubscriptions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_request_states_and_leave() {
    const ROWS: usize = 3_000;
    let rows = Arc::new(Rows::new(ROWS));
    let server =
        start(
            builder(|_| {})
                .sync_map("rows", rows.clone(), |_, _| async { Ok(true) })
                .sync_map_filter("rows", rows.clone(), |_, _| async { Ok(true) }),
        )
        .await;
    let innocent = Innocent::start(server.address()).await;
    let subscribe = || r#"{"type":"logux/subscribe","channel":"rows"}"#.to_owned();
    for client in 0..8 {
        let mut evil = login(server.address(), &format!("evil:client{client}:tab")).await;
        send_many(&mut evil, 1, (0..900).map(|_| subscribe())).await;
        next_with(&mut evil, r#"["synced",1]"#).await;
    }
    // Another client of the user waits for its turn only as long as the loads take that end.
    let mut last = login(server.address(), "evil:other:tab").await;
    send_many(&mut last, 1, std::iter::once(subscribe())).await;
    assert_eq!(answers(&mut last, 1, "no undo").await, 0);
    let read = rows.read.load(Ordering::Relaxed);
    println!("{read} records were read for 7,201 subscriptions");
    assert!(read < 100 * ROWS, "{read} records were read for clients that have left");
    innocent.assert_unharmed("7,200 subscriptions").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_load_large_states() {
    const ROWS: usize = 5_000;
    let rows = Arc::new(Rows::new(ROWS));
    let server =
        start(
            builder(|_| {})
                .sync_map("rows", rows.clone(), |_, _| async { Ok(true) })
                .sync_map_filter("rows", rows.clone(), |_, _| async { Ok(true) }),
        )
        .await;
    let innocent = Innocent::start(server.address()).await;
    let mut readers = Vec::new();
    for client in 0..4 {
        let mut reader = login(server.address(), &format!("reader{client}:client:tab")).await;
        readers.push(tokio::spawn(async move {
            let subscribe = r#"{"type":"logux/subscribe","channel":"rows"}"#.to_owned();
            send_many(&mut reader, 1, std::iter::once(subscribe)).await;
            answers(&mut reader, 1, "no undo").await
        }));
    }
    for reader in readers {
        assert_eq!(timeout(3 * TIMEOUT, reader).await.expect("in time").expect("no panic"), 0);
    }
    assert_eq!(rows.read.load(Ordering::Relaxed), 4 * ROWS);
    innocent.assert_unharmed("four large states").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_and_many_filters_are_undone_one_by_one() {
    let server = start(builder(|config| {
        (config.max_subscriptions, config.max_client_filter_bytes) = (500, 100_000);
    }))
    .await;
    let innocent = Innocent::start(server.address()).await;
    let mut evil = login(server.address(), "evil:client:tab").await;
    let subscribe = |filter: &str| {
        format!(r#"{{"type":"logux/subscribe","channel":"room","filter":{{"n":"{filter}"}}}}"#)
    };
    let padding = "x".repeat(20_000);
    send_many(&mut evil, 1, (0..20).map(|n| subscribe(&format!("{n}{padding}")))).await;
    assert_eq!(answers(&mut evil, 20, "filterTooLarge").await, 20);
    let padding = "x".repeat(10_000);
    send_many(&mut evil, 2, (0..20).map(|n| subscribe(&format!("{n}{padding}")))).await;
    assert_eq!(answers(&mut evil, 20, "subscriptionLimit").await, 11);
    send_many(&mut evil, 3, (0..1_000).map(|n| subscribe(&n.to_string()))).await;
    assert_eq!(answers(&mut evil, 1_000, "subscriptionLimit").await, 1_000 - (500 - 9));
    // The rest goes on.
    send_many(&mut evil, 4, std::iter::once(r#"{"type":"echo"}"#.to_owned())).await;
    assert_eq!(answers(&mut evil, 1, "no undo").await, 0);
    innocent.assert_unharmed("1,040 filters").await;
}
