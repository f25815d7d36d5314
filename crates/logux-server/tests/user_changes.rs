//! Devices whose users change at any moment, with and without a connection, and that are started
//! again: each action is processed as its author's, and once.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex},
    time::Duration,
};

use logux::{Action, ActionId};
use logux_client::Client;
use logux_server::{
    Server,
    testing::{TestConnector, TestServer},
};
use serde_json::json;
use tokio::time::{sleep, timeout};

/// The processed actions, with the user that sent them and the user that added them.
type Processed = Arc<Mutex<Vec<(ActionId, String, String)>>>;

/// Pseudo-random numbers that depend on a seed alone.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn server(processed: &Processed) -> TestServer {
    let processed = processed.clone();
    let server = Server::builder().auth(|_| async { Ok(true) }).action_type("note", |action| {
        action.access(|_| async { Ok(true) }).process(move |context| {
            let author = context.action().str_field("author").expect("an author").into_owned();
            let user = context.user_id().unwrap_or_default().to_owned();
            processed.lock().expect("no panic").push((context.meta().id.clone(), user, author));
            async { Ok(()) }
        })
    });
    TestServer::start(server).expect("a server")
}

/// A device with a file.
struct Device {
    server: TestServer,
    folder: tempfile::TempDir,
    user: String,
    connector: TestConnector,
    client: Client,
}

impl Device {
    fn start(server: TestServer) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (client, connector) = open(&server, &folder, "0");
        Self { server, folder, user: "0".to_owned(), connector, client }
    }

    fn sync(&self) -> ActionId {
        let note = json!({"type": "note", "author": self.user});
        self.client.sync(Action::try_from(note).expect("an action")).id().clone()
    }

    /// Changes the user, and returns the actions that the former one has to give up.
    async fn change_user(&mut self, user: u64) -> Vec<ActionId> {
        let left = self.client.change_user(&user.to_string(), None).await.expect("another user");
        for entry in &left {
            let author = entry.action.str_field("author");
            assert_eq!(author.as_deref(), Some(&*self.user), "{}", entry.meta.id);
        }
        self.user = user.to_string();
        left.into_iter().map(|entry| entry.meta.id).collect()
    }

    async fn restart(&mut self) {
        self.client.clone().close().await;
        (self.client, self.connector) = open(&self.server, &self.folder, &self.user);
    }
}

fn open(server: &TestServer, folder: &tempfile::TempDir, user: &str) -> (Client, TestConnector) {
    let connector = server.client(user).connector();
    let builder = Client::builder(user).expect("a user").clock(server.clock());
    let builder = builder.file(folder.path().join("app.db")).expect("a file");
    (builder.start(connector.clone()), connector)
}

async fn run(seed: u64) {
    let processed = Processed::default();
    let mut device = Device::start(server(&processed));
    let (mut random, mut authors, mut left) = (Random(seed), HashMap::new(), HashSet::new());
    for _ in 0..60 {
        match random.below(12) {
            0..=5 => drop(authors.insert(device.sync(), device.user.clone())),
            6 => device.connector.cut(),
            7 => device.connector.restore(),
            8 => left.extend(device.change_user(random.below(3)).await),
            9 => device.restart().await,
            _ => sleep(Duration::from_millis(random.below(3_000))).await,
        }
    }
    device.connector.restore();
    assert_eq!(device.client.flush(Duration::from_secs(60)).await, 0, "seed {seed}");
    let last = device.sync();
    let processed_last = async {
        while !processed.lock().expect("no panic").iter().any(|(id, ..)| *id == last) {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(Duration::from_secs(60), processed_last).await.expect("the last action is processed");

    let processed = processed.lock().expect("no panic");
    let ids: HashSet<&ActionId> = processed.iter().map(|(id, ..)| id).collect();
    assert_eq!(ids.len(), processed.len(), "seed {seed}: each action is processed once");
    for (id, user, author) in &*processed {
        assert_eq!(user, author, "seed {seed}: {id}");
        assert_eq!(authors.get(id).unwrap_or(author), author, "seed {seed}: {id}");
    }
    // The server may have had what the device was not sure of.
    for id in authors.keys() {
        assert!(ids.contains(id) || left.contains(id), "seed {seed}: {id} is lost");
    }
}

#[tokio::test(start_paused = true)]
async fn each_action_is_processed_as_its_authors() {
    for seed in 0..25 {
        run(seed).await;
    }
}
