//! The inbox in an application's own database: each action is new once, and ids are forgotten on
//! request.

mod common;

use std::time::Duration;

use logux::ActionId;
use logux_postgres::{
    PostgresInbox, migrate,
    sqlx::{self, PgPool},
};

use common::Server;

fn id(text: &str) -> ActionId {
    text.parse().expect("an id")
}

async fn insert(pool: &PgPool, text: &str) -> bool {
    let mut transaction = pool.begin().await.expect("a transaction");
    let first = PostgresInbox.insert(&mut transaction, &id(text)).await.expect("an answer");
    transaction.commit().await.expect("committed");
    first
}

async fn pool(server: &Server) -> PgPool {
    let pool = server.pool(8).await;
    migrate(&pool).await.expect("tables");
    pool
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_new_once_unless_rolled_back() {
    let server = Server::start().await;
    let pool = pool(&server).await;
    for text in ["1 10:a:b 0", "1 10:a:b 1", "2 10:a:b 0", "1 \u{1f600} 0", "1 a\u{0} 0", "1 a 0"] {
        assert_eq!((insert(&pool, text).await, insert(&pool, text).await), (true, false), "{text}");
    }
    let mut transaction = pool.begin().await.expect("a transaction");
    assert!(PostgresInbox.insert(&mut transaction, &id("5 a 0")).await.expect("an answer"));
    assert!(
        !PostgresInbox.insert(&mut transaction, &id("5 a 0")).await.expect("an answer"),
        "known within the transaction"
    );
    transaction.rollback().await.expect("rolled back");
    assert!(insert(&pool, "5 a 0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgets_by_count_and_by_age() {
    let server = Server::start().await;
    let pool = pool(&server).await;
    for number in 0..10 {
        insert(&pool, &format!("{number} a 0")).await;
    }
    assert_eq!(PostgresInbox.forget_all_but(&pool, 10).await.expect("forgotten"), 0);
    assert_eq!(PostgresInbox.forget_all_but(&pool, 3).await.expect("forgotten"), 7);
    assert!(
        !insert(&pool, "9 a 0").await
            && !insert(&pool, "7 a 0").await
            && insert(&pool, "6 a 0").await
    );
    let earlier = "UPDATE logux_inbox SET arrived = arrived - interval '1 hour' WHERE id = '7 a 0'";
    sqlx::query(earlier).execute(&pool).await.expect("an update");
    assert_eq!(
        PostgresInbox
            .forget_older_than(&pool, Duration::from_secs(7_200))
            .await
            .expect("forgotten"),
        0
    );
    assert_eq!(PostgresInbox.forget_older_than(&pool, Duration::MAX).await.expect("forgotten"), 0);
    assert_eq!(
        PostgresInbox
            .forget_older_than(&pool, Duration::from_secs(1_800))
            .await
            .expect("forgotten"),
        1
    );
    assert!(insert(&pool, "7 a 0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_concurrent_insert_waits_for_the_first_one() {
    let server = Server::start().await;
    let pool = pool(&server).await;
    for (commits, text) in [(true, "1 a 0"), (false, "2 a 0")] {
        let mut first = pool.begin().await.expect("a transaction");
        assert!(PostgresInbox.insert(&mut first, &id(text)).await.expect("an answer"));
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { insert(&pool, text).await }
        });
        // Until the database reports a waiting lock.
        let waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted";
        while sqlx::query_scalar::<_, i64>(waiting).fetch_one(&pool).await.expect("a number") == 0 {
            tokio::task::yield_now().await;
        }
        assert!(!second.is_finished());
        if commits {
            first.commit().await.expect("committed");
        } else {
            first.rollback().await.expect("rolled back");
        }
        assert_eq!(second.await.expect("no panic"), !commits);
    }
}
