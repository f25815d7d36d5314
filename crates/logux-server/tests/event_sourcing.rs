//! The server's log as the source of its state and of loaded channels.

use logux::{
    Action, Meta,
    crdt::{Map, MapOp, Shared},
    replay::untyped_reducer,
    server::{LogQuery, Recipients, Retention, UndoRequest},
};
use logux_client::Actions;
use logux_server::{Builder, Projection, Server, testing::TestServer};
use logux_sqlite::Database;
use serde_json::json;

/// Builds a server with messages in rooms, of which the last three of each room are kept, and a
/// projection that counts all messages.
fn rooms() -> (Builder, Projection<i64>) {
    let count = untyped_reducer(0, |count: &mut i64, action: &Action| {
        *count += i64::from(action.kind() == "say")
    });
    let (server, count) = Server::builder().projection(count);
    let server = server
        .channel("rooms/:id", |channel| {
            channel.access(|_| async { Ok(true) }).replay().filter(|context| async move {
                let quiet = context.action().field("filter").is_some();
                Ok(move |action: &Action, _: &Meta| {
                    !(quiet && action.field("loud") == Some("true"))
                })
            })
        })
        .action_type("say", |action| {
            action
                .access(|context| async move { Ok(context.user_id() != Some("guest")) })
                .resend(|context| async move {
                    Ok(format!("rooms/{}", context.action().str_field("room").unwrap_or_default()))
                })
                .keep_by(|action, _| {
                    Some(Retention::last(&format!("room/{}", action.str_field("room")?), 3))
                })
        });
    (server, count)
}

fn numbers(actions: &[Action]) -> Vec<&str> {
    actions.iter().filter_map(|action| action.field("n")).collect()
}

/// Returns the meta of the next message.
async fn next_message(entries: &mut Actions) -> Meta {
    loop {
        let entry = entries.next().await.expect("a message");
        if entry.action.kind() == "say" {
            return entry.meta;
        }
    }
}

fn say(n: u32) -> serde_json::Value {
    json!({"type": "say", "room": "a", "n": n})
}

#[tokio::test(start_paused = true)]
async fn a_new_subscriber_receives_the_kept_messages() {
    let (server, count) = rooms();
    let server = TestServer::start(server).expect("a server");
    let [ada, bob, guest] = ["ada", "bob", "guest"].map(|user| server.client(user).connect());
    let (ada, bob, guest) = (
        ada.await.expect("connected"),
        bob.await.expect("connected"),
        guest.await.expect("connected"),
    );
    for n in 1..=3 {
        ada.process(say(n)).await.expect("processed");
    }
    guest.expect_denied(say(9)).await;
    assert_eq!(numbers(&bob.subscribe("rooms/a").await.expect("subscribed")), ["1", "2", "3"]);
    assert!(bob.subscribe("rooms/b").await.expect("subscribed").is_empty());
    assert_eq!(count.get(), 3, "denied messages do not count");
}

