//! Lists of a device that has records from before, and was away while they changed.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::sleep;

use crate::{server, settle, start, tasks};

#[tokio::test(start_paused = true)]
async fn a_record_that_matches_after_a_restart_is_whole() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let (file, other) = (folder.path().join("a.db"), folder.path().join("b.db"));
    let bob = start(&server, "bob", &other);
    let all = tasks(&bob, &json!({})).await;
    all.create("1", &json!({"title": "Tea", "done": true})).await.expect("processed");
    all.create("2", &json!({"title": "Milk", "done": false})).await.expect("processed");
    all.create("3", &json!({"title": "Eggs", "done": false})).await.expect("processed");

    let filter = json!({"done": false});
    let ada = start(&server, "ada", &file);
    let mut list = tasks(&ada, &filter).await;
    list.loaded().await.expect("loaded");
    settle(&ada).await;
    assert_eq!(list.len(), 2);
    drop(list);
    ada.close().await;
    sleep(Duration::from_secs(1)).await;
    all.change("1", &json!({"done": false})).await.expect("processed");
    all.change("2", &json!({"done": true})).await.expect("processed");
    all.delete("3").await.expect("processed");
    let whole = [json!({"id": "1", "title": "Tea", "done": false})];

    // It matches because of a change that was made while the client was away.
    let ada = start(&server, "ada", &file);
    let mut list = tasks(&ada, &filter).await;
    list.loaded().await.expect("loaded");
    settle(&ada).await;
    assert_eq!(list.list(), whole);

    all.change("1", &json!({"done": true})).await.expect("processed");
    settle(&ada).await;
    assert!(list.is_empty());
    ada.pause().expect("running");
    sleep(Duration::from_secs(1)).await;
    all.create("4", &json!({"title": "Salt", "done": true})).await.expect("processed");
    sleep(Duration::from_secs(1)).await;
    ada.resume().expect("running");
    settle(&ada).await;
    ada.pause().expect("running");
    sleep(Duration::from_secs(1)).await;
    all.change("4", &json!({"done": false})).await.expect("processed");
    ada.resume().expect("running");
    settle(&ada).await;
    assert_eq!(list.list(), [json!({"id": "4", "title": "Salt", "done": false})]);
}

/// A subscription without `since` has no deletions, but the device has the record.
#[tokio::test(start_paused = true)]
async fn a_record_that_was_deleted_while_no_list_was_open_is_gone() {
    let server = server();
    let folder = tempfile::tempdir().expect("a folder");
    let ada = start(&server, "ada", &folder.path().join("a.db"));
    let task = ada.record::<Value>("tasks", "1").await.expect("open");
    task.create(&json!({"title": "Tea", "done": false})).await.expect("processed");
    drop(task);
    settle(&ada).await;
    let bob = start(&server, "bob", &folder.path().join("b.db"));
    let all = tasks(&bob, &json!({})).await;
    all.loaded().await.expect("loaded");
    all.delete("1").await.expect("processed");
    ada.clone().close().await;

    for filter in [json!({"done": false}), json!({})] {
        let file = folder.path().join(if filter == json!({}) { "c.db" } else { "d.db" });
        std::fs::copy(folder.path().join("a.db"), &file).expect("copied");
        let ada = start(&server, "ada", &file);
        let mut list = tasks(&ada, &filter).await;
        assert_eq!(list.len(), 1, "what the device has is there");
        settle(&ada).await;
        assert!(list.is_empty(), "{filter}");
        drop(list);
        ada.close().await;
    }
}
