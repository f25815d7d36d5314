//! Runs the suite for storages of records: those of the project, and one in memory as an
//! application could have written it.

use logux_server::testing::sync_map_suite;
use logux_sqlite::Database;
use tasks::Tasks;

#[cfg(feature = "postgres")]
#[path = "../../logux-postgres/tests/common/mod.rs"]
mod server;
#[path = "../examples/own_records/tasks.rs"]
mod tasks;

/// Values that an incorrect storage would change.
const FIELDS: [&str; 2] = [
    r#"{"title":"Tea","done":false,"n":9007199254740993}"#,
    r#"{"title":"a \ud83d\u0000 é","done":null,"n":[1.50,{}]}"#,
];

#[tokio::test]
async fn in_memory() {
    sync_map_suite::run((), FIELDS, async || Tasks::default()).await;
    sync_map_suite::run_filter((), FIELDS, async || Tasks::default()).await;
    sync_map_suite::run_merging((), FIELDS, async || Tasks::default()).await;
}

#[tokio::test]
async fn on_sqlite() {
    let empty =
        async || Database::open_in_memory().expect("a database").records().collection("records");
    sync_map_suite::run((), FIELDS, empty).await;
    sync_map_suite::run_filter((), FIELDS, empty).await;
    sync_map_suite::run_merging((), FIELDS, empty).await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::{
        sync::atomic::{AtomicU32, Ordering},
        time::Duration,
    };

    use logux::{Action, sync::State};
    use logux_client::{Client, SyncError};
    use logux_net::WebSocketConnector;
    use logux_postgres::{PostgresRecords, migrate, sqlx::PgPool};
    use logux_server::{RunningServer, Server as LoguxServer};
    use tokio::time::timeout;

    use super::{FIELDS, server::Server, sync_map_suite};

    const TIMEOUT: Duration = Duration::from_secs(30);

    #[tokio::test(flavor = "multi_thread")]
    async fn on_postgresql() {
        let server = Server::start().await;
        let pool = server.pool(8).await;
        migrate(&pool).await.expect("tables");
        let records = PostgresRecords::new(pool);
        let count = AtomicU32::new(0);
        // Several collections in one database.
        let empty = async || {
            records.collection(format!("records{}", count.fetch_add(1, Ordering::Relaxed)))
        };
        sync_map_suite::run((), FIELDS, empty).await;
        sync_map_suite::run_filter((), FIELDS, empty).await;
        sync_map_suite::run_merging((), FIELDS, empty).await;
    }

    async fn serve(pool: PgPool) -> RunningServer {
        let tasks = PostgresRecords::new(pool).collection("tasks");
        LoguxServer::builder()
            .auth(|_| async { Ok(true) })
            .sync_map("tasks", tasks.clone(), |_, _| async { Ok(true) })
            .sync_map_filter("tasks", tasks, |_, _| async { Ok(true) })
            .listen(([127, 0, 0, 1], 0).into())
            .await
            .expect("a server")
    }

    async fn client(server: &RunningServer, user: &str) -> Client {
        let connector =
            WebSocketConnector::new(&format!("ws://{}", server.address())).expect("an address");
        let client = Client::builder(user).expect("a user").start(connector);
        assert!(timeout(TIMEOUT, client.reached(State::Synchronized)).await.expect("a connection"));
        client
    }

    async fn act(client: &Client, json: &str) -> Result<(), SyncError> {
        timeout(TIMEOUT, client.sync(Action::new(json).expect("an action")))
            .await
            .expect("an answer")
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_servers_serve_the_records_of_one_database() {
        let database = Server::start().await;
        let pool = database.pool(4).await;
        migrate(&pool).await.expect("tables");
        let (one, two) = (serve(pool).await, serve(database.pool(4).await).await);
        let (ada, bob) = (client(&one, "ada").await, client(&two, "bob").await);
        act(&ada, r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#)
            .await
            .expect("created");
        act(&bob, r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#)
            .await
            .expect("changed");
        for (client, filter) in [(&ada, r#"{"done":true}"#), (&bob, "{}")] {
            let mut actions = client.actions();
            let subscribe =
                format!(r#"{{"type":"logux/subscribe","channel":"tasks","filter":{filter}}}"#);
            act(client, &subscribe).await.expect("subscribed");
            let mut loaded = Vec::new();
            while loaded.len() < 2 {
                let entry = timeout(TIMEOUT, actions.next())
                    .await
                    .expect("an action")
                    .expect("a connection");
                if entry.action.kind() == "tasks/changed" {
                    loaded.push(entry.action.as_json().to_owned());
                }
            }
            let changed =
                |fields: &str| format!(r#"{{"type":"tasks/changed","id":"1","fields":{fields}}}"#);
            assert_eq!(loaded, [changed(r#"{"title":"Tea"}"#), changed(r#"{"done":true}"#)]);
        }
        act(&ada, r#"{"type":"tasks/delete","id":"1"}"#).await.expect("deleted");
        match act(&bob, r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await {
            Err(SyncError::Undone(undo)) => assert_eq!(undo.reason, "notFound"),
            other => panic!("expected a missing record, not {other:?}"),
        }
    }
}
