//! The tables: concurrent migrations are safe, newer versions are not changed, and stamp keys are
//! ordered like stamps.

mod common;

use logux::{Stamp, store::key, testing::strategies};
use logux_postgres::{MIGRATIONS, PostgresError, migrate, sqlx};
use proptest::{
    collection::vec,
    strategy::{Strategy as _, ValueTree as _},
    test_runner::TestRunner,
};

use common::Server;

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_are_safe() {
    let server = Server::start().await;
    let pool = server.pool(8).await;
    let beginning = (0..8).map(|_| {
        let pool = pool.clone();
        tokio::spawn(async move { migrate(&pool).await })
    });
    for begun in beginning.collect::<Vec<_>>() {
        begun.await.expect("no panic").expect("tables");
    }
    migrate(&pool).await.expect("up to date");
    let version: i32 = sqlx::query_scalar("SELECT version FROM logux_schema")
        .fetch_one(&pool)
        .await
        .expect("a version");
    assert_eq!(version as usize, MIGRATIONS.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn older_tables_are_migrated() {
    let server = Server::start().await;
    let pool = server.pool(1).await;
    sqlx::raw_sql(MIGRATIONS[0]).execute(&pool).await.expect("tables of version 1");
    sqlx::query("INSERT INTO logux_schema (version) VALUES (1)")
        .execute(&pool)
        .await
        .expect("a version");
    sqlx::raw_sql(
        "INSERT INTO logux_records (collection, id) VALUES ('a', 'b');
         INSERT INTO logux_fields (record, key, value, stamp, hash, arrived)
         SELECT record, 'é', '12', '', 0, 0 FROM logux_records",
    )
    .execute(&pool)
    .await
    .expect("a row");
    migrate(&pool).await.expect("newer tables");
    let (version, fields, bytes): (i32, i64, i64) =
        sqlx::query_as("SELECT version, field_count, bytes FROM logux_schema, logux_records")
            .fetch_one(&pool)
            .await
            .expect("numbers");
    assert_eq!((version as usize, fields, bytes), (MIGRATIONS.len(), 1, 4));
    let indexes: Vec<String> =
        sqlx::query_scalar("SELECT indexdef FROM pg_indexes WHERE indexname = 'logux_fields_hash'")
            .fetch_all(&pool)
            .await
            .expect("indexes");
    assert!(matches!(&*indexes, [index] if index.ends_with("(hash, record)")), "{indexes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_tables_are_not_changed() {
    let server = Server::start().await;
    let pool = server.pool(1).await;
    migrate(&pool).await.expect("tables");
    sqlx::query("UPDATE logux_schema SET version = version + 1")
        .execute(&pool)
        .await
        .expect("an update");
    let refused = migrate(&pool).await.expect_err("a newer version");
    assert!(matches!(refused, PostgresError::NewerSchema { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_are_in_the_schema_of_the_connection() {
    let server = Server::start().await;
    let plain = server.pool(1).await;
    migrate(&plain).await.expect("tables");
    sqlx::query("CREATE SCHEMA \"Other one\"").execute(&plain).await.expect("a schema");
    let options = server.options().options([("search_path", "\"Other one\"")]);
    let other = sqlx::PgPool::connect_with(options).await.expect("connections");
    for _ in 0..2 {
        migrate(&other).await.expect("separate tables");
    }
    let count: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pg_tables WHERE tablename = 'logux_records'")
            .fetch_one(&plain)
            .await
            .expect("a number");
    assert_eq!(count, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn stamp_keys_are_ordered_like_stamps() {
    let server = Server::start().await;
    let pool = server.pool(1).await;
    let mut runner = TestRunner::deterministic();
    let stamps = vec(strategies::stamp(), 500).new_tree(&mut runner).expect("stamps").current();
    let keys: Vec<Vec<u8>> = stamps.iter().map(key::of_stamp).collect();
    let sorted: Vec<Vec<u8>> =
        sqlx::query_scalar("SELECT key FROM unnest($1::bytea[]) AS key ORDER BY key")
            .bind(&keys)
            .fetch_all(&pool)
            .await
            .expect("sorted");
    let sorted: Vec<Stamp> =
        sorted.iter().map(|key| key::to_stamp(key).expect("a stamp")).collect();
    let mut expected = stamps;
    expected.sort();
    assert_eq!(sorted, expected);
}
