//! The work of reading lists in pages: that of the page, not that of the list.

mod common;

use logux::{Stamp, WallTime, json::JsonObject, store::key};
use logux_postgres::{PostgresRecords, migrate, sqlx};
use sqlx::PgPool;

use common::Server;

/// The number of records, and of those among them that match.
const RECORDS: i64 = 30_000;
const MATCHING: i64 = RECORDS / 10;

fn at(time: i64) -> Stamp {
    Stamp::new(WallTime::from_millis(time), format!("{time} a 0").parse().expect("an id"))
}

/// Returns the number of rows of a table that were read, or looked at in an index.
async fn rows_read(pool: &PgPool, table: &str) -> i64 {
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(pool).await.expect("a flush");
    let select = "SELECT seq_tup_read + (SELECT sum(idx_tup_read)::bigint FROM pg_stat_user_indexes i WHERE i.relid = t.relid)
        FROM pg_stat_user_tables t WHERE relname = $1";
    sqlx::query_scalar(select).bind(table).fetch_one(pool).await.expect("statistics")
}

/// Reads all pages of a list. Returns the numbers of records and of deletions.
async fn read_all(
    records: &PostgresRecords,
    filter: &JsonObject,
    since: Option<WallTime>,
) -> (usize, usize) {
    let (mut found, mut deleted, mut after) = (0, 0, None);
    loop {
        let page = records.list_page("tasks", filter, since, after).await.expect("a page");
        found += page.records.len();
        deleted += page.deleted.len();
        after = page.next;
        if after.is_none() {
            return (found, deleted);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_reads_its_own_rows_only() {
    let server = Server::start().await;
    // Statistics of the own connection are exact.
    let pool = server.pool(1).await;
    migrate(&pool).await.expect("tables");
    let records = PostgresRecords::new(pool.clone());
    for list in 0..10 {
        let fields = JsonObject::from_json(&format!(r#"{{"list":{list},"done":false}}"#));
        let fields = fields.expect("an object");
        records.create("tasks", &list.to_string(), &fields, &at(1)).await.expect("created");
    }
    // The others as copies of these, because that is faster. They differ in the list.
    sqlx::query(
        "INSERT INTO logux_records (collection, id, touched, field_count, bytes)
         SELECT collection, n::text, touched, field_count, bytes
         FROM logux_records, generate_series(10, $1 - 1) AS n WHERE id = '0'",
    )
    .bind(RECORDS)
    .execute(&pool)
    .await
    .expect("copies");
    sqlx::raw_sql(
        "INSERT INTO logux_fields (record, key, value, stamp, hash, arrived)
         SELECT r.record, f.key, f.value, f.stamp, f.hash, f.arrived
         FROM logux_records r, logux_records o JOIN logux_fields f ON f.record = o.record
         WHERE o.id = right(r.id, 1) AND length(r.id) > 1;
         ANALYZE",
    )
    .execute(&pool)
    .await
    .expect("copies");
    let filter = JsonObject::from_json(r#"{"list":7}"#).expect("an object");
    for (filter, matching) in [(filter, MATCHING), (JsonObject::default(), RECORDS)] {
        let (fields, rows) =
            (rows_read(&pool, "logux_fields").await, rows_read(&pool, "logux_records").await);
        assert_eq!(read_all(&records, &filter, None).await, (matching as usize, 0));
        let fields = rows_read(&pool, "logux_fields").await - fields;
        let rows = rows_read(&pool, "logux_records").await - rows;
        println!("{matching} records: {fields} fields and {rows} records were read");
        assert!(fields <= 4 * matching, "{fields} fields of {matching} records");
        assert!(rows <= 4 * matching, "{rows} rows of {matching} records");
    }
    sqlx::query("UPDATE logux_records SET deleted = $1, deletion_arrived = record")
        .bind(key::of_stamp(&at(2)))
        .execute(&pool)
        .await
        .expect("deletions");
    sqlx::raw_sql("DELETE FROM logux_fields; ANALYZE").execute(&pool).await.expect("no fields");
    let rows = rows_read(&pool, "logux_records").await;
    let since = Some(WallTime::from_millis(0));
    let deleted = read_all(&records, &JsonObject::default(), since).await;
    assert_eq!(deleted, (0, RECORDS as usize));
    let rows = rows_read(&pool, "logux_records").await - rows;
    println!("{RECORDS} deletions: {rows} records were read");
    assert!(rows <= 6 * RECORDS, "{rows} rows of {RECORDS} deletions");
}