#[tokio::test(start_paused = true)]
async fn a_returning_subscriber_receives_new_messages_that_pass_its_filter() {
    let (server, _) = rooms();
    let server = TestServer::start(server).expect("a server");
    let [ada, bob] = ["ada", "bob"].map(|user| server.client(user).connect());
    let (ada, bob) = (ada.await.expect("connected"), bob.await.expect("connected"));
    let mut entries = bob.client().actions();
    bob.subscribe("rooms/a").await.expect("subscribed");
    ada.process(say(1)).await.expect("processed");
    let last = next_message(&mut entries).await;
    bob.unsubscribe("rooms/a").await.expect("processed");
    ada.process(say(2)).await.expect("processed");
    ada.process(json!({"type": "say", "room": "a", "n": 3, "loud": true}))
        .await
        .expect("processed");
    let subscribe = json!({
        "type": "logux/subscribe", "channel": "rooms/a", "filter": {"loud": false},
        "since": {"id": last.id.to_string(), "time": last.time.as_millis()},
    });
    assert_eq!(numbers(&bob.process(subscribe).await.expect("subscribed")), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_projection_is_the_same_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let open = || Database::open(folder.path().join("log.db")).expect("a database").store();
    let (server, count) = rooms();
    let server = TestServer::start(server.store(open())).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    for n in 1..=2 {
        ada.process(say(n)).await.expect("processed");
    }
    assert_eq!(count.get(), 2);
    drop((ada, server));
    tokio::task::yield_now().await;

    let (server, mut count) = rooms();
    let server = TestServer::start(server.store(open())).expect("a server");
    assert_eq!(count.get(), 2);
    // The clock of a test starts at the same time again, so this needs another node: the same one
    // would create the same ids.
    let [ada, bob] = ["ada:laptop:1", "bob"].map(|user| server.client(user).connect());
    let (ada, bob) = (ada.await.expect("connected"), bob.await.expect("connected"));
    let mut entries = bob.client().actions();
    assert_eq!(numbers(&bob.subscribe("rooms/a").await.expect("subscribed")), ["1", "2"]);
    let first = next_message(&mut entries).await.id;
    ada.process(say(3)).await.expect("processed");
    assert_eq!(count.get(), 3);
    server.handle().undo(UndoRequest::new(first, "spam").to(Recipients::channel("rooms/a"))).await;
    while count.get() != 2 {
        assert!(count.changed().await, "the undone message does not count");
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_is_loaded_from_the_log() {
    let shared = Shared::<Map>::new("notes", "1");
    let (server, note) = Server::builder().projection(shared.clone());
    let server = server
        .action_type("notes/edit", |action| {
            action
                .access(|_| async { Ok(true) })
                .resend(|_| async { Ok("notes/1") })
                .keep(Retention::forever("note"))
        })
        .channel("notes/1", move |channel| {
            channel.access(|_| async { Ok(true) }).load(move |_| {
                let title = note.get().get("/title").map(ToString::to_string);
                async move { Ok(Action::typed("note/title", &json!({ "title": title }))?) }
            })
        });
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    for title in ["Shopping", "Tea"] {
        let set = MapOp::Set {
            path: "/title".parse().expect("a path"),
            value: serde_json::Value::from(title).into(),
        };
        ada.process(shared.action(&[set]).expect("an action")).await.expect("processed");
    }
    let loaded = ada.subscribe("notes/1").await.expect("subscribed");
    assert!(loaded[0].as_json().contains("Tea"), "{}", loaded[0].as_json());
}

#[tokio::test(start_paused = true)]
async fn a_handler_can_read_the_log() {
    let (server, _) = rooms();
    let server = server
        .channel("latest/:room", |channel| {
            channel.access(|_| async { Ok(true) }).load(|context| async move {
                let room = format!("rooms/{}", context.param("room"));
                let latest = LogQuery::channel(&room).newest_first().limit(2);
                let page = context.server().log_page(latest).await?;
                let has_more = page.next.is_some();
                let actions: Vec<_> = page.entries.iter().map(|entry| &entry.action).collect();
                Ok(json!({"type": "latest", "actions": actions, "more": has_more}))
            })
        })
        .action_type("quote", |action| {
            action.access(|_| async { Ok(true) }).process(|context| async move {
                let id = context.action().str_field("id").unwrap_or_default().parse()?;
                let entry = context.server().log_entry(&id).await?;
                let quoted = entry.map(|entry| entry.action);
                context.send_back(json!({"type": "quoted", "action": quoted}).try_into()?).await;
                Ok(())
            })
        });
    let server = TestServer::start(server).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    ada.subscribe("rooms/a").await.expect("subscribed");
    let bob = server.connect("bob").await.expect("connected");
    let mut messages = ada.client().actions();
    for n in 1..=3 {
        bob.process(say(n)).await.expect("processed");
    }
    let loaded = ada.subscribe("latest/a").await.expect("subscribed");
    assert_eq!(
        loaded[0].as_json(),
        r#"{"actions":[{"n":3,"room":"a","type":"say"},{"n":2,"room":"a","type":"say"}],"more":true,"type":"latest"}"#
    );
    let first = next_message(&mut messages).await.id.to_string();
    let quote = ada.process(json!({"type": "quote", "id": first})).await.expect("processed");
    assert_eq!(quote[0].as_json(), r#"{"action":{"n":1,"room":"a","type":"say"},"type":"quoted"}"#);
}
