//! Sync maps: the calls of a storage and the effects of its results, with a storage in memory as an
//! application could have written it.

use std::sync::Arc;

use logux::Action;
use logux_server::{Builder, HandlerError};
use server::{Device, builder, start};
use tasks::Tasks;

mod deletions;
mod results;
mod server;
#[path = "../../examples/own_records/tasks.rs"]
mod tasks;

/// Builds a server for tasks in memory, which guests cannot access.
fn tasks_server() -> Builder {
    let tasks = Arc::new(Tasks::default());
    builder()
        .sync_map("tasks", tasks.clone(), |context, id| async move {
            Ok(context.user_id() != Some("guest") && &*id != "secret")
        })
        .sync_map_filter("tasks", tasks, |context, filter| async move {
            Ok(context.user_id() != Some("guest") && filter.get("secret").is_none())
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn subscribers_receive_creations_changes_and_deletions() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"1","fields":{"title":"Tea","done":false}}"#)
        .await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks/1","creating":true}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"done":true},"more":7}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"1","fields":{"done":true},"more":7}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_loaded_with_the_times_of_its_fields() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea","done":false}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#).await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    let ((first, created), (second, changed)) = (bob.next().await, bob.next().await);
    assert_eq!(first, r#"{"type":"tasks/changed","id":"1","fields":{"title":"Tea"}}"#);
    assert_eq!(second, r#"{"type":"tasks/changed","id":"1","fields":{"done":true}}"#);
    assert!(created < changed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_loads_matching_records_and_passes_matching_actions() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"list":"a"}}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"2","fields":{"list":"b"}}"#).await;
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks","filter":{"list":"\u0061"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"1","fields":{"list":"a"}}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"3","fields":{"list":"b"}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"2","fields":{"list":"b","n":1}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"2","fields":{"n":2}}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"2","fields":{"n":2}}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"4","fields":{"list":"a"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"4","fields":{"list":"a"}}"#).await;
    // Loaded records are subscribed to as well, so their deletion is received.
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_returning_subscriber_receives_deletions() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for id in ["1", "2", "3"] {
        ada.process(&format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"list":"a"}}}}"#))
            .await;
    }
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"2","fields":{"list":"b"}}"#).await;
    let since = r#""since":{"id":"1 server:x 0","time":1}"#;
    bob.process(&format!(
        r#"{{"type":"logux/subscribe","channel":"tasks","filter":{{"list":"a"}},{since}}}"#
    ))
    .await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"2","fields":{"list":"b"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"3","fields":{"list":"a"}}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    bob.process(&format!(r#"{{"type":"logux/subscribe","channel":"tasks/1",{since}}}"#)).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(bob.sync(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "notFound");
    assert_eq!(bob.sync(r#"{"type":"logux/subscribe","channel":"tasks/9"}"#).await, "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_creation_creates_a_record() {
    let server = start(tasks_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    let change = r#"{"type":"tasks/change","id":"1","fields":{"done":true}}"#;
    assert_eq!(ada.sync(change).await, "notFound");
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"title":"Tea"}}"#).await;
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks/1","creating":true}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(ada.sync(change).await, "notFound");
    // The filters of the official client would list the record again.
    ada.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_opened_by_any_id_with_which_it_was_created() {
    let server = start(tasks_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    for id in ["2024/01", "a/b/c", "/", "a b?#%2F:id", ".."] {
        let fields = r#"{"title":"Tea"}"#;
        ada.process(&format!(r#"{{"type":"tasks/create","id":"{id}","fields":{fields}}}"#)).await;
        ada.process(&format!(r#"{{"type":"logux/subscribe","channel":"tasks/{id}"}}"#)).await;
        let loaded = format!(r#"{{"type":"tasks/changed","id":"{id}","fields":{fields}}}"#);
        ada.expect_action(&loaded).await;
    }
    let long = "x".repeat(4_097);
    let create = format!(r#"{{"type":"tasks/create","id":"{long}","fields":{{}}}}"#);
    assert_eq!(ada.sync(&create).await, "error");
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks/"}"#).await, "wrongChannel");
}

#[tokio::test(flavor = "multi_thread")]
async fn other_channels_come_before_records_with_slashes() {
    let other = |channel: logux_server::ChannelBuilder<()>| {
        channel
            .access(|_| async { Ok(true) })
            .load(|context| async move { Err::<(), _>(HandlerError::undo(context.param("id"))) })
    };
    let server = start(tasks_server().channel("tasks/:id/comments", other)).await;
    let ada = Device::new(&server, "ada").await;
    let subscribe = |id: &str| format!(r#"{{"type":"logux/subscribe","channel":"tasks/{id}"}}"#);
    assert_eq!(ada.sync(&subscribe("7/comments")).await, "7");
    assert_eq!(ada.sync(&subscribe("7/other")).await, "notFound");
}

#[tokio::test(flavor = "multi_thread")]
async fn since_by_an_own_action_loads_everything() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    for id in ["1", "2"] {
        let create = format!(r#"{{"type":"tasks/create","id":"{id}","fields":{{"n":1}}}}"#);
        ada.process(&create).await;
    }
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    // What bob did offline is later than what he has missed.
    let since = r#""since":{"id":"8000000000000 bob:a:b 0","time":8000000000000}"#;
    bob.process(&format!(r#"{{"type":"logux/subscribe","channel":"tasks",{since}}}"#)).await;
    bob.expect_action(r#"{"type":"tasks/changed","id":"2","fields":{"n":1}}"#).await;
    bob.expect_action(r#"{"type":"tasks/deleted","id":"1"}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_beyond_its_bounds_is_too_large() {
    let mut config = logux_sqlite::RecordConfig::default();
    config.max_fields = 2;
    let database = logux_sqlite::Database::open_in_memory().expect("a database");
    let tasks = database.records().with_config(config).collection("tasks");
    let server = start(builder().sync_map("tasks", tasks, |_, _| async { Ok(true) })).await;
    let ada = Device::new(&server, "ada").await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"a":1,"b":2}}"#).await;
    let change = r#"{"type":"tasks/change","id":"1","fields":{"c":3}}"#;
    assert_eq!(ada.sync(change).await, "tooLarge");
    ada.process(r#"{"type":"tasks/change","id":"1","fields":{"a":2}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_that_have_not_won_are_sent_to_no_client() {
    let server = start(tasks_server()).await;
    let (ada, mut bob) = (Device::new(&server, "ada").await, Device::new(&server, "bob").await);
    bob.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{"a":1,"b":1}}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.process(r#"{"type":"tasks/delete","id":"1"}"#).await;
    ada.process(r#"{"type":"tasks/create","id":"2","fields":{}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"1","fields":{"a":1,"b":1}}"#).await;
    bob.expect_action(r#"{"type":"tasks/created","id":"2","fields":{}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn access_is_called_with_the_id_or_the_filter() {
    let server = start(tasks_server()).await;
    let (ada, guest) = (Device::new(&server, "ada").await, Device::new(&server, "guest").await);
    for action in [
        r#"{"type":"tasks/create","id":"1","fields":{}}"#,
        r#"{"type":"tasks/change","id":"1","fields":{}}"#,
        r#"{"type":"tasks/delete","id":"1"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/1"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks"}"#,
    ] {
        assert_eq!(guest.sync(action).await, "denied", "{action}");
    }
    for action in [
        r#"{"type":"tasks/create","id":"secret","fields":{}}"#,
        r#"{"type":"logux/subscribe","channel":"tasks/secret"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks","filter":{"secret":1}}"#,
        r#"{"type":"tasks/created","id":"1","fields":{}}"#,
        r#"{"type":"tasks/changed","id":"1","fields":{}}"#,
        r#"{"type":"tasks/deleted","id":"1"}"#,
    ] {
        assert_eq!(ada.sync(action).await, "denied", "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_actions_never_reach_the_storage() {
    let server = start(tasks_server()).await;
    let mut ada = Device::new(&server, "ada").await;
    for action in [
        r#"{"type":"tasks/create","fields":{}}"#,
        r#"{"type":"tasks/create","id":"","fields":{}}"#,
        r#"{"type":"tasks/create","id":7,"fields":{}}"#,
        r#"{"type":"tasks/create","id":"1"}"#,
        r#"{"type":"tasks/create","id":"1","fields":[]}"#,
        r#"{"type":"tasks/create","id":"1","fields":{"id":"2"}}"#,
        r#"{"type":"tasks/delete"}"#,
        r#"{"type":"logux/subscribe","channel":"tasks","filter":7}"#,
    ] {
        assert_eq!(ada.sync(action).await, "error", "{action}");
    }
    ada.process(r#"{"type":"tasks/create","id":"9","fields":{}}"#).await;
    ada.process(r#"{"type":"tasks/change","id":"9","fields":{"n":1}}"#).await;
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    ada.expect_action(r#"{"type":"tasks/changed","id":"9","fields":{"n":1}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn records_can_be_served_without_a_filter() {
    let server =
        start(builder().sync_map("tasks", Tasks::default(), |_, _| async { Ok(true) })).await;
    let ada = Device::new(&server, "ada").await;
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await;
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await, "wrongChannel");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_can_be_served_without_records() {
    let server =
        start(builder().sync_map_filter("tasks", Tasks::default(), |_, _| async { Ok(true) }))
            .await;
    let mut ada = Device::new(&server, "ada").await;
    assert_eq!(ada.sync(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await, "unknownType");
    assert_eq!(ada.sync(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await, "wrongChannel");
    ada.process(r#"{"type":"logux/subscribe","channel":"tasks","filter":{"n":1}}"#).await;
    for n in [2, 1] {
        let action = format!(r#"{{"type":"tasks/created","id":"1","fields":{{"n":{n}}}}}"#);
        server.handle().send(Action::new(action).expect("an action"), "tasks").await;
    }
    ada.expect_action(r#"{"type":"tasks/created","id":"1","fields":{"n":1}}"#).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_application_can_send_changes_to_subscribers() {
    let server = start(tasks_server()).await;
    let (ada, mut all, mut one) = (
        Device::new(&server, "ada").await,
        Device::new(&server, "all").await,
        Device::new(&server, "one").await,
    );
    ada.process(r#"{"type":"tasks/create","id":"1","fields":{}}"#).await;
    all.process(r#"{"type":"logux/subscribe","channel":"tasks"}"#).await;
    one.process(r#"{"type":"logux/subscribe","channel":"tasks/1"}"#).await;
    let changed = r#"{"type":"tasks/changed","id":"1","fields":{"n":1}}"#;
    server.handle().process(Action::new(changed).expect("an action")).await.expect("processed");
    all.expect_action(changed).await;
    one.expect_action(changed).await;
}
