//! Records: cases that the suite of `logux-server` does not cover.

mod common;

use logux::{Stamp, WallTime, json::JsonObject};
use logux_postgres::{
    Changed, PostgresError, PostgresRecords, RecordConfig, RefusedWrite, Write, migrate, sqlx,
};

use common::Server;

fn at(time: i64) -> Stamp {
    Stamp::new(WallTime::from_millis(time), format!("{time} a 0").parse().expect("an id"))
}

fn fields(json: &str) -> JsonObject {
    JsonObject::from_json(json).expect("an object")
}

async fn records(server: &Server, connections: u32) -> PostgresRecords {
    let pool = server.pool(connections).await;
    migrate(&pool).await.expect("tables");
    PostgresRecords::new(pool)
}

async fn show(records: &PostgresRecords, id: &str) -> Option<String> {
    let (record, _) = records.find("tasks", id, None).await.expect("found");
    let shown = |record: logux_postgres::Record| {
        let fields = record
            .fields
            .iter()
            .map(|field| format!(" {}={}@{}", field.key, field.value, field.stamp.time()));
        format!("{}:{}", record.id, fields.collect::<String>())
    };
    record.map(shown)
}

#[tokio::test(flavor = "multi_thread")]
async fn values_are_stored_unchanged() {
    let server = Server::start().await;
    let records = records(&server, 1).await;
    let text =
        r#"{"a":9007199254740993,"b":"\ud83d\u0000","c":[ 1.50 ],"":0.30000000000000004,"é":null}"#;
    let changed = records.create("tasks", "1", &fields(text), &at(1)).await.expect("created");
    assert_eq!(changed, Changed { won: fields(text), existed: false, stamp: at(1) });
    let expected = r#"1: =0.30000000000000004@1 a=9007199254740993@1 b="\ud83d\u0000"@1 c=[ 1.50 ]@1 é=null@1"#;
    assert_eq!(show(&records, "1").await.as_deref(), Some(expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_writes_have_no_effect() {
    let server = Server::start().await;
    let records = records(&server, 1).await;
    let refused = records
        .change("tasks", "1", &fields(r#"{"a":1,"id":2}"#), &at(1))
        .await
        .expect_err("an id");
    assert!(matches!(refused, PostgresError::IdAmongFields), "{refused}");
    for (id, json) in [("a\0", "{}"), ("1", r#"{"a\u0000":1}"#)] {
        let refused = records.change("tasks", id, &fields(json), &at(1)).await.expect_err("U+0000");
        assert!(matches!(refused, PostgresError::NulCharacter(_)), "{refused}");
    }
    assert!(
        records.list("tasks", &fields(r#"{"a\u0000":1}"#), None).await.expect("a list").is_empty()
    );
    assert!(records.list("tasks", &JsonObject::default(), None).await.expect("a list").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn deletions_are_remembered_until_forgotten() {
    let server = Server::start().await;
    let records = records(&server, 1).await;
    for id in ["1", "2", "3"] {
        records.create("tasks", id, &fields(r#"{"a":1}"#), &at(1)).await.expect("created");
    }
    for (id, time) in [("3", 5), ("1", 7), ("2", 9)] {
        let deletion = records.delete("tasks", id, &at(time)).await.expect("deleted");
        assert_eq!(deletion, Some(at(time)));
    }
    records.create("tasks", "2", &fields(r#"{"a":2}"#), &at(10)).await.expect("back");
    let since = async |time| {
        let deletions =
            records.deleted_since("tasks", WallTime::from_millis(time)).await.expect("deletions");
        deletions
            .iter()
            .map(|(id, stamp)| format!("{id}@{}", stamp.time()))
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!([since(0).await, since(7).await, since(8).await], ["3@5 1@7", "1@7", ""]);
    assert_eq!(
        records.forget_deletions("tasks", WallTime::from_millis(7)).await.expect("forgotten"),
        1
    );
    assert_eq!(since(0).await, "1@7");
    records.create("tasks", "3", &fields(r#"{"a":1}"#), &at(2)).await.expect("created");
    assert_eq!(show(&records, "3").await.as_deref(), Some("3: a=1@2"), "the deletion is forgotten");
    assert_eq!(
        records.forget_deletions("tasks", WallTime::from_millis(100)).await.expect("forgotten"),
        2
    );
    assert_eq!(show(&records, "2").await.as_deref(), Some("2: a=2@10"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_forgets_old_deletions() {
    const DAY: i64 = 24 * 60 * 60 * 1_000;
    let server = Server::start().await;
    let records = records(&server, 1).await;
    for n in 0..8 {
        // The first 4 deletions are older than 90 days when the others arrive.
        let time = if n < 4 { n } else { 91 * DAY + n };
        let id = n.to_string();
        records.create("tasks", &id, &fields("{}"), &at(time)).await.expect("created");
        records.delete("tasks", &id, &at(time)).await.expect("deleted").expect("a record");
    }
    let kept = records.deleted_since("tasks", WallTime::MIN).await.expect("deletions");
    assert_eq!(kept.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn records_have_bounds() {
    let server = Server::start().await;
    let mut config = RecordConfig::default();
    (config.max_fields, config.max_bytes) = (3, 40);
    let records = records(&server, 1).await.with_config(config);
    records.create("tasks", "1", &fields(r#"{"a":1,"b":2}"#), &at(1)).await.expect("created");
    let long = format!(r#"{{"a":"{}"}}"#, "x".repeat(40));
    for (json, expected) in
        [(r#"{"c":1,"d":2}"#, RefusedWrite::TooManyFields(3)), (&*long, RefusedWrite::TooLarge(40))]
    {
        match records.change("tasks", "1", &fields(json), &at(2)).await {
            Err(PostgresError::Refused(refused)) => assert_eq!(refused, expected),
            other => panic!("expected a refused write, got {other:?}"),
        }
    }
    assert_eq!(show(&records, "1").await.as_deref(), Some("1: a=1@1 b=2@1"));
    records.change("tasks", "1", &fields(r#"{"a":3,"c":1}"#), &at(2)).await.expect("changed");
    records.delete("tasks", "1", &at(3)).await.expect("deleted").expect("a record");
    let three = fields(r#"{"x":1,"y":1,"z":1}"#);
    records.create("tasks", "1", &three, &at(4)).await.expect("created");
    records.change("tasks", "1", &fields(r#"{"w":1}"#), &at(5)).await.expect_err("a fourth field");
}

#[tokio::test(flavor = "multi_thread")]
async fn several_servers_may_write_at_any_default_isolation() {
    let server = Server::start().await;
    let first = records(&server, 1).await;
    sqlx::query("ALTER DATABASE postgres SET default_transaction_isolation = 'serializable'")
        .execute(&server.pool(1).await)
        .await
        .expect("a setting");
    for id in ["1", "2"] {
        first.create("tasks", id, &fields("{}"), &at(-1)).await.expect("created");
    }
    let mut writing = Vec::new();
    for writer in 0..4_i64 {
        let records = PostgresRecords::new(server.pool(2).await);
        writing.push(tokio::spawn(async move {
            for turn in 0..25_i64 {
                let time = turn * 4 + writer;
                let json = format!(r#"{{"n":{time},"w{writer}":{turn}}}"#);
                let stamp = at(time);
                let write = Write { stamp: &stamp, arrived: WallTime::from_millis(1_000) };
                records.change("tasks", "1", &fields(&json), write).await.expect("changed");
                if turn % 5 == 4 {
                    records.delete("tasks", "2", &at(time)).await.expect("deleted");
                    // Refused if another deletion was moved after it.
                    let created =
                        records.create("tasks", "2", &fields(&json), &at(time + 1_000)).await;
                    assert!(matches!(created, Ok(_) | Err(PostgresError::Refused(_))));
                }
            }
        }));
    }
    for written in writing {
        written.await.expect("no panic");
    }
    let expected = "1: n=99@99 w0=24@96 w1=24@97 w2=24@98 w3=24@99";
    assert_eq!(show(&first, "1").await.as_deref(), Some(expected));
}
