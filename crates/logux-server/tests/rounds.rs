//! The actions of one client wait for each other, but not for a commit each.

use std::{
    ops::ControlFlow,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::join_all;
use logux::{
    Action, ActionId, Entry, MemoryStore, Stamp, Store,
    store::{Criteria, Insertion, MetaChange, Query, Synced},
    sync::State,
};
use logux_client::Client;
use logux_net::WebSocketConnector;
use logux_server::{Builder, Server};
use tokio::time::timeout;

const ACTIONS: usize = 200;

/// A store that counts its commits.
struct CountingStore<St> {
    store: St,
    commits: Arc<AtomicUsize>,
}

impl<St: Store> Store for CountingStore<St> {
    type Error = St::Error;

    fn add(&mut self, entry: &mut Entry) -> Result<Insertion, St::Error> {
        self.store.add(entry)
    }

    fn by_id(&self, id: &ActionId) -> Result<Option<Entry>, St::Error> {
        self.store.by_id(id)
    }

    fn change_meta(&mut self, id: &ActionId, change: &MetaChange) -> Result<bool, St::Error> {
        self.store.change_meta(id, change)
    }

    fn remove(&mut self, id: &ActionId) -> Result<Option<Entry>, St::Error> {
        self.store.remove(id)
    }

    fn remove_reason(
        &mut self,
        reason: &str,
        criteria: &Criteria,
        removed: &mut dyn FnMut(Entry),
    ) -> Result<(), St::Error> {
        self.store.remove_reason(reason, criteria, removed)
    }

    fn newest_with_reason(&self, reason: &str) -> Result<Option<Stamp>, St::Error> {
        self.store.newest_with_reason(reason)
    }

    fn walk(
        &self,
        query: &Query,
        visit: &mut dyn FnMut(&Entry) -> ControlFlow<()>,
    ) -> Result<(), St::Error> {
        self.store.walk(query, visit)
    }

    fn last_added(&self) -> Result<u64, St::Error> {
        self.store.last_added()
    }

    fn synced(&self) -> Result<Synced, St::Error> {
        self.store.synced()
    }

    fn set_synced(&mut self, synced: Synced) -> Result<(), St::Error> {
        self.store.set_synced(synced)
    }

    fn value(&self, name: &str) -> Result<Option<String>, St::Error> {
        self.store.value(name)
    }

    fn set_value(&mut self, name: &str, value: Option<&str>) -> Result<(), St::Error> {
        self.store.set_value(name, value)
    }

    fn walk_values(
        &self,
        prefix: &str,
        visit: &mut dyn FnMut(&str, &str) -> ControlFlow<()>,
    ) -> Result<(), St::Error> {
        self.store.walk_values(prefix, visit)
    }

    fn clean(&mut self) -> Result<(), St::Error> {
        self.store.clean()
    }

    fn commit(&mut self) -> Result<(), St::Error> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.store.commit()
    }
}

/// Processes what a client did offline. Returns the number of commits for it.
async fn commits_of_backlog<St: Store + Send + 'static>(
    builder: Builder,
    store: St,
    action: impl Fn(usize) -> String,
) -> usize {
    let commits = Arc::new(AtomicUsize::new(0));
    let store = CountingStore { store, commits: commits.clone() };
    let server = builder.auth(|_| async { Ok(true) }).store(store);
    let server = server.listen(([127, 0, 0, 1], 0).into()).await.expect("a server");
    let connector = WebSocketConnector::new(&format!("ws://{}", server.address())).expect("a URL");
    let client = Client::builder("ada").expect("a user").start(connector);
    let connected = timeout(Duration::from_secs(20), client.reached(State::Synchronized)).await;
    assert!(connected.expect("a connection"));
    client.pause().expect("a running client");
    let offline = timeout(Duration::from_secs(20), client.reached(State::Disconnected)).await;
    assert!(offline.expect("the end of the connection"));
    let before = commits.load(Ordering::Relaxed);
    let backlog =
        (0..ACTIONS).map(|number| client.sync(Action::new(action(number)).expect("JSON")));
    let backlog: Vec<_> = backlog.collect();
    client.resume().expect("a running client");
    let answers = timeout(Duration::from_secs(20), join_all(backlog)).await.expect("answers");
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    commits.load(Ordering::Relaxed) - before
}

#[tokio::test(flavor = "multi_thread")]
async fn handlers_that_do_not_wait_share_the_commits_of_their_client() {
    let builder = Server::builder().action_type("note", |action| {
        action.access(|_| async { Ok(true) }).process(|_| async { Ok(()) })
    });
    let commits =
        commits_of_backlog(builder, MemoryStore::new(), |_| r#"{"type":"note"}"#.into()).await;
    assert!(commits < ACTIONS / 2, "{commits} commits for {ACTIONS} actions");
}

#[cfg(feature = "sqlite")]
#[tokio::test(flavor = "multi_thread")]
async fn changes_of_records_in_sqlite_share_the_commits_of_their_client() {
    let database = logux_sqlite::Database::open_in_memory().expect("a database");
    let tasks = database.records().collection("tasks");
    let builder = Server::builder().sync_map("tasks", tasks, |_, _| async { Ok(true) });
    let commits = commits_of_backlog(builder, database.store(), |number| {
        format!(r#"{{"type":"tasks/create","id":"{number}","fields":{{"title":"Tea"}}}}"#)
    })
    .await;
    assert!(commits < ACTIONS / 2, "{commits} commits for {ACTIONS} actions");
}
