//! The inbox in an application's own database: each action once, whatever else is known is forgotten when told.

mod common;

use std::time::Duration;

use logux::ActionId;
use logux_postgres::{
    Inbox, migrate,
    sqlx::{self, PgPool},
};

use common::Server;

fn id(text: &str) -> ActionId {
    text.parse().expect("an id")
}

async fn takes(pool: &PgPool, text: &str) -> bool {
    let mut transaction = pool.begin().await.expect("a transaction");
    let first = Inbox.first_time(&mut transaction, &id(text)).await.expect("an answer");
    transaction.commit().await.expect("committed");
    first
}

async fn pool(server: &Server) -> PgPool {
    let pool = server.pool(8).await;
    migrate(&pool).await.expect("tables");
    pool
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_new_once_unless_it_was_rolled_back() {
    let server = Server::start().await;
    let pool = pool(&server).await;
    for text in ["1 10:a:b 0", "1 10:a:b 1", "2 10:a:b 0", "1 \u{1f600} 0", "1 a\u{0} 0", "1 a 0"] {
        assert_eq!((takes(&pool, text).await, takes(&pool, text).await), (true, false), "{text}");
    }
    let mut transaction = pool.begin().await.expect("a transaction");
    assert!(Inbox.first_time(&mut transaction, &id("5 a 0")).await.expect("an answer"));
    assert!(
        !Inbox.first_time(&mut transaction, &id("5 a 0")).await.expect("an answer"),
        "within it is known"
    );
    transaction.rollback().await.expect("rolled back");
    assert!(takes(&pool, "5 a 0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn forgets_by_number_and_by_age() {
    let server = Server::start().await;
    let pool = pool(&server).await;
    for number in 0..10 {
        takes(&pool, &format!("{number} a 0")).await;
    }
    assert_eq!(Inbox.forget_all_but(&pool, 10).await.expect("forgotten"), 0);
    assert_eq!(Inbox.forget_all_but(&pool, 3).await.expect("forgotten"), 7);
    assert!(
        !takes(&pool, "9 a 0").await && !takes(&pool, "7 a 0").await && takes(&pool, "6 a 0").await
    );
    let earlier = "UPDATE logux_inbox SET arrived = arrived - interval '1 hour' WHERE id = '7 a 0'";
    sqlx::query(earlier).execute(&pool).await.expect("an update");
    assert_eq!(
        Inbox.forget_older_than(&pool, Duration::from_secs(7_200)).await.expect("forgotten"),
        0
    );
    assert_eq!(Inbox.forget_older_than(&pool, Duration::MAX).await.expect("forgotten"), 0);
    assert_eq!(
        Inbox.forget_older_than(&pool, Duration::from_secs(1_800)).await.expect("forgotten"),
        1
    );
    assert!(takes(&pool, "7 a 0").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_at_the_same_time_the_second_waits_for_the_first() {
    let server = Server::start().await;
    let pool = pool(&server).await;
    for (commits, text) in [(true, "1 a 0"), (false, "2 a 0")] {
        let mut first = pool.begin().await.expect("a transaction");
        assert!(Inbox.first_time(&mut first, &id(text)).await.expect("an answer"));
        let second = tokio::spawn({
            let pool = pool.clone();
            async move { takes(&pool, text).await }
        });
        // Until the database says that somebody waits.
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
