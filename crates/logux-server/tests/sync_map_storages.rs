//! One suite judges the storages of records: those that come with the project, and one in memory that an application could have written.

use logux_server::testing::sync_map_suite;
use logux_sqlite::Database;
use tasks::Tasks;

#[cfg(feature = "postgres")]
#[path = "../../logux-postgres/tests/common/mod.rs"]
mod server;
#[path = "../examples/own_records/tasks.rs"]
mod tasks;

/// With values that a careless storage would change.
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
    let empty = async || Database::open_in_memory().expect("a database").sync_maps().collection("records");
    sync_map_suite::run((), FIELDS, empty).await;
    sync_map_suite::run_filter((), FIELDS, empty).await;
    sync_map_suite::run_merging((), FIELDS, empty).await;
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::atomic::{AtomicU32, Ordering};

    use logux_postgres::{SyncMaps, migrate};

    use super::{FIELDS, server::Server, sync_map_suite};

    #[tokio::test(flavor = "multi_thread")]
    async fn on_postgresql() {
        let server = Server::start().await;
        let pool = server.pool(8).await;
        migrate(&pool).await.expect("tables");
        let maps = SyncMaps::new(pool);
        let count = AtomicU32::new(0);
        // Side by side in one database, as collections are.
        let empty = async || maps.collection(format!("records{}", count.fetch_add(1, Ordering::Relaxed)));
        sync_map_suite::run((), FIELDS, empty).await;
        sync_map_suite::run_filter((), FIELDS, empty).await;
        sync_map_suite::run_merging((), FIELDS, empty).await;
    }
}
