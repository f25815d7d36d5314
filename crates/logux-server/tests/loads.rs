//! States of channels that are larger than an outbox, for clients that read slowly or leave.

mod wire;

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux::{Action, action::logux::SUBSCRIBE};
use logux_server::{Builder, Config, HandlerError, RunningServer, Server};
use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};
use wire::{Socket, TIMEOUT, login, next, next_with, send};

fn builder(change: impl FnOnce(&mut Config)) -> Builder {
    Server::builder()
        .config(change)
        .auth(|login| async move { Ok(login.token.as_deref() == Some("good")) })
        .action_type("echo", |action| {
            action.access(|_| async { Ok(true) }).process(|_| async { Ok(()) })
        })
}

async fn start(builder: Builder) -> RunningServer {
    builder.listen(([127, 0, 0, 1], 0).into()).await.expect("a free port")
}

/// Bounds that a state of some thousand actions exceeds many times.
fn small_outbox(config: &mut Config) {
    (config.max_outbox_messages, config.max_outbox_bytes) = (100, 16 * 1024);
}

async fn subscribe(socket: &mut Socket, id: u64, channel: &str) {
    let action = format!(r#"{{"type":"{SUBSCRIBE}","channel":"{channel}"}}"#);
    send(socket, &format!(r#"["sync",{id},{action},{{"id":{id},"time":{id}}}]"#)).await;
}

/// Confirms a `sync` message.
async fn confirm(socket: &mut Socket, frame: &str) {
    if let Some(added) = frame.strip_prefix(r#"["sync","#).and_then(|rest| rest.split(',').next()) {
        send(socket, &format!(r#"["synced",{added}]"#)).await;
    }
}

/// Reads and confirms until a frame contains `end`. Returns the `"n"` of all received actions.
async fn read_until(socket: &mut Socket, end: &str) -> Vec<usize> {
    let mut numbers = Vec::new();
    loop {
        let frame = next(socket).await.expect("the connection stays open");
        confirm(socket, &frame).await;
        numbers.extend(frame.split(r#""n":"#).skip(1).filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
        }));
        if frame.contains(end) {
            return numbers;
        }
    }
}

fn numbered(n: usize) -> Action {
    Action::new(format!(r#"{{"type":"row","n":{n},"text":"{}"}}"#, "x".repeat(200)))
        .expect("an action")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_larger_than_the_outbox_reaches_its_reader_in_one_connection() {
    const ROWS: usize = 3_000;
    let (loaded, is_loaded) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (notify, count) = (loaded.clone(), is_loaded.clone());
    let server = start(
        builder(small_outbox)
            .channel("at-once", |channel| {
                channel
                    .access(|_| async { Ok(true) })
                    .load(|_| async { Ok((0..ROWS).map(numbered).collect::<Vec<_>>()) })
            })
            .channel("one-by-one", |channel| {
                channel.access(|_| async { Ok(true) }).load(|context| async move {
                    for n in 0..ROWS {
                        context.send_back(numbered(n)).await;
                    }
                    Ok(())
                })
            })
            .channel("in-pages", move |channel| {
                channel.access(|_| async { Ok(true) }).load(move |context| {
                    let (notify, count) = (notify.clone(), count.clone());
                    async move {
                        for page in 0..ROWS / 100 {
                            let rows = page * 100..(page + 1) * 100;
                            context.send_page(rows.map(numbered).collect::<Vec<_>>()).await?;
                            count.fetch_add(1, Ordering::Relaxed);
                            notify.notify_one();
                        }
                        Ok(())
                    }
                })
            }),
    )
    .await;
    for channel in ["at-once", "one-by-one", "in-pages"] {
        let mut socket = login(server.address(), &format!("10:{channel}:tab")).await;
        subscribe(&mut socket, 1, channel).await;
        if channel == "in-pages" {
            // The handler waits, because the client confirms nothing.
            while timeout(Duration::from_millis(300), loaded.notified()).await.is_ok() {}
            let pages = is_loaded.load(Ordering::Relaxed);
            assert!(pages < ROWS / 100 - 1, "the handler has run ahead of its reader: {pages}");
        }
        let numbers = read_until(&mut socket, "logux/processed").await;
        assert!(numbers == (0..ROWS).collect::<Vec<_>>(), "{channel}: {}", numbers.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn later_actions_do_not_wait_for_the_reader_of_a_state() {
    let server = start(builder(small_outbox).channel("endless", |channel| {
        channel.access(|_| async { Ok(true) }).load(|context| async move {
            loop {
                context.send_page((0..100).map(numbered).collect::<Vec<_>>()).await?;
            }
            #[allow(unreachable_code, reason = "it gives the future its type")]
            Ok(())
        })
    }))
    .await;
    let mut socket = login(server.address(), "10:client:tab").await;
    subscribe(&mut socket, 1, "endless").await;
    send(&mut socket, r#"["sync",2,{"type":"echo"},{"id":2,"time":2}]"#).await;
    read_until(&mut socket, "logux/processed").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_ends_when_its_client_leaves() {
    let (started, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let notifies = (started.clone(), ended.clone());
    let server = start(builder(small_outbox).channel("endless", move |channel| {
        channel.access(|_| async { Ok(true) }).load(move |context| {
            let (started, ended) = notifies.clone();
            async move {
                loop {
                    let page = (0..100).map(numbered).collect::<Vec<_>>();
                    if let Err(error) = context.send_page(page).await {
                        assert!(matches!(error, HandlerError::Gone));
                        ended.notify_one();
                        return Err::<(), _>(error);
                    }
                    started.notify_one();
                }
            }
        })
    }))
    .await;
    let mut socket = login(server.address(), "10:client:tab").await;
    subscribe(&mut socket, 1, "endless").await;
    timeout(TIMEOUT, started.notified()).await.expect("a page");
    drop(socket);
    timeout(TIMEOUT, ended.notified()).await.expect("the load ends");
    // The subscription was confirmed, so it is processed again for the next connection.
    let mut socket = login(server.address(), "10:client:tab").await;
    next_with(&mut socket, r#""row""#).await;
    // An unsubscription ends it too.
    send(
        &mut socket,
        r#"["sync",2,{"type":"logux/unsubscribe","channel":"endless"},{"id":2,"time":2}]"#,
    )
    .await;
    let unsubscribed = timeout(TIMEOUT, ended.notified());
    tokio::select! {
        ended = unsubscribed => ended.expect("the load ends"),
        _ = read_until(&mut socket, "no such text") => unreachable!("the client reads for ever"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn few_states_are_loaded_at_a_time_for_a_user() {
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let counts = (running.clone(), most.clone());
    let server = start(builder(|_| {}).channel("slow", move |channel| {
        channel.access(|_| async { Ok(true) }).load(move |_| {
            let (running, most) = counts.clone();
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                sleep(Duration::from_millis(5)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                Ok(())
            }
        })
    }))
    .await;
    let mut sockets = Vec::new();
    for client in 0..12 {
        let mut socket = login(server.address(), &format!("10:client{client}:tab")).await;
        subscribe(&mut socket, 1, "slow").await;
        sockets.push(socket);
    }
    for socket in &mut sockets {
        next_with(socket, "logux/processed").await;
    }
    assert!((1..=4).contains(&most.load(Ordering::SeqCst)), "{most:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backlog_is_sent_in_pages_and_continues_after_a_cut() {
    const ACTIONS: usize = 400;
    let server = start(builder(small_outbox).relay(10_000)).await;
    let mut author = login(server.address(), "10:author:tab").await;
    for n in 0..ACTIONS {
        let text = "x".repeat(2_000);
        let action = format!(r#"{{"type":"0","n":{n},"d":"{text}"}}"#);
        send(&mut author, &format!(r#"["sync",{n},{action},{{"id":{n},"time":{n}}}]"#)).await;
    }
    let mut processed = 0;
    while processed < ACTIONS {
        let frame = next(&mut author).await.expect("an answer");
        confirm(&mut author, &frame).await;
        processed += frame.matches("logux/processed").count();
    }
    // Each connection reads some of the backlog and is cut. Other actions arrive in between.
    let (mut received, mut synced) = (BTreeSet::new(), 0);
    for round in 0.. {
        let mut reader = wire::connect(server.address()).await;
        let connect = format!(r#"["connect",5,"10:reader:tab",{synced},{{"token":"good"}}]"#);
        send(&mut reader, &connect).await;
        next_with(&mut reader, "connected").await;
        let n = ACTIONS + round;
        let live = format!(r#"{{"type":"0","n":{n},"d":""}}"#);
        send(&mut author, &format!(r#"["sync",{n},{live},{{"id":{n},"time":{n}}}]"#)).await;
        read_until(&mut author, "logux/processed").await;
        for _ in 0..2 {
            let frame = next_with(&mut reader, r#"["sync""#).await;
            let added = frame.trim_start_matches(r#"["sync","#).split(',').next().expect("added");
            synced = synced.max(added.parse::<u64>().expect("a number"));
            received.extend(frame.split(r#""n":"#).skip(1).filter_map(|rest| {
                rest.split(|c: char| !c.is_ascii_digit()).next()?.parse::<usize>().ok()
            }));
            confirm(&mut reader, &frame).await;
        }
        if received.len() > ACTIONS + round {
            assert!(round > 2, "the backlog was sent in {round} connections");
            return;
        }
        assert!(round < 200, "only {} actions were received", received.len());
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn a_page_has_what_was_written_in_the_round_of_its_subscription() {
    use logux_server::AccessRules;
    use logux_sqlite::Database;

    let folder = tempfile::tempdir().expect("a folder");
    let database = Database::open(folder.path().join("log.db")).expect("a database");
    let rows = database.records().collection("rows");
    let server = builder(|_| {})
        .store(database.store())
        .collection("rows", rows, AccessRules::default())
        .listen(([127, 0, 0, 1], 0).into())
        .await
        .expect("a free port");
    for n in 0..20 {
        let mut socket = login(server.address(), &format!("10:client{n}:tab")).await;
        let create = format!(r#"{{"type":"rows/create","id":"{n}","fields":{{"n":{n}}}}}"#);
        let subscribe = format!(r#"{{"type":"{SUBSCRIBE}","channel":"rows"}}"#);
        let message = format!(
            r#"["sync",2,{create},{{"id":[1,0],"time":1}},{subscribe},{{"id":[1,1],"time":1}}]"#
        );
        send(&mut socket, &message).await;
        let received = read_until(&mut socket, r#":tab 1""#).await;
        assert!(received.contains(&n), "record {n} is missing in {received:?}");
    }
}
