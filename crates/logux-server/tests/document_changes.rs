//! The hook after changes of documents: in order, at least once, also after errors and restarts.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use logux::{
    Action,
    crdt::Document,
    server::{LogQuery, Retention, SettlementRule},
};
use logux_server::{Builder, HandlerError, MemoryDocuments, Server, testing::TestServer};
use logux_sqlite::Database;
use serde_json::{Value, json};

/// What the hook has seen: the document and the action.
type Seen = Arc<Mutex<Vec<String>>>;

/// Serves notes whose hook fails at these calls.
fn notes(seen: &Seen, fails_at: &'static [usize]) -> Builder {
    let (seen, calls) = (seen.clone(), Arc::new(AtomicUsize::new(0)));
    Server::builder().documents::<Document>("notes", MemoryDocuments::new(), |kind| {
        kind.access(|_| async { Ok(true) })
            .created_by_edits()
            .undoable()
            .settlement(SettlementRule { open_actions: 4, ..SettlementRule::default() })
            .on_change(move |change| {
                let call = calls.fetch_add(1, Ordering::SeqCst);
                let (seen, fails) = (seen.clone(), fails_at.contains(&call));
                async move {
                    assert!(!(fails && call.is_multiple_of(2)), "a panic of the hook");
                    if fails {
                        return Err(HandlerError::failed("no search index"));
                    }
                    let what = change.action().field("ops").unwrap_or("undo").to_owned();
                    seen.lock().expect("a lock").push(format!("{} {what}", change.key().id()));
                    Ok(())
                }
            })
    })
}

fn set(id: &str, value: usize) -> Value {
    json!({"type": "notes/edit", "id": id, "ops": [{"op": "set", "path": "/n", "value": value}]})
}

fn expected(id: &str, value: usize) -> String {
    format!(r#"{id} [{{"op":"set","path":"/n","value":{value}}}]"#)
}

async fn wait_for(seen: &Seen, count: usize) {
    for _ in 0..10_000 {
        if seen.lock().expect("a lock").len() >= count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{count} changes were not seen: {:?}", seen.lock().expect("a lock"));
}

#[tokio::test(start_paused = true)]
async fn each_change_is_seen_in_order_also_after_errors() {
    let seen = Seen::default();
    let server = TestServer::start(notes(&seen, &[3, 4, 10])).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    for n in 0..20 {
        ada.process(set(["1", "2"][n % 2], n)).await.expect("processed");
    }
    wait_for(&seen, 20).await;
    let all: Vec<_> = (0..20).map(|n| expected(["1", "2"][n % 2], n)).collect();
    assert_eq!(*seen.lock().expect("a lock"), all);

    let edit = Action::try_from(set("1", 100)).expect("an action");
    let edit = ada.client().sync(edit).kept().await.expect("added");
    let id = edit.id().clone();
    edit.await.expect("processed");
    ada.client().undo(&id, "mistake").await.expect("undone");
    wait_for(&seen, 22).await;
    assert_eq!(seen.lock().expect("a lock")[20..], [expected("1", 100), "1 undo".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_waits_for_the_hook() {
    let seen = Seen::default();
    // The hook fails for a while.
    let server =
        TestServer::start(notes(&seen, &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9])).expect("a server");
    let ada = server.connect("ada").await.expect("connected");
    for n in 0..60 {
        ada.process(set("1", n)).await.expect("processed");
    }
    wait_for(&seen, 60).await;
    assert_eq!(
        *seen.lock().expect("a lock"),
        (0..60).map(|n| expected("1", n)).collect::<Vec<_>>()
    );
    for n in 60..120 {
        ada.process(set("1", n)).await.expect("processed");
        wait_for(&seen, n + 1).await;
    }
    let query = LogQuery::kept_for(&Retention::forever("notes/1")).limit(1_000);
    let kept = server.handle().log_page(query).await.expect("a page").entries.len();
    assert!(kept < 60, "{kept} entries are kept");
}

#[tokio::test(start_paused = true)]
async fn a_restarted_server_goes_on_where_it_was() {
    let seen = Seen::default();
    let file = tempfile::NamedTempFile::new().expect("a file");
    for round in 0..3 {
        let database = Database::open(file.path()).expect("a database");
        let server =
            TestServer::start(notes(&seen, &[]).store(database.store())).expect("a server");
        // The clock of a test begins again, and ids with it.
        let ada = server.connect(&format!("ada{round}")).await.expect("connected");
        for n in 0..3 {
            ada.process(set("1", round * 3 + n)).await.expect("processed");
        }
        wait_for(&seen, round * 3 + 3).await;
        // The position is written.
        assert!(server.handle().responds().await);
        drop((ada, server));
        tokio::task::yield_now().await;
    }
    assert_eq!(*seen.lock().expect("a lock"), (0..9).map(|n| expected("1", n)).collect::<Vec<_>>());
}
